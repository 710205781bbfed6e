"""Which examples and classes change their prediction from run to run of a study, with pictures where there are any."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Protocol, runtime_checkable

import numpy as np

from lastbit.statistics.flips import MISSING_LABEL, Labels, churn_by_class, example_churn, most_flipped
from lastbit.statistics.spread import OVER_NOISES, OVER_SEEDS
from lastbit.study.grid import Grid

_SHOWN = 12  # examples that flip most
_AXES = {"noise": OVER_NOISES, "seed": OVER_SEEDS}


@runtime_checkable
class Illustrated(Protocol):
    """A training that knows what its test examples look like, and what its classes are called."""

    @property
    def class_names(self) -> Sequence[str]:
        """A name for each label."""

    def pictures(self, positions: Sequence[int]) -> Sequence[str]:
        """For each position in the test set, a picture as a data URI of a PNG."""


def flips_json(grid: Grid) -> dict[str, Any] | None:
    """Churn by class and the examples that flip most, over noises and over seeds.

    None without true labels. Of an axis along which no two runs can be compared there is None as well.

    Args:
        grid: the trials that count.
    """
    correct = grid.correctness()
    if correct is None:
        return None
    labels = predicted_labels(grid, len(correct.targets))
    return {name: _along(labels, correct.targets, axis) for name, axis in _AXES.items()}


def predicted_labels(grid: Grid, examples: int) -> Labels:
    """The predictions of all trials, shape (noises, seeds, examples); `MISSING_LABEL` for a trial without them."""
    labels = np.full((len(grid.noises), len(grid.seeds), examples), MISSING_LABEL, dtype=np.int64)
    for place, trial in grid.stored.items():
        predicted = trial.predictions() if trial.diverged_at is None else None
        if predicted is not None and predicted.shape == (examples,):
            labels[place] = predicted.numpy()
    return labels


def _along(labels: Labels, targets: Labels, axis: int) -> dict[str, Any] | None:
    churn = example_churn(labels, axis=axis)
    if np.isnan(churn).any():
        return None
    return {
        "classes": [asdict(row) for row in churn_by_class(churn, targets)],
        "examples": [asdict(row) for row in most_flipped(labels, targets, churn, count=_SHOWN)],
    }


def illustrated(content: Mapping[str, Any], training: object) -> dict[str, Any]:
    """A study's results with the pictures of the examples that flip most, and the names of its classes.

    Args:
        content: as `Results.as_json` gives it.
        training: what the study trains; of one that is not `Illustrated` the results stay as they are.
    """
    function, flips = getattr(training, "function", training), content["flips"]
    if flips is None or not isinstance(function, Illustrated):
        return dict(content)
    parts = [part for part in flips.values() if part is not None]
    positions = sorted({row["index"] for part in parts for row in part["examples"]})
    pictures = function.pictures(positions)
    known = {"class_names": list(function.class_names), "pictures": dict(zip(positions, pictures, strict=True))}
    return {**content, "flips": {**flips, **known}}
