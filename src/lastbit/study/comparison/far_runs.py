"""Runs of a table that lie far from the others of their recipe, or look like another unit: which, and what they do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from lastbit.report.numbers import some
from lastbit.runs.endings import places
from lastbit.runs.notice import said_units
from lastbit.runs.numbers import mixed_units
from lastbit.runs.table import RunTable
from lastbit.statistics.outliers import outliers

_NAMED = 4


@dataclass(frozen=True, kw_only=True)
class FarRuns:
    """Runs that count, and that the answer may hang on."""

    count: int
    sentence: str  # which they are, and how far from what
    units: str  # the note on units among those of the table that this sentence replaces; empty where it is about none
    rest: RunTable  # without them, and without single examples, which say nothing of runs

    def note(self, sentences: Sequence[str]) -> str:
        """Which runs they are, and what would be found without them, in these sentences."""
        they, them = ("It counts", "it") if self.count == 1 else ("They count", "them")
        return f"{self.sentence} {they} like any other; without {them}: {' '.join(sentences)}"


def far_runs(table: RunTable) -> FarRuns | None:
    """The runs of a table that lie far from the others of their recipe and task, or look like another unit.

    A run in another unit is one even where too few runs tell a spread. None where there is no such run.
    """
    frame = table.frame
    values, recipes = frame["value"].to_numpy(), frame["recipe"].to_list()
    groups = [f"{recipe}\n{task}" for recipe, task in zip(recipes, frame["task"].to_list(), strict=True)]
    far = outliers(values, groups)
    for task in frame["task"].unique().to_list():
        own = frame["task"].eq_missing(task).to_numpy()
        other_unit = mixed_units(values[own], np.asarray(recipes)[own].tolist(), table.metric)
        if other_unit is not None:
            far[own] |= other_unit.few
    if not far.any():
        return None
    units = said_units(frame, table.metric)
    parts = [_described(table, groups, far, int(at)) for at in np.flatnonzero(far)]
    sentence = f"Far from the other runs of the recipe: {some(parts, _NAMED)}."
    return FarRuns(
        count=int(far.sum()),
        sentence=f"{units} {sentence}".strip(),
        units=units,
        rest=replace(table, frame=frame.filter(~far), examples=None),
    )


def _described(table: RunTable, groups: Sequence[str], far: np.ndarray, at: int) -> str:
    """A run that is far, beside those that it is far from: `0.91 of sgd (row 5; the other 7 have 90.1 to 91.4)`."""
    row = table.frame.row(at, named=True)
    beside = [other for other, group in enumerate(groups) if group == groups[at] and not far[other]]
    values = table.frame["value"].to_numpy()[beside]
    others = f"; the other {len(values)} have {values.min():g} to {values.max():g}" if len(values) > 1 else ""
    task = "" if row["task"] is None or len(table.tasks) < 2 else f" on {row['task']}"
    return f"{row['value']:g} of {row['recipe']}{task} ({places(table.frame[at])}{others})"
