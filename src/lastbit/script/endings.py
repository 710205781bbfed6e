"""The end of a program's process, by whichever way it comes while Python can still act."""

import atexit
import os
import sys
from collections.abc import Callable
from functools import wraps
from typing import Any

Act = Callable[[], None]
OnReplaced = Callable[[str | None], None]


def at_every_end(act: Act, on_replaced: OnReplaced) -> None:
    """Call `act` once, as the last thing that this process does.

    A program ends in more ways than by its last line: by `sys.exit`, an exception, a thread that outlives its main
    function, handlers of `atexit` that still train, `os._exit`, or by becoming another program (`os.exec*`). What was
    registered with `atexit` first is called last of all, after the other threads, so this must be called before the
    program's first line. A process forked from this one does nothing at its end. No Python code runs after a signal
    that kills, or C code that ends the process: then `act` was never called.

    Args:
        act: without arguments.
        on_replaced: called before `act` where the process becomes another program, with that program's words; and with
            None where that failed, so that the process goes on. Then `act` is called again at its end.
    """
    end = _Once(act)
    atexit.register(end)
    _before_os_exit(end)
    sys.addaudithook(lambda event, args: _exec(event, args, end, on_replaced))
    for name in ("execv", "execve"):  # all others of the family come down to these
        _undo_where_failed(name, end, on_replaced)


class _Once:
    """Acts at its first call, in the process that made it, and once more after an end that did not come."""

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

    def undo(self) -> None:
        """The end did not come."""
        self._done = False


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


def _undo_where_failed(name: str, end: _Once, on_replaced: OnReplaced) -> None:
    become = getattr(os, name)

    @wraps(become)
    def become_or_go_on(*args: Any, **options: Any) -> None:
        """Become another program; where there is none, the process goes on as if nothing had been noted."""
        was_due = end.due
        try:
            become(*args, **options)
        finally:  # it comes back only where it failed
            if was_due and not end.due:
                end.undo()
                on_replaced(None)

    setattr(os, name, become_or_go_on)
