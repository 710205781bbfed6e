"""The `lastbit` command's beginning and end: its exit status, and what it says of each kind of error.

Nothing but the standard library is imported before `main` runs: a Ctrl-C while torch is imported is answered too.
"""

import atexit
import os
import signal
import sys
from types import FrameType

_STOPPED = 130  # the exit status that shells give what Ctrl-C ended


def main() -> None:
    """Run the command line: exit 0 on success, 2 on wrong input with one line that says what it is, 130 on Ctrl-C."""
    patient = signal.getsignal(signal.SIGINT)
    if patient is signal.default_int_handler:  # else somebody ignores Ctrl-C, as `nohup` does
        signal.signal(signal.SIGINT, _leave)
    try:
        # Only here, under the handler: typer, rich and torch take seconds to import.
        from lastbit.cli.end import run

        signal.signal(signal.SIGINT, patient)
        code = run()
    except KeyboardInterrupt:  # between two lines of `run`'s own
        code = _say_stopped()
    atexit.unregister(_guard)
    atexit.register(_guard)  # what is registered last is called first
    sys.exit(code)


def _guard() -> None:
    """Let Ctrl-C leave at once while the interpreter ends, which takes torch some time."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _leave)


def _leave(number: int, frame: FrameType | None) -> None:
    # An exception here would surface in the midst of some module's import, and be shown or swallowed there.
    os._exit(_say_stopped())


def _say_stopped() -> int:
    os.write(2, b"lastbit: stopped\n")  # no buffer of Python's, which the interrupted code may be writing to
    return _STOPPED
