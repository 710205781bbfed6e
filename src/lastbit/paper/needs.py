"""What items need, reported and compared with this machine before they start."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lastbit.errors import LastbitError
from lastbit.memory import available_memory_mib
from lastbit.paper.item import Cost, Item
from lastbit.training.data import DamagedDataError, MissingDataError, load

_MIB = 2**20


@dataclass(frozen=True)
class Needs:
    """What several items take together."""

    seconds: float  # on all workers
    memory_mib: int  # of all workers at the worst moment
    disk_mib: int
    data: tuple[str, ...]  # data sets, each once


def needs(items: Sequence[Item], scale: str, *, workers: int) -> Needs:
    """Add up what items take at a scale.

    Any items without trainings may meet on the workers, while trainings of one item may be on all of them.
    """
    costs = [(item, item.scale(scale).cost) for item in items]
    shares = [cost.memory_mib for item, cost in costs for _ in range(workers if item.trains else 1)]
    return Needs(
        seconds=_span(costs, workers),
        memory_mib=sum(sorted(shares)[-workers:]),
        disk_mib=sum(cost.disk_mib for _, cost in costs),
        data=tuple(dict.fromkeys(name for _, cost in costs for name in cost.data)),
    )


def _span(costs: Sequence[tuple[Item, Cost]], workers: int) -> float:
    """The work shared evenly, or the longest item that cannot be shared."""
    seconds = sum(cost.seconds for _, cost in costs)
    return max([seconds / workers, *(cost.seconds for item, cost in costs if not item.trains)])


def check_data(names: Sequence[str]) -> None:
    """Check that data sets are on this machine.

    Raises:
        LastbitError: some are not, or are damaged; the message has the command for each.
    """
    if wrong := [reason for name in names if (reason := _what_is_wrong(name))]:
        raise LastbitError("; ".join(wrong))


def check_room(wanted: Needs, *, directory: Path, scale: str, memory: bool = True) -> None:
    """Check that this machine has the memory and the disk space.

    Args:
        wanted: what the items take together.
        directory: where results and trainings go.
        scale: for the message.
        memory: whether the workers are on this machine.

    Raises:
        LastbitError: it has not; the message has the estimate and what there is.
    """
    free = shutil.disk_usage(_existing(directory)).free // _MIB
    if wanted.disk_mib > free:
        raise LastbitError(
            f"scale {scale!r} needs about {_size(wanted.disk_mib)} of disk space, {_size(free)} are free at {directory}"
        )
    available = available_memory_mib() if memory else None
    if available is not None and wanted.memory_mib > available:
        raise LastbitError(
            f"scale {scale!r} needs about {_size(wanted.memory_mib)} of memory on these workers, {_size(available)} "
            "are available: choose fewer --workers or another scale"
        )


def _what_is_wrong(name: str) -> str:
    try:
        load(name)
    except (MissingDataError, DamagedDataError) as error:
        return str(error)
    return ""


def _existing(path: Path) -> Path:
    return next(folder for folder in (path.absolute(), *path.absolute().parents) if folder.exists())


def _size(mib: int) -> str:
    return f"{mib / 1024:.1f} GiB" if mib >= 1024 else f"{mib} MiB"
