"""How the processes of trials ended, and what that says of the script."""

import re
import shlex
import signal
from pathlib import Path

from lastbit.errors import LastbitError
from lastbit.script.notes import Notes
from lastbit.script.processes import STDERR, STDOUT
from lastbit.script.target import Target

_IN_USE = re.compile("EADDRINUSE|address already in use", re.IGNORECASE)
_PORT = (
    "(A port was in use: runs at a time must not share one that the script or its command line fixes. Let it choose a"
    " free one, or give --workers 1.)\n"
)


class ScriptError(Exception):
    """A run of a script that gives no trial.

    Attributes:
        exit_code: of its process; None where it ended well.
        said: what the script wrote about that, such as its traceback.
        exited: whether it had trained and then ended itself by `sys.exit` with what counts as a failure.
    """

    def __init__(self, message: str, *, exit_code: int | None = None, said: str = "", exited: bool = False) -> None:
        super().__init__(message)
        self.exit_code, self.said, self.exited = exit_code, said, exited


class UnfitError(ScriptError, LastbitError):
    """A script that fails in every trial: it makes no optimizer, or one that the noise is not for."""


class UntrainedError(UnfitError):
    """A script that took no step of an optimizer in its own process."""


def checked_notes(target: Target, code: int, notes: Notes | None, output: Path, error: str | None = None) -> Notes:
    """Check that the process of a trial ended well and trained something; return its notes.

    Args:
        target: the script.
        code: its exit code, negative for a signal.
        notes: of its process; None where it left none.
        output: the trial's directory of output.
        error: the traceback of a process that it started and that failed.

    Raises:
        ScriptError: it failed, or its last weights could not be kept.
        UnfitError: the noise is not for it, its end was not seen, or it took no step (`UntrainedError`).
    """
    if notes is not None and notes.refused is not None:
        raise UnfitError(notes.refused)
    if code != 0:
        exit_of = _exit_after_training(code, notes)
        raise ScriptError(
            f"{shlex.join(target.words)} {_ending(code)}{exit_of}",
            exit_code=code,
            said=_said(output, error),
            # A script may end because its weights are not finite, which the noise may have caused.
            exited=bool(exit_of) and notes is not None and notes.diverged_at is None,
        )
    if notes is None:
        raise UnfitError(
            f"{target.name} ended with status 0 before it could report, so that its last weights are not known: a call"
            " outside of Python, such as C's _exit, ended its process. End it by sys.exit, os._exit or its last line"
        )
    if notes.replaced is not None:
        raise UnfitError(
            f"{target.name} became another program after {notes.steps} steps (os.exec: {notes.replaced}), and what runs"
            " there is not followed. Give that program's script itself, or set beforehand what it is restarted for"
        )
    if notes.fault is not None:
        raise ScriptError(f"{target.name}: the last weights could not be kept", said=notes.fault.strip())
    if not notes.steps:
        raise UntrainedError(_untrained(target, notes))
    return notes


def _untrained(target: Target, notes: Notes) -> str:
    made = f"made an optimizer ({notes.optimizers[0]}) and never called its step" if notes.optimizers else ""
    if notes.children:
        several = f", and {len(notes.children) - 1} more" if len(notes.children) > 1 else ""
        return (
            f"{target.name} {made or 'made no torch optimizer'} in its own process: it started another"
            f" ({notes.children[0]}{several}), and none that trained met the noise. What it started is no Python, or"
            " another one than lastbit's, or has an environment of its own (without PYTHONPATH or LASTBIT_JOIN): call"
            " what trains directly, or let it inherit the environment"
        )
    if made:
        return f"{target.name} {made}"
    return f"{target.name} made no torch optimizer, so there is nothing to put a noise on"


def _exit_after_training(code: int, notes: Notes | None) -> str:
    """A remark on a script that trained and then called `sys.exit`, as where its main function returns the accuracy."""
    if code <= 0 or notes is None or not notes.steps or notes.exited is None:
        return ""
    return (
        f": it had taken {notes.steps} steps before it ended by sys.exit({notes.exited}), which is a failure with"
        " anything other than 0 or None"
    )


def _ending(code: int) -> str:
    return f"was killed by signal {-code}{_signal_name(-code)}" if code < 0 else f"ended with exit code {code}"


def _signal_name(number: int) -> str:
    try:
        return f" ({signal.Signals(number).name})"
    except ValueError:  # a real-time signal
        return ""


def _said(output: Path, error: str | None) -> str:
    """Why it failed: the traceback of a process that it started, or its standard error, where Python writes its own.

    The end of its output where both are empty.
    """
    written = (output / STDERR).read_text(encoding="utf-8", errors="replace").strip()
    port = _PORT if _IN_USE.search(f"{error}{written}") else ""
    return port + (error or written or "\n".join(last_lines(output)))


def last_lines(output: Path, count: int = 10) -> list[str]:
    """The last lines of a trial's standard output."""
    return (output / STDOUT).read_text(encoding="utf-8", errors="replace").splitlines()[-count:]
