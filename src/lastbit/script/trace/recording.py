"""Records a program: runs it once, in a process of its own, with a trace of all that it computes."""

import os
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lastbit.errors import LastbitError
from lastbit.script.audit.runs import ScriptFailedError
from lastbit.script.launch import child_command
from lastbit.script.launchers import launch_of
from lastbit.script.target import Target
from lastbit.script.trace.instruments import RecordingCounts
from lastbit.storage.directories import check_unkept
from lastbit.storage.limits import reachable

INSTRUMENTS = "lastbit.script.trace.instruments:record"
_PAUSE = 0.05  # seconds between two looks at the run


@dataclass(frozen=True)
class RecordedTrace:
    """A recording that came to its end."""

    path: Path
    operations: int
    steps: int  # optimizer steps
    bytes: int  # of the file

    def as_json(self) -> dict[str, str | int]:
        """Plain data, as `lastbit audit --record --json` writes it."""
        return {"trace": str(self.path), "operations": self.operations, "steps": self.steps, "bytes": self.bytes}


def record_trace(
    target: Target,
    path: Path,
    *,
    steps: int | None = None,
    threads: int | None = None,
    noise: int | None = None,
    on_progress: Callable[[int, int], None] = lambda operations, steps: None,
) -> RecordedTrace:
    """Run a program once and record every tensor operation.

    Args:
        target: the program.
        path: of the trace, which must not exist.
        steps: optimizer steps after which to stop; None for the program's end.
        threads: of torch; None for the program's own choice.
        noise: seed of the noise in the last bits of every operation's result (`NoisyTraceMode`); None for none.
        on_progress: called now and then with the numbers of operations and steps so far.

    Raises:
        LastbitError: there is such a file already, or it cannot be written; or the program is a launcher of ranks.
        ScriptFailedError: the program ended with an error, or did no tensor operation.
    """
    check_free_path(path)
    if launch_of(target) is not None:
        raise LastbitError(
            f"{target.name} starts ranks in processes of their own, and a trace is of one process: record the training"
            f" script itself, with one rank, or pair the ranks of two runs here by lastbit audit -- {target.name} ..."
        )
    with tempfile.TemporaryDirectory(prefix="lastbit-record-") as folder:
        counts = RecordingCounts.create(Path(folder, "counts"))
        settings = {
            "trace": str(path.absolute()),
            "counts": str(Path(folder, "counts")),
            "command": list(target.words),
            "threads": threads,
            "steps": steps,
            "noise": noise,
        }
        output = Path(folder, "output.txt")
        code = _run(child_command(target, INSTRUMENTS, settings), output, threads, counts, on_progress)
        printed = output.read_text(encoding="utf-8", errors="replace")
        operations, done, error = counts.operations, counts.steps, counts.error
    if error:
        raise LastbitError(f"{path} could not be written: {os.strerror(error)}; it holds what came before")
    if code != 0:
        kept = f"; {path} holds the {operations:,} operations before that" if operations else ""
        raise ScriptFailedError(f"{target.name} ended with exit code {code}{kept}", printed)
    if not operations:
        path.unlink(missing_ok=True)
        raise ScriptFailedError(f"{target.name} did no tensor operation: there is nothing to record", printed)
    return RecordedTrace(path, operations, done, path.stat().st_size)


def check_free_path(path: Path) -> None:
    """Check that a trace can be made there; nothing is touched.

    Raises:
        LastbitError: there is something already, no such directory, or it may not be written.
    """
    check_unkept(path)
    if reachable(path).exists() or path.is_symlink():
        raise LastbitError(f"{path} exists: name another file for the trace, or remove it")
    if not path.parent.is_dir():
        raise LastbitError(f"{path} cannot be written: there is no directory {path.parent}")
    if not os.access(path.parent, os.W_OK):
        raise LastbitError(f"{path} cannot be written: {path.parent} may not be written to")


def _run(
    command: list[str],
    output: Path,
    threads: int | None,
    counts: RecordingCounts,
    on_progress: Callable[[int, int], None],
) -> int:
    environment = {**os.environ, **({} if threads is None else {"OMP_NUM_THREADS": str(threads)})}
    with output.open("wb") as file:
        process = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT
        )
    try:
        while process.poll() is None:
            time.sleep(_PAUSE)
            on_progress(counts.operations, counts.steps)
    finally:
        process.kill()
        process.wait()
    return process.returncode
