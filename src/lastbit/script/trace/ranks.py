"""The traces of a run with several ranks: a file for each, how its process comes to write it, and how all are read.

Rank 0 is in `A.trace`, rank 1 in `A.trace.rank1`, and so on. A launcher itself computes nothing and is not recorded.

Of a script that starts ranks itself it is known only later which process is which: each writes `A.trace.process123`
until it communicates with the others, and that file gets its rank's name then. What the script's first process did is
kept only where that is a rank, or where there are none.
"""

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from lastbit.errors import LastbitError
from lastbit.script.joining import enter, pass_on, placed
from lastbit.script.trace.counts import RankCounts, RecordingCounts, counts_path
from lastbit.script.trace.instruments import record
from lastbit.script.trace.reader import read_trace
from lastbit.script.trace.records import RunTrace

_MOST_WAITED = 120.0  # seconds that a rank waits for the others after the last step wanted
_PAUSE = 0.05  # seconds between two looks at the others
_MOST_NAMED = 3  # missing files in a message
_FURTHER = "further"  # begins the names of shared files of processes that a script starts
_in_forks: list[AbstractContextManager[None]] = []  # of a forked process: left by the end of the process


def rank_path(path: Path, rank: int) -> Path:
    """The file of a rank of a trace.

    Args:
        path: of the trace, which is that of rank 0.
        rank: among the processes that train together.
    """
    return path.with_name(f"{path.name}.rank{rank}") if rank else path


def check_free_ranks(path: Path) -> None:
    """Check that no file beside a trace that is to be made would be taken for a rank of it.

    Raises:
        LastbitError: there is one.
    """
    begin = f"{path.name}.rank"
    others = [other.name for other in path.parent.iterdir() if other.name.startswith(begin)]
    if taken := sorted(name for name in others if name.removeprefix(begin).isdecimal()):
        raise LastbitError(
            f"{path.with_name(taken[0])} is there already, and would be mixed with the ranks of {path}: name another"
            " file for the trace, or remove it"
        )


def read_run(path: Path) -> list[RunTrace]:
    """Read the traces of all ranks of a run, rank 0 first; of a run of one process, its only one.

    Raises:
        LastbitError: the file is not of rank 0, a rank's file is missing or of another recording; or as `read_trace`.
    """
    first = read_trace(path)
    rank, world = first.header.rank, first.header.world_size
    if rank:
        raise LastbitError(f"{path} is rank {rank} of {world}: give the file of rank 0; the others are found beside it")
    absent = (other for other in range(1, world) if not rank_path(path, other).exists())
    if missing := list(islice(absent, _MOST_NAMED)):
        names = ", ".join(str(rank_path(path, other)) for other in missing)
        raise LastbitError(
            f"{path} is of {world} processes, and the trace of rank {', '.join(map(str, missing))} is missing: there is"
            f" no {names}"
        )
    return [first, *(_read_rank(path, other, first) for other in range(1, world))]


def _read_rank(path: Path, rank: int, first: RunTrace) -> RunTrace:
    trace = read_trace(rank_path(path, rank))
    mine, other = first.header, trace.header
    if (other.rank, other.world_size, other.recording) != (rank, mine.world_size, mine.recording):
        raise LastbitError(
            f"{rank_path(path, rank)} is not rank {rank} of the run that {path} is of, but rank {other.rank} of"
            f" {other.world_size} of another recording: keep the files of a recording together"
        )
    return trace


@contextmanager
def record_launcher(settings: Mapping[str, Any]) -> Iterator[None]:
    """Let every rank that this process starts be recorded.

    Args:
        settings: those of `record`, where `trace` is the file of rank 0; `directory` of the recording; `processes` that
            the launcher is asked for, or null.
    """
    pass_on("lastbit.script.trace.ranks:record_rank", settings, Path(settings["directory"]))
    yield


