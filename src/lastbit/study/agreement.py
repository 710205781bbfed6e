"""Whether two stored runs gave the same: the bits of their weights, each metric as a number, each prediction."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import isnan
from typing import Any

import torch

from lastbit.study.metric import measures_the_machine
from lastbit.study.recorder import PREDICTIONS, STEP
from lastbit.study.stored_trial import StoredTrial

_PROGRESS = (STEP, "epoch")  # how far a training is, and no result of it
_Series = list[tuple[int | None, float | None]]  # of one metric: step and value, in order


@dataclass(frozen=True)
class Differing:
    """A result that two runs do not share."""

    metric: str | None  # None for the predictions
    values: str  # of both runs, in words
    step: int | None = None  # of the first value that differs, where the last one agrees or it is known
    counts: bool = False  # whether the runs have different numbers of values, so that none are compared

    def __str__(self) -> str:
        return f"{self.metric or 'the predictions'} ({self.values})"

    @property
    def measures_the_machine(self) -> bool:
        """Whether its name is that of a time or of memory, which no two runs share."""
        return self.metric is not None and measures_the_machine(self.metric)

    def as_json(self) -> dict[str, Any]:
        """Plain data."""
        return {"metric": self.metric, "values": self.values, "step": self.step}


@dataclass(frozen=True)
class Agreement:
    """In what two runs agree."""

    weights: bool = True  # whether they kept the same weights, bit for bit, and diverged alike
    kept: int | None = None  # the last step of those weights; None where none were kept
    differing: tuple[Differing, ...] = ()  # results that differ

    def decisive(self, metric: str) -> tuple[Differing, ...]:
        """The differing results that a study of this metric compares: the metric and the predictions."""
        return tuple(result for result in self.differing if result.metric in (metric, None))

    def unexplained(self, metric: str) -> tuple[Differing, ...]:
        """The differing results of which the weights kept do not show that the training was the same."""
        beyond = (result for result in self.differing if self.kept is None or (result.step or 0) > self.kept)
        decisive = self.decisive(metric)
        return tuple(result for result in beyond if result in decisive or not result.measures_the_machine)

    def trained_alike(self, metric: str) -> bool:
        """Whether the weights agree, and nothing suggests that the training did not."""
        return self.weights and not self.unexplained(metric)

    def holds(self, metric: str) -> bool:
        """Whether the runs agree in all that counts in a study of this metric."""
        return self.trained_alike(metric) and not self.decisive(metric)


def agreement(first: StoredTrial, second: StoredTrial) -> Agreement:
    """Compare two stored runs.

    Metrics are compared as numbers, value by value; values that are not finite count as equal. What a script
    printed besides, such as times and paths, is no result.

    Raises:
        DamagedError: a file of theirs is not what was stored.
    """
    steps = first.weight_steps()
    return Agreement(
        weights=same_weights(first, second),
        kept=steps[-1] if steps else None,
        differing=(*_metrics(first, second), *_predictions(first, second)),
    )


def same_weights(first: StoredTrial, second: StoredTrial) -> bool:
    """Whether two runs kept the same weights at the same steps, bit for bit, and diverged alike."""
    return (first.diverged_at, first.weight_sums) == (second.diverged_at, second.weight_sums)


def first_logged(trial: StoredTrial) -> str:
    """The metric that a run logged first; empty where it logged none."""
    return next((name for row in trial.metrics for name in row if name not in _PROGRESS), "")


def _series(trial: StoredTrial) -> dict[str, _Series]:
    """The values of each metric with their steps, in order."""
    series: dict[str, _Series] = {}
    for row in trial.metrics:
        step = row.get(STEP)
        for name, value in row.items():
            if name != STEP:
                value = None if value is None or isnan(value) else value
                series.setdefault(name, []).append((step if isinstance(step, int) else None, value))
    return series


def _metrics(first: StoredTrial, second: StoredTrial) -> Iterator[Differing]:
    ours, theirs = _series(first), _series(second)
    for name in dict.fromkeys([*ours, *theirs]):
        a, b = ours.get(name, []), theirs.get(name, [])
        if len(a) != len(b):
            yield Differing(name, f"{len(a)} and {len(b)} values", counts=True)
        elif a != b:
            yield _differing(name, a, b)


def _differing(name: str, a: _Series, b: _Series) -> Differing:
    place = next(i for i in range(len(a)) if a[i] != b[i])
    step = a[place][0]
    if a[-1][1] != b[-1][1]:
        return Differing(name, _both(a[-1][1], b[-1][1]), step)
    at = f" at step {step}" if step is not None else f", value {place + 1} of {len(a)}"
    return Differing(name, _both(a[place][1], b[place][1]) + at, step)


def _both(a: float | None, b: float | None) -> str:
    """Two values with as many digits as tell them apart."""
    for digits in (4, 6, 9, 17):
        words = ["nan" if value is None else f"{value:.{digits}g}" for value in (a, b)]
        if words[0] != words[1]:
            break
    return " and ".join(words)


def _predictions(first: StoredTrial, second: StoredTrial) -> Iterator[Differing]:
    if first.files.get(PREDICTIONS) == second.files.get(PREDICTIONS):
        return
    pairs = (first.predictions(), second.predictions()), (first.targets(), second.targets())
    lengths = [0 if labels is None else len(labels) for labels in pairs[0]]
    if lengths[0] != lengths[1]:
        yield Differing(None, f"of {lengths[0]} and {lengths[1]} examples")
        return
    differ = torch.zeros(lengths[0], dtype=torch.bool)
    for a, b in pairs:
        if a is not None and b is not None and a.shape == b.shape == differ.shape:
            differ |= a != b
    yield Differing(None, f"{int(differ.sum())} of {lengths[0]} examples differ")
