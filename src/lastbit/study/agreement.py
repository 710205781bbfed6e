"""Whether two stored runs gave the same: the bits of their weights, each metric as a number, each prediction."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from math import isnan
from typing import Any

import torch

from lastbit.study.recorder import PREDICTIONS, STEP
from lastbit.study.stored_trial import StoredTrial

# A whole name, for a word of it alone also stands in `val_ms_ssim`, `wind_speed_mae` and `memory_accuracy`.
_WHERE = (
    "train|training|val|valid|validation|test|eval|evaluation|epoch|step|batch|iter|iteration|perf|system|sys|total|mean|"
    "avg|average|median|max|min|peak|gpu|cuda|cpu|host|device|process|data|forward|backward|load|loading|inference|run"
)
_PIECES = "samples?|tokens?|images?|examples?|steps?|batch|batches|iters?|iterations?|it|items|words|epochs?|updates?"
_SECONDS = "s|secs?|seconds?|ms|msecs?|milliseconds?|us|ns|mins?|minutes?|h|hrs?|hours?"
_MEASURES_THE_MACHINE = re.compile(
    f"(?:train_|training_)?speed|(?:(?:{_WHERE})_)*(?:"
    "fps|ips|throughput|timestamp|started(?:_at)?|ended(?:_at)?|(?:start|end)_time|"
    f"(?:wall|wall_?time|wall_?clock|wall_?clock_time|time|elapsed|elapsed_time|duration|runtime|latency)"
    f"(?:_(?:total|elapsed|mean|avg|max))?(?:_(?:{_SECONDS}))?|"
    "seconds?|secs?|ms|milliseconds|minutes?|mins?|hours?|"
    f"(?:time|{_SECONDS})_per_(?:{_PIECES})|(?:{_PIECES})_(?:per_)?(?:s|secs?|seconds?|minutes?|hours?)|"
    "(?:memory|mem|rss|vram|ram)(?:_(?:allocated|reserved|used|usage|peak|max))*(?:_(?:b|bytes|[kmg]i?b))?"
    ")",
    re.IGNORECASE,
)
_PROGRESS = (STEP, "epoch")  # how far a training is, and no result of it


@dataclass(frozen=True)
class Differing:
    """A result that two runs do not share."""

    metric: str | None  # None for the predictions
    values: str  # of both runs, in words
    step: int | None = None  # of the first value that differs, where the last one agrees or it is known
    counts: bool = False  # whether the runs have different numbers of values, which says nothing of the values

    def __str__(self) -> str:
        return f"{self.metric or 'the predictions'} ({self.values})"

    @property
    def measures_the_machine(self) -> bool:
        """Whether its name is that of a time or of memory, which no two runs share."""
        return self.metric is not None and _MEASURES_THE_MACHINE.fullmatch(_words(self.metric)) is not None

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
        """The differing results that are compared: this metric and the predictions."""
        return tuple(found for found in self.differing if found.metric in (metric, None))

    def unexplained(self, metric: str) -> tuple[Differing, ...]:
        """The differing results of which the weights kept do not show that the training was the same."""
        beyond = (found for found in self.differing if self.kept is None or (found.step or 0) > self.kept)
        decisive = self.decisive(metric)
        return tuple(found for found in beyond if found in decisive or not found.measures_the_machine)

    def holds(self, metric: str) -> bool:
        """Whether the runs agree in all that counts in a study of this metric."""
        return self.weights and not self.decisive(metric) and not self.unexplained(metric)


def agreement(one: StoredTrial, other: StoredTrial) -> Agreement:
    """Compare two stored runs.

    Metrics are compared as numbers, value by value, and one that is not finite equals another such. What a script
    printed besides, such as times and paths, is no result.

    Raises:
        DamagedError: a file of theirs is not what was stored.
    """
    steps = one.weight_steps()
    return Agreement(
        weights=same_weights(one, other),
        kept=steps[-1] if steps else None,
        differing=(*_metrics(one, other), *_predictions(one, other)),
    )


def same_weights(one: StoredTrial, other: StoredTrial) -> bool:
    """Whether two runs kept the same weights at the same steps, bit for bit, and diverged alike."""
    return (one.diverged_at, one.weight_sums) == (other.diverged_at, other.weight_sums)


def series(trial: StoredTrial) -> dict[str, list[tuple[int | None, float | None]]]:
    """The values of each metric with their steps, in order."""
    found: dict[str, list[tuple[int | None, float | None]]] = {}
    for row in trial.metrics:
        step = row.get(STEP)
        for name, value in row.items():
            if name != STEP:
                value = None if value is None or isnan(value) else value
                found.setdefault(name, []).append((step if isinstance(step, int) else None, value))
    return found


def first_logged(trial: StoredTrial) -> str:
    """The metric that a run logged first; empty where it logged none."""
    return next((name for row in trial.metrics for name in row if name not in _PROGRESS), "")


def _metrics(one: StoredTrial, other: StoredTrial) -> Iterator[Differing]:
    first, second = series(one), series(other)
    for name in dict.fromkeys([*first, *second]):
        a, b = first.get(name, []), second.get(name, [])
        if a != b:
            yield _differing(name, a, b)


def _differing(name: str, a: list[Any], b: list[Any]) -> Differing:
    if len(a) != len(b):
        return Differing(name, f"{len(a)} and {len(b)} values", counts=True)
    place = next(i for i in range(len(a)) if a[i] != b[i])
    last = a[-1][1] != b[-1][1]
    values = _both(a[-1][1], b[-1][1]) if last else _both(a[place][1], b[place][1])
    step = a[place][0]
    at = "" if last else f" at step {step}" if step is not None else f", value {place + 1} of {len(a)}"
    return Differing(name, values + at, step)


def _words(name: str) -> str:
    """A name with one kind of sign between its words: `train/epoch time` is `train_epoch_time`."""
    return re.sub(r"[\W_]+", "_", name).strip("_")


def _both(one: float | None, other: float | None) -> str:
    for digits in (4, 6, 9, 17):
        words = ["nan" if value is None else f"{value:.{digits}g}" for value in (one, other)]
        if words[0] != words[1]:
            break
    return " and ".join(words)


def _predictions(one: StoredTrial, other: StoredTrial) -> Iterator[Differing]:
    if one.files.get(PREDICTIONS) == other.files.get(PREDICTIONS):
        return
    pairs = (one.predictions(), other.predictions()), (one.targets(), other.targets())
    lengths = [0 if labels is None else len(labels) for labels in pairs[0]]
    if lengths[0] != lengths[1]:
        yield Differing(None, f"of {lengths[0]} and {lengths[1]} examples")
        return
    differ = torch.zeros(lengths[0], dtype=torch.bool)
    for a, b in pairs:
        if a is not None and b is not None and a.shape == b.shape == differ.shape:
            differ |= a != b
    yield Differing(None, f"{int(differ.sum())} of {lengths[0]} examples differ")
