"""The end of a program's process, by whichever way it comes while Python can still act."""

import atexit
import os
import sys
from collections.abc import Callable
from typing import Any

Act = Callable[[], None]
OnReplaced = Callable[[str], None]


def at_every_end(act: Act, on_replaced: OnReplaced) -> None:
    """Call `act` once, as the last thing that this process does.

    A program ends in more ways than by its last line: by `sys.exit`, an exception, a thread that outlives its main
    function, handlers of `atexit` that still train, `os._exit`, or by becoming another program (`os.exec*`). What was
    registered with `atexit` first is called last of all, after the other threads, so this must be called before the
    program's first line. A process forked from this one does nothing at its end. No Python code runs after a signal
    that kills, or C code that ends the process: then `act` was never called.

    Args:
        act: without arguments.
        on_replaced: called before `act` where the process becomes another program, with that program's words.
    """
    end = _Once(act)
    atexit.register(end)
    _before_os_exit(end)
    sys.addaudithook(lambda event, args: _exec(event, args, end, on_replaced))


class _Once:
    """Acts at its first call, in the process that made it."""

    def __init__(self, act: Act) -> None:
        self._act, self._process, self._done = act, os.getpid(), False

    @property
    def due(self) -> bool:
        """Whether a call would act."""
        return not self._done and os.getpid() == self._process

    def __call__(self) -> None:
        """Act, unless it was done."""
        if self.due:
            self._done = True
            self._act()


def _before_os_exit(end: _Once) -> None:
    leave = os._exit

    def leave_after_all(status: int) -> None:
        """End the process at once, as `os._exit` does, after what is to be done at its end."""
        try:
            end()
        finally:
            leave(status)

    os._exit = leave_after_all  # type: ignore[assignment]


def _exec(event: str, args: tuple[Any, ...], end: _Once, on_replaced: OnReplaced) -> None:
    if event == "os.exec" and end.due:
        on_replaced(" ".join(os.fsdecode(word) for word in args[1]))
        end()
