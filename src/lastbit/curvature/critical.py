"""Critical sharpness: how much longer an optimizer's own step may be before it raises the loss, by forward passes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import nn

from lastbit.curvature.step_line import LineSearch, StepLine
from lastbit.curvature.step_watch import StepMonitor, refuse_wrong
from lastbit.optimizers.family import innermost
from lastbit.samples import Loss
from lastbit.schedules import Schedule, as_schedule, log_spaced

_LOG_SPACED = log_spaced()


@dataclass(frozen=True, kw_only=True)
class CriticalRow:
    """How far one step of an optimizer could have gone before it raised the loss.

    The critical sharpness is 2 / (multiple * lr), with `multiple` the longest step along this update, in units of the
    step taken, that does not raise the loss (Kalra et al. 2026, arXiv 2601.16979). On a quadratic with the gradient g
    of this loss and the update lr d it is d'Hd / g'd. Of plain descent, where d = g, that is a Rayleigh quotient, and
    never above the sharpness of the same loss.
    """

    step: int  # updates of the optimizer so far, this one included
    loss: float  # of the batch, before the step
    lr: float  # of the step: the largest among the parameter groups
    multiple: float  # interpolated between the two bounds
    lower: float  # the longest step tried that did not raise the loss; 0 if every one did
    upper: float  # the shortest that did; infinite if none did
    forwards: int  # forward passes
    resolved: bool = False  # the loss changes by more than its rounding at both bounds
    converged: bool = False  # the bounds are within 1/16 of each other
    seconds: float = math.nan  # wall time
    note: str = ""  # what is known where the bounds are open or the loss has lost its meaning

    @property
    def sharpness(self) -> float:
        """2 / (multiple * lr)."""
        return _inverse(self.multiple * self.lr)

    @property
    def bounds(self) -> tuple[float, float]:
        """The critical sharpness lies between these two, by the losses that were evaluated."""
        return _inverse(self.upper * self.lr), _inverse(self.lower * self.lr)

    @property
    def diverged(self) -> bool:
        """Whether the loss before the step is no finite number."""
        return not math.isfinite(self.loss)

    def advice(self) -> str:
        """By what factor the learning rate may change before a step like this one raises the loss, in a sentence."""
        if self.note:
            return self.note
        span = f"{self.multiple:.3g} ({self.lower:.3g} to {self.upper:.3g})"
        if self.lower >= 1:
            return f"the learning rate {self.lr:.4g} may rise by a factor of {span} before this step raises the loss"
        if self.upper <= 1:
            return f"this step raises the loss at the learning rate {self.lr:.4g}, up from {span} times that"
        return f"this step is as long as it may be: the loss rises from {span} times the learning rate {self.lr:.4g} on"

    def as_dict(self) -> dict[str, Any]:
        """Everything by name, for JSON and tables."""
        derived = {"sharpness": self.sharpness, "diverged": self.diverged, "advice": self.advice()}
        return asdict(self) | derived

    def scalars(self) -> dict[str, float]:
        """What a chart against the step shows, by name."""
        names = ("loss", "multiple", "lower", "upper", "forwards", "seconds")
        return {f"critical_{name}": float(getattr(self, name)) for name in names} | {
            "critical_sharpness": self.sharpness
        }


def critical_row(found: LineSearch, *, step: int) -> CriticalRow:
    """The row of a search along a step; with a note where that is not all one wants to know."""
    known: dict[str, Any] = {"step": step, "loss": found.loss, "lr": found.lr, "seconds": found.seconds}
    crossing = found.crossing
    if crossing is None:
        finite = math.isfinite(found.loss)
        why = "the step moves no weight" if finite else f"the loss is {found.loss} before the step"
        row = CriticalRow(**known, multiple=math.nan, lower=0.0, upper=math.inf, forwards=1)
        return replace(row, note=f"{why}, so that nothing is known of its critical sharpness")
    bounds: dict[str, Any] = {"multiple": crossing.multiple, "lower": crossing.lower, "upper": crossing.upper}
    forwards = 1 + len(crossing.changes)
    row = CriticalRow(**known, **bounds, forwards=forwards, resolved=found.resolved, converged=crossing.converged)
    return replace(row, note=_note(row))


def _note(row: CriticalRow) -> str:
    low, high = row.bounds
    if not row.resolved:
        return (
            f"between {row.lower:.4g} and {row.upper:.4g} times the present rate the loss changes by no more than its "
            "rounding: measure in a wider type, or on more samples"
        )
    if math.isinf(row.upper):
        return (
            f"the step lowers the loss at every rate tried, up to {row.lower:.4g} times the present one: critical "
            f"sharpness is at most {high:.4g}"
        )
    if row.lower == 0:
        return (
            f"the step raises the loss at every rate tried, down to {row.upper:.4g} times the present one: critical "
            f"sharpness is at least {low:.4g}, and the update may be no descent on this batch"
        )
    return ""


def _inverse(rate: float) -> float:
    return 2 / rate if rate else math.inf


class CriticalSharpness(StepMonitor[CriticalRow]):
    """Measures, on a schedule, how much longer a training's steps could be before they raise the loss.

        with lb.CriticalSharpness(model, loss, batch, optimizer, every=100) as critical:
            ...  # the training loop as before
        print(critical.rows[-1].advice())

    It needs the optimizer's own step and at most 6 forward passes, no derivative: so any optimizer will do, compiled
    and sharded models, and attention without second derivatives. At a step that is due it keeps the weights from before
    and after; the loss is then evaluated between the two and beyond, every time from the same random state, so that
    dropout drops the same. Weights, buffers, `.grad`, modes and torch's random states end up bit for bit as they were.
    It holds two more copies of the weights meanwhile. The first row whose loss is not finite is the last.

    Several processes with one model (DDP, FSDP) must all watch, on the same schedule; the loss is their mean.

    Args:
        model: the network in training, as the loop calls it: wrapped, compiled, sharded.
        loss: `loss(model(inputs), targets)`, one number.
        batch: (inputs, targets), or a mapping, which is both; `batch` may be set anew in the loop.
        optimizer: any of torch's or of another package, that changes the weights in `step`.
        every: updates from one measurement to the next, or a schedule.
        sinks: callables that receive each row.
        mode: "as is" evaluates in the modes of training; "eval" in evaluation mode.
        context: makes what the loop's forward pass runs in, as `lambda: torch.autocast("cuda", torch.bfloat16)`.
        start: updates already made, where a training is resumed.

    Raises:
        LastbitTypeError: an argument is of the wrong kind.
        LastbitError: an option is out of range, or `batch` holds more than one batch.
    """

    def __init__(
        self,
        model: nn.Module,
        loss: Loss,
        batch: Any,
        optimizer: torch.optim.Optimizer,
        every: Schedule | int = _LOG_SPACED,
        *,
        sinks: Sequence[Callable[[CriticalRow], object]] = (),
        mode: str = "as is",
        context: Callable[[], AbstractContextManager[Any]] = nullcontext,
        start: int = 0,
    ) -> None:
        refuse_wrong(loss, sinks, mode)
        super().__init__(innermost(optimizer), as_schedule(every), sinks, start)
        self._line = StepLine(model, loss, batch, innermost(optimizer), mode=mode, context=context)

    def __repr__(self) -> str:
        last = "".join(f", {row.multiple:.4g} times the rate at step {row.step:,}" for row in self._rows[-1:])
        return f"<CriticalSharpness: step {self.step:,}, rows: {len(self._rows):,}{last}>"

    @property
    def batch(self) -> tuple[Any, Any]:
        """The inputs and targets that are measured; may be set to another batch."""
        return self._line.batch

    @batch.setter
    def batch(self, batch: Any) -> None:
        """Measure on another batch from now on."""
        self._line.put(batch)

    def _before_step(self) -> None:
        self._line.begin()

    def _after_step(self) -> None:
        self._keep(critical_row(self._line.search(), step=self.step))
