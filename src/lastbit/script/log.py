"""What a script may log while it trains; nothing happens where it does not run under lastbit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Tensor


class Listener(Protocol):
    """What a script's calls go to: the `Recorder` of the trial in which it runs."""

    def log(self, step: int | None = None, **metrics: float) -> None:
        """Record numbers, as `Recorder.log` does."""

    def log_predictions(self, labels: Tensor, targets: Tensor | None = None) -> None:
        """Keep the final predictions, as `Recorder.log_predictions` does."""


# Global, since the script calls plain functions and its process runs one trial.
_listeners: list[Listener] = []


def log(step: int | None = None, **metrics: float) -> None:
    """Record metrics of a trial of `lastbit run`, as `run.log` does; in a script that runs by itself, do nothing.

    Example: `lb.log(test_accuracy=accuracy)`

    Args:
        step: after how many updates; by default the number of updates the script has taken so far.
        metrics: numbers by name. The last one of each name is the trial's final value.

    Raises:
        LastbitTypeError: under `lastbit run`, a metric that is not a number.
    """
    for listener in _listeners:
        listener.log(step, **metrics)


def log_predictions(labels: Tensor, targets: Tensor | None = None) -> None:
    """Keep a trial's final predictions, as `run.log_predictions` does; in a script that runs by itself, do nothing.

    Args:
        labels: predicted labels of the test set, in the same order in every run, shape (examples,).
        targets: the true labels, shape (examples,).

    Raises:
        LastbitError: under `lastbit run`, the shapes differ.
    """
    for listener in _listeners:
        listener.log_predictions(labels, targets)


def hear(listener: Listener) -> None:
    """Pass what the script logs to `listener`, as long as this process lives."""
    _listeners.append(listener)
