"""Further processes of two audited runs: each is paired with the same one of the other run, and the two keep in step.

Rank is paired with rank; where the processes are not told their ranks before they begin, as by multiprocessing, the
first one started with the first one, and so on.
"""

from __future__ import annotations

import multiprocessing
import sys
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from lastbit.script.audit.lockstep import Lockstep
from lastbit.script.joining import MEMBER, Member, end_members, read_member, this_member

FURTHER = "ranks"  # folder of the pairs of further processes, in the directory of an audit
LOCKSTEP = "lockstep"  # file through which a pair keeps in step
SIDES = ("a", "b")


def own_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of the instruments in this process, which another one of an audited run has started.

    Args:
        settings: those of the run's first process.
    """
    side, place = settings["side"], _free_place(Path(settings["lockstep"]).parent / FURTHER, settings["side"])
    Lockstep.share(place / LOCKSTEP)
    this_member().write(place / SIDES[side])
    own = {"lockstep": place / LOCKSTEP, "directory": place / SIDES[side], "other": place / SIDES[1 - side]}
    return {**settings, **{name: str(path) for name, path in own.items()}, "further": True}


def _free_place(folder: Path, side: int) -> Path:
    """The first directory of this process's name that no other process of this side has taken."""
    name = _name()
    for number in count(1):
        place = folder / (name if number == 1 else f"{name}-{number}")
        with suppress(FileExistsError):
            (place / SIDES[side]).mkdir(parents=True)
            return place
    raise AssertionError


def _name() -> str:
    """What this process and its partner in the other run are both called."""
    member, process = this_member(), multiprocessing.current_process().name
    if member.rank is not None:
        return f"rank{member.rank}"
    return process if process != "MainProcess" else f"process{zlib.crc32(' '.join(sys.orig_argv[1:]).encode())}"


def pause_loaders_workers(pause: Callable[[], None]) -> None:
    """Call `pause` where this process turns out to be a data loader's worker: it prepares batches at its own pace."""
    from functools import wraps

    from torch.utils.data._utils import worker

    loop = worker._worker_loop

    @wraps(loop)
    def paused(*args: Any, **options: Any) -> Any:
        """Prepare batches, unobserved."""
        pause()
        return loop(*args, **options)

    worker._worker_loop = paused


@dataclass(frozen=True)
class RankPair:
    """The same process of two runs."""

    sides: list[Path]  # directories
    operations: int
    steps: int
    rank: int | None = None
    world: int | None = None


class Pairs:
    """The pairs of all processes of two runs, as seen by the process that watches both.

    Args:
        directory: of the runs.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._locksteps = {directory: Lockstep.create(directory / LOCKSTEP)}  # by the directory of a pair

    def look(self, ended: Sequence[bool]) -> None:
        """Find further pairs, and tell each process of its partner's end, however that came.

        Args:
            ended: whether the first process of either run has.
        """
        for path in (self._directory / FURTHER).glob(f"*/{LOCKSTEP}"):
            if path.parent not in self._locksteps:
                self._locksteps[path.parent] = Lockstep(path, 0)
        for place, lockstep in self._locksteps.items():
            for side, member in enumerate(self._members(place)):
                if (ended[side] and member is None) or (member is not None and not member.runs):
                    lockstep.end(side)

    @property
    def are_done(self) -> bool:
        """Whether a pair differs, or all that train wait, after the last step wanted; then all are to be killed."""
        from lastbit.script.audit.evidence import ACCOUNT  # only here: an audited process imports torch by itself

        over = {place for place, lockstep in self._locksteps.items() if all(map(lockstep.has_ended, (0, 1)))}
        if any((place / side / ACCOUNT).is_file() for place in over for side in SIDES):
            return True
        training = {place: lockstep for place, lockstep in self._locksteps.items() if max(map(lockstep.steps, (0, 1)))}
        world = max((member.world or 1 for place in training for member in self._members(place) if member), default=1)
        return len(training) >= world and all(lockstep.waits(side) for lockstep in training.values() for side in (0, 1))

    def kill(self) -> None:
        """End all processes."""
        for side in SIDES:
            end_members(self._directory / side, 0.0)

    def done_by_each(self) -> Iterator[RankPair]:
        """What each pair has done, the processes that were started first before the others."""
        for place, lockstep in sorted(self._locksteps.items()):
            member = next((member for member in self._members(place) if member and (member.world or 1) > 1), None)
            yield RankPair(
                [place / side for side in SIDES],
                operations=_operations(lockstep),
                steps=_steps(lockstep),
                rank=None if member is None else member.rank,
                world=None if member is None else member.world,
            )

    @property
    def operations(self) -> int:
        """How many operations all pairs have compared."""
        return sum(map(_operations, self._locksteps.values()))

    @property
    def steps(self) -> int:
        """Optimizer steps, of the pair that has taken most."""
        return max(map(_steps, self._locksteps.values()))

    @staticmethod
    def _members(place: Path) -> list[Member | None]:
        return [read_member(place / side) if (place / side / MEMBER).is_file() else None for side in SIDES]


def _operations(lockstep: Lockstep) -> int:
    """How many operations both sides have compared."""
    return min(map(lockstep.events, (0, 1)))


def _steps(lockstep: Lockstep) -> int:
    """Optimizer steps that both sides have taken."""
    return min(map(lockstep.steps, (0, 1)))
