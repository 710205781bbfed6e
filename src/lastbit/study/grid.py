"""A study's stored trials in their table: a row for each noise, a column for each seed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch

from lastbit.noise import Noise
from lastbit.statistics.examples import Correctness
from lastbit.statistics.spread import Table, spread
from lastbit.study.failure import Failure
from lastbit.study.stored_trial import StoredTrial

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True)
class Grid:
    """Stored trials by place; an unfinished one is absent."""

    noises: tuple[Noise, ...]  # the first is the one the others are compared with
    seeds: tuple[int, ...]
    stored: Mapping[tuple[int, int], StoredTrial]  # (index of the noise, index of the seed) -> trial
    ids: Mapping[tuple[int, int], str]  # the same places -> trial id, for all trials
    failed: Mapping[tuple[int, int], Failure] = field(default_factory=dict)  # those that failed when last tried

    def values(self, metric: str) -> Table:
        """Final values of a metric, shape (noises, seeds); NaN for a diverged or unfinished trial."""
        table = np.full((len(self.noises), len(self.seeds)), np.nan)
        for place, trial in self.stored.items():
            value = trial.final(metric)
            table[place] = np.nan if value is None else value
        return table

    def correctness(self) -> Correctness | None:
        """Which finished run is right on which test example.

        None where no finished run stored both predictions and true labels, or where test sets differ.
        """
        finished = {place: trial for place, trial in self.stored.items() if trial.diverged_at is None}
        targets = {place: labels for place, trial in finished.items() if (labels := trial.targets()) is not None}
        if not targets:
            return None
        first = next(iter(targets.values()))
        if len(first) == 0 or not all(torch.equal(first, other) for other in targets.values()):
            return None
        right = np.full((len(self.noises), len(self.seeds), len(first)), np.nan)
        for place in targets:
            labels = finished[place].predictions()
            right[place] = 100.0 * (labels == first).numpy() if labels is not None else np.nan
        return Correctness(first.numpy(), right)

    def proofs(self) -> dict[str | None, list[int]]:
        """The seeds of each kind of arithmetic by its proof, which is None where none was made."""
        groups: dict[str | None, list[int]] = {}
        for j, seed in enumerate(self.seeds):
            column = [self.stored[i, j] for i in range(len(self.noises)) if (i, j) in self.stored]
            if column:
                groups.setdefault(column[0].proof, []).append(seed)
        return groups

    def frame(self, metric: str) -> pl.DataFrame:
        """The paper's Table 1: rows k, columns seeds, then STD (ddof 1) of each row; last a row of the columns' STD."""
        import polars as pl  # only here: it takes half a second that no worker needs

        values = self.values(metric)
        seeds = {f"seed {seed}": _with_std(values[:, j]) for j, seed in enumerate(self.seeds)}
        stds = [_std(row) for row in values]
        return pl.DataFrame({"noise": [*(noise.label for noise in self.noises), "STD"], **seeds, "STD": [*stds, None]})


def _with_std(column: Table) -> list[float | None]:
    return [None if np.isnan(value) else float(value) for value in column] + [_std(column)]


def _std(values: Table) -> float | None:
    found = spread(values)
    return None if found is None else found.std
