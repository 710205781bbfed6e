"""Watching an optimizer's steps from outside: counted by hooks, with something done around those that are due."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from lastbit.errors import LastbitError, LastbitTypeError
from lastbit.optimizers.family import Optimizer
from lastbit.schedules import Schedule

MODES = ("eval", "as is")


class StepWatch:
    """Counts an optimizer's steps while it is open, and calls `before` and `after` at those that are due.

    Steps that a gradient scaler leaves to the optimizer itself to skip, as to a fused one, are not counted.

    Args:
        optimizer: the one to watch.
        every: whether a step is due, of its number.
        start: steps already made.
        before: called just before a step that is due.
        after: called after it, when it is counted.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        every: Schedule,
        start: int,
        *,
        before: Callable[[], object],
        after: Callable[[], object],
    ) -> None:
        self.step = start  # steps so far
        self._optimizer, self._every, self._around = optimizer, every, (before, after)
        self._hooks: list[torch.utils.hooks.RemovableHandle] = []
        self._due = False  # whether the step that is being taken is

    @property
    def is_open(self) -> bool:
        """Whether it is watching."""
        return bool(self._hooks)

    def open(self) -> None:
        """Watch from here on.

        Raises:
            RuntimeError: it is watching already.
        """
        self.refuse_open()
        self._hooks = [
            self._optimizer.register_step_pre_hook(self._before),
            self._optimizer.register_step_post_hook(self._after),
        ]

    def refuse_open(self) -> None:
        """Refuse to watch twice.

        Raises:
            RuntimeError: it is watching already.
        """
        if self.is_open:
            raise RuntimeError("this monitor is watching already; make another for a second training")

    def close(self) -> None:
        """Watch no longer."""
        while self._hooks:
            self._hooks.pop().remove()

    def _before(self, *_: object) -> None:
        self._due = bool(self._every(self.step + 1))
        if self._due:
            self._around[0]()

    def _after(self, *_: object) -> None:
        if bool(getattr(self._optimizer, "found_inf", False)):
            return
        self.step += 1
        if self._due:
            self._around[1]()


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
