"""How far a recording is, of one process or of ranks, in memory that is shared with the process that shows it."""

from __future__ import annotations

import mmap
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Self

_OPERATIONS, _STEPS, _ERROR, _WORLD, _ENDED = range(5)
_SIZE = 40  # bytes
_PREFIX = "rank"  # of the names of the ranks' shared files, in the directory of a recording


def counts_path(directory: Path, rank: int) -> Path:
    """The shared file of a rank, in the directory of a recording."""
    return directory / f"{_PREFIX}{rank}"


class RecordingCounts:
    """How far a recording is, in memory that its process shares with the one that shows it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with path.open("r+b") as file:
            self._words = memoryview(mmap.mmap(file.fileno(), _SIZE)).cast("Q")

    @classmethod
    def create(cls, path: Path) -> Self:
        """Make the shared file, for the process that shows it."""
        path.write_bytes(bytes(_SIZE))
        return cls(path)

    @classmethod
    def claim(cls, path: Path, *, world: int) -> bool:
        """Make the shared file of a rank, unless another process of that rank has done so; whether it was made.

        Args:
            path: of the file.
            world: how many ranks there are.
        """
        own = path.with_name(f"claim-{path.name}-{os.getpid()}")
        counts = cls.create(own)
        counts._words[_WORLD] = world
        try:
            os.link(own, path)  # whole at once, for whoever looks
        except FileExistsError:
            return False
        finally:
            own.unlink()
        return True

    def place(self, directory: Path, rank: int, world: int) -> bool:
        """Say of a recording that has begun that it is of a rank; whether no other process of that rank has done so.

        Args:
            directory: of the recording.
            rank: of the process.
            world: how many ranks there are.
        """
        self._words[_WORLD] = world
        try:
            os.link(self._path, counts_path(directory, rank))
        except FileExistsError:
            return False
        return True

    @property
    def is_placed(self) -> bool:
        """Whether it is of a rank."""
        return self._path.stat().st_nlink > 1

    def note(self, *, operations: int, steps: int) -> None:
        """Say how far the program is."""
        self._words[_OPERATIONS], self._words[_STEPS] = operations, steps

    def fail(self, error: OSError) -> None:
        """Say that the trace could not be written."""
        self._words[_ERROR] = error.errno or 0

    def end(self) -> None:
        """Say that nothing more will be recorded."""
        self._words[_ENDED] = 1

    @property
    def ended(self) -> bool:
        """Whether nothing more will be recorded."""
        return bool(self._words[_ENDED])

    @property
    def world(self) -> int:
        """How many ranks there are; 0 for a program that no launcher starts."""
        return self._words[_WORLD]

    @property
    def operations(self) -> int:
        """Records so far."""
        return self._words[_OPERATIONS]

    @property
    def steps(self) -> int:
        """Optimizer steps so far."""
        return self._words[_STEPS]

    @property
    def error(self) -> int:
        """The system's number of the error with which writing failed; 0 without one."""
        return self._words[_ERROR]


class RankCounts:
    """How far the ranks of a recording are, seen from the process that has started the program.

    Args:
        directory: of the recording.
        first: of a script, its first process, which counts as long as there are no ranks; None of a launcher.
    """

    def __init__(self, directory: Path, first: RecordingCounts | None = None) -> None:
        self._directory, self.first = directory, first
        self._counts: dict[int, RecordingCounts] = {}

    @property
    def ranks(self) -> Mapping[int, RecordingCounts]:
        """Those that are recorded, by their number."""
        for path in self._directory.glob(f"{_PREFIX}*"):
            number = path.name.removeprefix(_PREFIX)
            if number.isdecimal() and int(number) not in self._counts:
                self._counts[int(number)] = RecordingCounts(path)
        return self._counts

    @property
    def _counted(self) -> list[RecordingCounts]:
        return list(self.ranks.values()) or ([] if self.first is None else [self.first])

    @property
    def operations(self) -> int:
        """Records of all ranks so far."""
        return sum(counts.operations for counts in self._counted)

    @property
    def steps(self) -> int:
        """Optimizer steps so far, of the rank that has taken most."""
        return max((counts.steps for counts in self._counted), default=0)

    @property
    def error(self) -> int:
        """The system's number of an error with which writing failed; 0 without one."""
        return next((counts.error for counts in self._counted if counts.error), 0)

    @property
    def all_ended(self) -> bool:
        """Whether every rank has written its trace to the end."""
        ranks = self.ranks
        return len(ranks) >= max((counts.world for counts in ranks.values()), default=1) and all(
            counts.ended for counts in ranks.values()
        )

    def missing(self, asked: int | None) -> list[int]:
        """The ranks that were not recorded.

        Args:
            asked: how many processes the launcher was asked for; None where nobody knows.
        """
        world = max((counts.world for counts in self.ranks.values()), default=1)
        return [rank for rank in range(max(world, asked or 1)) if rank not in self.ranks]
