"""Records a program: runs it once, in a process of its own, with a trace of all that it, or each rank, computes."""

import os
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from lastbit.errors import LastbitError
from lastbit.script.audit.runs import ScriptFailedError
from lastbit.script.joining import end_members
from lastbit.script.launch import child_command
from lastbit.script.launchers import Launch, launch_of
from lastbit.script.target import Target
from lastbit.script.trace.counts import RankCounts, RecordingCounts
from lastbit.script.trace.ranks import check_free_ranks, clear_further, rank_path
from lastbit.script.trace.same_script import script_of
from lastbit.storage.directories import check_unkept
from lastbit.storage.files import writing
from lastbit.storage.limits import reachable
from lastbit.storage.outputs import check_output

INSTRUMENTS = "lastbit.script.trace.ranks:record_script"
LAUNCHER = "lastbit.script.trace.ranks:record_launcher"  # for a program that starts ranks
_PAUSE = 0.05  # seconds between two looks at the run


@dataclass(frozen=True)
class RecordedTrace:
    """A recording that came to its end."""

    path: Path  # of rank 0
    operations: int  # of all ranks
    steps: int  # optimizer steps
    bytes: int  # of all files
    ranks: int = 1
    left_out: int = 0  # further processes that trained, and are no ranks of a group

    def as_json(self) -> dict[str, str | int]:
        """Plain data, as `lastbit audit --record --json` writes it."""
        return {
            "trace": str(self.path),
            "operations": self.operations,
            "steps": self.steps,
            "bytes": self.bytes,
            "ranks": self.ranks,
            "left_out": self.left_out,
        }


def record_trace(
    target: Target,
    path: Path,
    *,
    steps: int | None = None,
    threads: int | None = None,
    noise: int | None = None,
    temporary: bool = False,
    on_progress: Callable[[int, int], None] = lambda operations, steps: None,
) -> RecordedTrace:
    """Run a program once and record every tensor operation, of every rank that it or its launcher starts.

    Args:
        target: the program.
        path: of the trace, which must not exist; other ranks are recorded beside it (`rank_path`).
        steps: optimizer steps after which to stop; None for the program's end.
        threads: of torch; None for the program's own choice.
        noise: seed of the noise in the last bits of every operation's result (`NoisyTraceMode`); None for none.
        temporary: whether the trace is removed after use, so that errors do not point at it.
        on_progress: called now and then with the numbers of operations and steps so far.

    Raises:
        LastbitError: there is such a file already, or it cannot be written; a launcher's arguments are wrong, or a rank
            of it was not recorded.
        ScriptFailedError: the program ended with an error, or did no tensor operation.
    """
    check_free_path(path)
    launch = launch_of(target)
    check_free_ranks(path)
    with tempfile.TemporaryDirectory(prefix="lastbit-record-") as name:
        folder = Path(name).absolute()
        first = None if launch is not None else RecordingCounts.create(folder / "counts")
        counts = RankCounts(folder, first)
        settings = {**_named(target, path, folder, launch), "threads": threads, "steps": steps, "noise": noise}
        output = folder / "output.txt"
        try:
            command = child_command(target, INSTRUMENTS if launch is None else LAUNCHER, settings)
            code = _run(command, output, threads, counts, on_progress)
        finally:
            end_members(folder, 0.0)
            left_out = clear_further(path, folder)
        printed = output.read_text(encoding="utf-8", errors="replace")
        _check_run(target, path, code, counts, printed, temporary=temporary)
        if launch is not None or counts.ranks:
            missing = counts.missing(None if launch is None else launch.processes)
            _check_ranks(target, "" if temporary else f" beside {path}", missing)
        ranks = max(1, len(counts.ranks))
        size = sum(rank_path(path, rank).stat().st_size for rank in range(ranks))
        return RecordedTrace(path, counts.operations, counts.steps, size, ranks, left_out)


def _named(target: Target, path: Path, folder: Path, launch: Launch | None) -> dict[str, Any]:
    """What is recorded, and where, as settings for the instruments."""
    script, code = script_of(target, launch)
    return {
        "trace": str(path.absolute()),
        "counts": str(folder / "counts"),
        "directory": str(folder),
        "processes": None if launch is None else launch.processes,
        "command": list(target.words),
        "script": script,
        "code": code,
        "recording": uuid4().hex,
    }


def _check_run(target: Target, path: Path, code: int, counts: RankCounts, printed: str, *, temporary: bool) -> None:
    operations = counts.operations
    if counts.error and temporary:
        raise LastbitError(
            f"the temporary directory {path.parent.parent} could not be written to: {os.strerror(counts.error)}; make"
            " room, or name another in TMPDIR"
        )
    if counts.error:
        raise LastbitError(f"{path} could not be written: {os.strerror(counts.error)}; it holds what came before")
    if code != 0:
        after = (
            f" after {operations:,} operations"
            if temporary
            else f"; {path} holds the {operations:,} operations before that"
        )
        kept = after if operations else ""
        raise ScriptFailedError(f"{target.name} ended with exit code {code}{kept}", printed)
    if not operations and (counts.ranks or counts.first is not None):
        for rank in counts.ranks or (0,):
            rank_path(path, rank).unlink(missing_ok=True)
        raise ScriptFailedError(f"{target.name} did no tensor operation: there is nothing to record", printed)


def _check_ranks(target: Target, beside: str, missing: list[int]) -> None:
    if missing:
        raise LastbitError(
            f"{target.name}: rank {', '.join(map(str, missing))} was not recorded{beside}: it never imported"
            " torch, is no Python or another one than lastbit's, or was started without PYTHONPATH or LASTBIT_JOIN"
        )


def check_free_path(path: Path) -> None:
    """Check that a trace can be made there; nothing is left there.

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
    with writing(path):
        check_output(path)


def _run(
    command: list[str],
    output: Path,
    threads: int | None,
    counts: RankCounts,
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
