"""What the process of a trial reports to the one that started it, and whether a trial can be made of it."""

import shlex
import signal
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from lastbit.errors import LastbitError
from lastbit.script.target import Target
from lastbit.storage.files import read_json, to_json, write_atomically

NOTES = "notes.json"


STDOUT, STDERR = "stdout.txt", "stderr.txt"


@dataclass
class Notes:
    """What happened in the process of a trial."""

    optimizers: list[str] = field(default_factory=list)  # class names of those made, in order
    unfused: int = 0  # optimizers whose fused kernels were turned off
    steps: int = 0  # calls of an optimizer's step, over all of them
    in_turn: int = 0  # optimizers that stepped one after another, each only after the last step of the one before
    arranged: int = 0  # batches whose samples the noise put in order
    refused: str | None = None  # why the noise could not be put on an optimizer, or on a batch
    diverged_at: int | None = None  # step of the first snapshot with a weight that is not finite
    replaced: str | None = None  # the command that the process became, by os.exec*
    fault: str | None = None  # why the last weights could not be kept: a traceback
    exited: str | None = None  # x of the `sys.exit(x)` that ended it, as Python writes it
    children: list[str] = field(default_factory=list)  # processes that it started and that may have trained
    directory: str = ""  # where it was in the end
    began: int = 0  # in nanoseconds since 1970, as all times here
    ended: int = 0
    read: dict[str, int] = field(default_factory=dict)  # file that it had not written -> its last change then
    read_back: list[str] = field(default_factory=list)  # files that it had written itself
    wrote: dict[str, int] = field(default_factory=dict)  # file -> its last change
    doubts: list[str] = field(default_factory=list)  # why the trial may not have begun as others did, in words
    sources: dict[str, str] = field(default_factory=dict)  # file of the script's own code -> its hash
    fingerprint: Mapping[str, Any] = field(default_factory=dict)

    def write(self, directory: Path) -> None:
        """Leave the notes in a trial's directory of output."""
        write_atomically(directory / NOTES, to_json(asdict(self), indent=1).encode())


def read_notes(directory: Path) -> Notes | None:
    """The notes in a directory; None where the process was stopped before it could write them."""
    path = directory / NOTES
    return Notes(**read_json(path)) if path.is_file() else None


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


def checked(target: Target, code: int, notes: Notes | None, output: Path) -> Notes:
    """Check that the process of a trial ended well and trained something; return its notes.

    Args:
        target: the script.
        code: its exit code, negative for a signal.
        notes: of its process; None where it left none.
        output: the trial's directory of output.

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
            said=_said(output),
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
            f" ({notes.children[0]}{several}), and what trains there is not followed yet. Call what trains in the"
            " script's own process, with one rank; of a launcher such as torchrun, give the training script itself"
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


def _said(output: Path) -> str:
    """Its standard error, where Python writes a traceback; the end of its output where that is empty."""
    error = (output / STDERR).read_text(encoding="utf-8", errors="replace").strip()
    return error or "\n".join(last_lines(output))


def last_lines(output: Path, count: int = 10) -> list[str]:
    """The last lines of a trial's standard output."""
    return (output / STDOUT).read_text(encoding="utf-8", errors="replace").splitlines()[-count:]
