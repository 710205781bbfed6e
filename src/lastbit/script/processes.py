"""The processes of trials: how they are run and stopped, what they write meanwhile, and how they ended."""

import shlex
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lastbit.errors import LastbitError
from lastbit.script.notes import Notes
from lastbit.script.target import Target

STDOUT, STDERR = "stdout.txt", "stderr.txt"  # of a trial, in its directory of output

_GRACE = 5.0  # seconds a script has to save its work after Ctrl-C

_PAUSE = 0.1  # seconds between two looks
OnLine = Callable[[str], None]


class Children:
    """Child processes that are running; every call of `run` waits for the one it started."""

    def __init__(self) -> None:
        self._running: set[subprocess.Popen[bytes]] = set()
        self._stopped = False
        self._changing = threading.Lock()  # no process may start between the decision to stop and the stop

    def run(self, command: list[str], **options: Any) -> int:
        """Run a command to its end and return its exit code, negative for a signal.

        It is in another process group, so that Ctrl-C reaches it once, through `stop`, and not from the terminal too.

        Raises:
            RuntimeError: after `stop`.
        """
        with self._changing:
            if self._stopped:
                raise RuntimeError("the study was stopped")
            process = subprocess.Popen(command, process_group=0, **options)
            self._running.add(process)
        try:
            return process.wait()
        finally:
            self._running.discard(process)

    @property
    def stopped(self) -> bool:
        """Whether `stop` was called, so that what ends now was stopped."""
        return self._stopped

    def stop(self) -> None:
        """Interrupt every process as Ctrl-C would, and kill those that have not ended a few seconds later."""
        with self._changing:
            self._stopped = True
            running = list(self._running)
        for process in running:
            process.send_signal(signal.SIGINT)
        for process in running:
            try:
                process.wait(_GRACE)
            except subprocess.TimeoutExpired:
                process.kill()


@contextmanager
def thread_pool(workers: int, children: Children) -> Iterator[ThreadPoolExecutor]:
    """Threads that wait for one child process at a time; leaving by an exception, Ctrl-C included, stops all."""
    pool = ThreadPoolExecutor(workers)
    try:
        yield pool
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        children.stop()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def followed(files: Sequence[Path], on_line: OnLine) -> Iterator[None]:
    """During the block, pass on every line that is written to the files, and at its end the rest of them.

    Of a line that is redrawn with carriage returns, as a progress bar is, only the last state is passed on.

    Args:
        files: that exist; each is read from its beginning.
        on_line: called from one thread, without the line's end.
    """
    over = threading.Event()
    thread = threading.Thread(target=_follow, args=([_File(path) for path in files], on_line, over), daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


class _File:
    """A growing file, and how far it was read."""

    def __init__(self, path: Path) -> None:
        self._path, self._read, self._begun = path, 0, b""

    def lines(self, *, last: bool) -> Iterator[str]:
        """The lines completed since the last call; with `last`, also one without an end."""
        with self._path.open("rb") as file:
            file.seek(self._read)
            new = file.read()
        self._read += len(new)
        *lines, self._begun = (self._begun + new).split(b"\n")
        yield from (_final(line) for line in lines)
        if last and self._begun:
            yield _final(self._begun)


def _follow(files: Sequence[_File], on_line: OnLine, over: threading.Event) -> None:
    ended = False
    while not ended:
        ended = over.wait(_PAUSE)
        for file in files:
            for line in file.lines(last=ended):
                on_line(line)


def _final(line: bytes) -> str:
    return line.decode(errors="replace").rstrip("\r").rpartition("\r")[2]


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


def checked_notes(target: Target, code: int, notes: Notes | None, output: Path) -> Notes:
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
