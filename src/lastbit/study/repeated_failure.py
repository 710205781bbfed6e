"""A failure that every trial would repeat: before its first update, or by the exit status after the training.

Neither noise nor training has a part in those.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lastbit.study.execute import Outcome

_ENOUGH = 2  # trials that fail alike, and first


class RepeatedFailure:
    """Looks at a study's outcomes as they come, and notices where the first two failed alike in such a way."""

    def __init__(self) -> None:
        self._errors: list[tuple[int | None, str]] | None = []  # None once a trial has come further than that

    def found(self, outcome: Outcome) -> bool:
        """Whether this outcome shows that all trials to come would fail alike."""
        if self._errors is None:
            return False
        self._errors.append((outcome.exit_code, _essence(outcome)))
        if not (outcome.untrained or outcome.exited) or len(set(self._errors)) > 1:
            self._errors = None
        return self._errors is not None and len(self._errors) == _ENOUGH


@contextmanager
def first_update() -> Iterator[Callable[[], bool]]:
    """Give a function that tells whether a torch optimizer may have been stepped since the block began.

    Outside the main thread it always may: other threads may be stepping, and a new hook would break their loop over all
    hooks.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: True
        return
    from torch._compile import _disable_dynamo
    from torch.optim.optimizer import register_optimizer_step_post_hook

    stepped = threading.Event()

    def on_step(*_: object) -> None:
        """Note that there was a step."""
        stepped.set()

    # A training may compile its update; what is done here is no part of a graph.
    hook = register_optimizer_step_post_hook(_disable_dynamo(on_step))
    try:
        yield stepped.is_set
    finally:
        hook.remove()


def _essence(outcome: Outcome) -> str:
    """The last line of an error without what is another one in each trial: its id, its seed, a number."""
    lines = (outcome.error or "").rstrip().splitlines() or [""]
    return re.sub("[0-9]+", "#", lines[-1].replace(outcome.trial.id, ""))