@contextmanager
def record_rank(settings: Mapping[str, Any]) -> Iterator[None]:
    """Record this process if it is the first one of its rank; those that a rank starts, as to load data, are not.

    Args:
        settings: of `record_launcher`.

    Raises:
        LastbitError: the launcher has restarted the rank.
    """
    place = placed()
    rank, world = place.get("rank"), place.get("world", 1)
    if rank is None and settings["processes"] is None:
        rank = 0  # of a launcher that has started one process, without a number
    if os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") != "0":
        raise LastbitError(f"rank {rank} was restarted by its launcher, and a trace is of one start: allow no restarts")
    directory = Path(settings["directory"])
    if rank is None or not RecordingCounts.claim(counts_path(directory, rank), world=world):
        yield
        return
    files = {"trace": rank_path(Path(settings["trace"]), rank), "counts": counts_path(directory, rank)}
    own = {"rank": rank, "world": world, **{name: str(file) for name, file in files.items()}}
    with record({**settings, **own}, lambda: _wait(RankCounts(directory))):
        yield


@contextmanager
def record_script(settings: Mapping[str, Any]) -> Iterator[None]:
    """Record a script, and the ranks that it starts itself.

    Args:
        settings: those of `record`, and `directory` of the recording.
    """
    pass_on("lastbit.script.trace.ranks:record_further", settings, Path(settings["directory"]))
    with _of_a_script(settings):
        yield


@contextmanager
def record_further(settings: Mapping[str, Any]) -> Iterator[None]:
    """Record a process that a script has started, as long as it is not known whether it is a rank.

    Args:
        settings: of `record_script`.
    """
    with _of_a_script(_own_files(settings)):
        yield


def process_path(path: Path, process: int) -> Path:
    """The file of a process of which it is not known yet whether it is a rank."""
    return path.with_name(f"{path.name}.process{process}")


def clear_further(path: Path, directory: Path) -> int:
    """Remove the traces of processes that a script started and that turned out to be no ranks.

    Args:
        path: of the trace.
        directory: of the recording.

    Returns:
        How many of those took optimizer steps.
    """
    trained = 0
    for counts in directory.glob(f"{_FURTHER}*"):
        further = RecordingCounts(counts)
        trained += further.steps > 0 and not further.is_placed
        process_path(path, int(counts.name.removeprefix(_FURTHER))).unlink(missing_ok=True)
    return trained


def _own_files(settings: Mapping[str, Any]) -> dict[str, Any]:
    own, counts = os.getpid(), Path(settings["directory"]) / f"{_FURTHER}{os.getpid()}"
    RecordingCounts.create(counts)
    path = Path(settings.get("named", settings["trace"]))
    return {**settings, "named": str(path), "trace": str(process_path(path, own)), "counts": str(counts)}


def _of_a_script(settings: Mapping[str, Any]) -> AbstractContextManager[None]:
    path, directory = Path(settings["trace"]), Path(settings["directory"])
    named, counts = Path(settings.get("named", path)), RecordingCounts(Path(settings["counts"]))

    def on_rank(rank: int, world: int) -> None:
        """Give the file the name of its rank, unless there is one."""
        if counts.place(directory, rank, world) and path != rank_path(named, rank):
            path.replace(rank_path(named, rank))

    def before_exit() -> None:
        """Wait for the other ranks, where there are any."""
        if counts.world > 1:
            _wait(RankCounts(directory))

    def in_fork() -> None:
        """Record a process that was forked from this one; it ends without leaving contexts."""
        enter()
        recorded = _of_a_script(_own_files(settings))
        recorded.__enter__()
        _in_forks.append(recorded)

    return record(settings, before_exit, on_rank=on_rank, in_fork=in_fork)


def _wait(ranks: RankCounts) -> None:
    """Wait until all ranks have ended: the others would take the earlier end of one for a failure."""
    deadline = time.monotonic() + _MOST_WAITED
    while not ranks.all_ended and time.monotonic() < deadline:
        time.sleep(_PAUSE)
