"""Watching an optimizer's steps from outside: counted by hooks, with a measurement around those that are due."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Generic, Protocol, Self, TypeVar

import torch

from lastbit.errors import LastbitError, LastbitTypeError
from lastbit.optimizers.family import Optimizer
from lastbit.schedules import Schedule

MODES = ("eval", "as is")


class Row(Protocol):
    """What a monitor measures at a step."""

    @property
    def diverged(self) -> bool:
        """Whether the loss is no finite number."""


RowT = TypeVar("RowT", bound=Row)


class StepMonitor(ABC, Generic[RowT]):
    """Counts an optimizer's steps inside its block, and measures at those that are due, until a row has diverged.

    Steps that a gradient scaler leaves to the optimizer itself to skip, as to a fused one, are not counted.

    Args:
        optimizer: the one to watch.
        every: whether a step is due, of its number.
        sinks: callables that receive each row.
        start: steps already made.
    """

    def __init__(
        self, optimizer: Optimizer, every: Schedule, sinks: Sequence[Callable[[RowT], object]], start: int
    ) -> None:
        self._optimizer, self._every, self._sinks, self._step = optimizer, every, tuple(sinks), start
        self._rows: list[RowT] = []
        self._hooks: list[torch.utils.hooks.RemovableHandle] = []
        self._due = False  # whether the step that is being taken is

    @property
    def rows(self) -> tuple[RowT, ...]:
        """The measurements, in the order of the steps."""
        return tuple(self._rows)

    @property
    def step(self) -> int:
        """Updates of the optimizer so far."""
        return self._step

    def __enter__(self) -> Self:
        """Watch the optimizer from here on.

        Raises:
            RuntimeError: it is being watched already.
        """
        self._refuse_open()
        self._hooks = [
            self._optimizer.register_step_pre_hook(self._before),
            self._optimizer.register_step_post_hook(self._after),
        ]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop watching; an exception passes through."""
        while self._hooks:
            self._hooks.pop().remove()

    @abstractmethod
    def _before_step(self) -> None:
        """Prepare for a step that is due."""

    @abstractmethod
    def _after_step(self) -> None:
        """Measure a step that is due, once it is counted."""

    def _keep(self, row: RowT) -> None:
        """Add a row, and hand it to the sinks."""
        self._rows.append(row)
        for sink in self._sinks:
            sink(row)

    def _refuse_open(self) -> None:
        if self._hooks:
            raise RuntimeError("this monitor is watching already; make another for a second training")

    def _before(self, *_: object) -> None:
        ended = bool(self._rows) and self._rows[-1].diverged
        self._due = bool(self._every(self._step + 1)) and not ended
        if self._due:
            self._before_step()

    def _after(self, *_: object) -> None:
        if bool(getattr(self._optimizer, "found_inf", False)):
            return
        self._step += 1
        if self._due:
            self._after_step()


def refuse_wrong(loss: object, sinks: object, mode: str) -> None:
    """Check what every monitor is given.

    Raises:
        LastbitTypeError: the loss or a sink cannot be called.
        LastbitError: the mode is another.
    """
    if not callable(loss):
        raise LastbitTypeError(
            f"loss is a {type(loss).__name__}; give a callable loss(model(inputs), targets), such as "
            "torch.nn.functional.cross_entropy"
        )
    if not isinstance(sinks, Sequence) or not all(map(callable, sinks)):
        raise LastbitTypeError(f"sinks={sinks!r} is not allowed; give a list of callables that take a row")
    if mode not in MODES:
        raise LastbitError(f"mode={mode!r} is not allowed; give {' or '.join(map(repr, MODES))}")
