"""Runs as trackers log them: settings, and histories of numbers, of which one value each is kept."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lastbit.runs.columns import lower_is_better
from lastbit.runs.raw import END, FILE, RUN, STATE, TASK, Asked, RawRuns, StepRule, flat, frame_of
from lastbit.runs.shape import step_note

if TYPE_CHECKING:
    import polars as pl


@dataclass
class LoggedHistory:
    """What is kept of a metric's history while it is read: enough for every rule, however long it is.

    Attributes:
        rule: which value counts.
        lower: whether the best is the smallest.
        last: step and value at the largest step, of equal steps the later in the file.
        best: step and value of the best finite value, of equal values the first.
        length: how many values there were.
    """

    rule: StepRule
    lower: bool
    last: tuple[float, float] | None = None
    best: tuple[float, float] | None = None
    length: int = 0

    def add(self, steps: NDArray[np.float64], values: NDArray[np.float64]) -> None:
        """Take in a stretch of the history, shapes (n,), in the order of the file."""
        if isinstance(self.rule, int):
            steps, values = steps[steps <= self.rule], values[steps <= self.rule]
        if not len(steps):
            return
        self.length += len(steps)
        at = len(steps) - 1 - int(np.argmax(steps[::-1]))
        if self.last is None or steps[at] >= self.last[0]:
            self.last = float(steps[at]), float(values[at])
        worth = np.where(np.isfinite(values), -values if self.lower else values, -math.inf)
        at = int(np.argmax(worth))
        if math.isfinite(worth[at]) and (self.best is None or worth[at] > (-1 if self.lower else 1) * self.best[1]):
            self.best = float(steps[at]), float(values[at])

    @property
    def chosen(self) -> tuple[float, float] | None:
        """Step and value that count. A run that ends in NaN has diverged, whatever it reached before."""
        is_finite = self.last is not None and math.isfinite(self.last[1])
        return self.best if self.rule == "best" and is_finite else self.last


@dataclass
class LoggedRun:
    """One run of a tracker.

    Attributes:
        name: the run's name, or the path of its directory below what was given.
        file: where it was read.
        settings: its configuration, nested or flat.
        state: how it ended, where the tracker says so.
        task: what it was evaluated on, where a run has several.
        metrics: the histories, by name.
    """

    name: str
    file: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    state: str | None = None
    task: str | None = None
    metrics: dict[str, LoggedHistory] = field(default_factory=dict)

    def log(self, asked: Asked, name: str, steps: Sequence[float] | NDArray[Any], values: Any) -> None:
        """Add values to the history of a metric."""
        if name not in self.metrics:
            lower = asked.lower_is_better if name == asked.metric and asked.lower_is_better is not None else None
            self.metrics[name] = LoggedHistory(asked.step, bool(lower_is_better(name) if lower is None else lower))
        self.metrics[name].add(np.asarray(steps, np.float64), np.asarray(values, np.float64))


def raw_runs(
    runs: Iterable[LoggedRun],
    asked: Asked,
    *,
    notes: Sequence[str] = (),
    examples: pl.DataFrame | None = None,
    stated: Mapping[str, bool] | None = None,
) -> RawRuns:
    """The frame of logged runs, with a row each.

    A setting with the name of a metric is called `config.NAME`.

    Args:
        runs: as they were read.
        asked: which value of a history counts.
        notes: of what was noticed while reading.
        examples: of the runs, where they are logged.
        stated: metrics whose direction the tracker itself states: whether less is better.
    """
    runs = list(runs)
    metrics = dict.fromkeys(name for run in runs for name in run.metrics)
    flattened = [
        {f"config.{name}" if name in metrics else name: value for name, value in flat(run.settings).items()}
        for run in runs
    ]
    records = []
    for run, settings in zip(runs, flattened, strict=True):
        chosen = {name: history.chosen for name, history in run.metrics.items()}
        values = {name: None if at is None else at[1] for name, at in chosen.items()}
        added = {FILE: run.file, RUN: run.name, STATE: run.state, TASK: run.task, END: _end(run, asked)}
        records.append({**settings, **values, **{name: value for name, value in added.items() if value is not None}})
    compared = [history for run in runs for name, history in run.metrics.items() if asked.metric in (None, name)]
    said = list(notes)
    if any(history.length > 1 for history in compared):
        said.append(step_note(asked.metric or "value", asked.step, compared[0].lower))
    names = dict.fromkeys(name for settings in flattened for name in settings)
    return RawRuns(frame_of(records), tuple(names), tuple(metrics), stated or {}, tuple(said), examples)


def _end(run: LoggedRun, asked: Asked) -> float | None:
    """The step that the compared value is of; None where it has no history, or is not known yet."""
    name = asked.metric or (next(iter(run.metrics)) if len(run.metrics) == 1 else "")
    history = run.metrics.get(name)
    return history.chosen[0] if history is not None and history.length > 1 and history.chosen is not None else None
