"""The `lastbit` command's beginning and end: its exit status, and what it says of each kind of error.

Nothing but the standard library is imported before `main` runs: Ctrl-C while typer or torch is imported is heard too.
"""

import atexit
import os
import signal
import sys
from types import FrameType

_STOPPED = 130  # the exit status that shells give what Ctrl-C ended
_IMPORTING = "<frozen importlib"  # how the names of files begin whose code imports


def main() -> None:
    """Run the command line: exit 0 on success, 2 on wrong input with one line that says what it is, 130 on Ctrl-C."""
    before = signal.getsignal(signal.SIGINT)
    if before is signal.default_int_handler:  # else somebody ignores Ctrl-C, as `nohup` does
        signal.signal(signal.SIGINT, _interrupted)
    try:
        # Only here, under the handler: typer and rich take a tenth of a second to import.
        from lastbit.cli.commands import run_command_line

        code = run_command_line()
    except KeyboardInterrupt:  # between two lines of `run_command_line`
        code = _say_stopped()
    finally:
        signal.signal(signal.SIGINT, before)
    atexit.unregister(_guard)
    atexit.register(_guard)  # what is registered last is called first
    sys.exit(code)


def _guard() -> None:
    """Let Ctrl-C leave at once while the interpreter ends, which takes torch some time."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _leave)


def _interrupted(number: int, frame: FrameType | None) -> None:
    """Raise KeyboardInterrupt; but leave at once in the midst of an import, where it would be shown or swallowed."""
    outer = frame
    while outer is not None:
        if outer.f_code.co_filename.startswith(_IMPORTING):
            _leave(number, frame)
        outer = outer.f_back
    raise KeyboardInterrupt


def _leave(number: int, frame: FrameType | None) -> None:
    os._exit(_say_stopped())


def _say_stopped() -> int:
    os.write(2, b"lastbit: stopped\n")  # no buffer of Python's, which the interrupted code may be writing to
    return _STOPPED
