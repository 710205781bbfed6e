"""Several items together: what they need of this machine, and how they are run.

Items without trainings run side by side, those with trainings one after another on all workers.
"""

from __future__ import annotations

import shutil
import time
import traceback
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from pathlib import Path

from threadpoolctl import threadpool_limits

from lastbit.errors import LastbitError
from lastbit.execution.jobs import LOOK
from lastbit.execution.numerics import fingerprint, repeatable_numerics
from lastbit.machine import available_memory_mib
from lastbit.paper.item import Cost, Item, Work
from lastbit.paper.results import Made
from lastbit.storage.files import read_json, to_json, write_atomically
from lastbit.study import StoppedError
from lastbit.training.data import DamagedDataError, MissingDataError, load

SHARED = "shared"  # no item has this id
_MIB = 2**20


@dataclass(frozen=True)
class Ended:
    """An item that has ended."""

    item: Item
    made: Made | None  # None if it failed
    error: BaseException | None


def run_items(
    items: Sequence[Item], scale: str, *, executor: Executor, directory: Path, device: str = "cpu"
) -> Iterator[Ended]:
    """Run items and yield each as it ends; an item that raises does not stop the others.

    The longest start first, so that no worker is left alone with a long one at the end.

    An item without trainings is itself a job for the executor. One with trainings hands these to it and waits in a
    thread of this process, for a job that waits for other jobs of the same pool would keep a worker from them.

    Args:
        items: each is run once.
        scale: one of their scales.
        executor: of any number of workers.
        directory: each item's trainings are stored in a directory named by its id, those that several items use in
            one more; interrupted trainings continue.
        device: where networks are trained.

    Raises:
        StoppedError: the executor was stopped; raised once what was in progress has ended.
    """
    waiting, work = ThreadPoolExecutor(1), Work(directory, executor, directory / SHARED, device)
    futures: dict[Future[Made], Item] = {}
    for item in sorted(items, key=lambda item: -item.scale(scale).cost.seconds):
        if item.trains:
            futures[waiting.submit(make, item, scale, replace(work, directory=directory / item.id))] = item
        else:
            futures[executor.submit(make, item, scale, Work(directory / item.id, device=device))] = item
    try:
        stopped = False
        for future in _as_they_end(futures):
            error = StoppedError() if future.cancelled() else future.exception()
            if isinstance(error, StoppedError):
                stopped = True
            else:
                yield Ended(futures[future], None if error else future.result(), error)
        if stopped:
            raise StoppedError("stopped before all items were done")
    finally:
        # After an interrupt nobody waits for the thread: it ends as its pool is stopped.
        waiting.shutdown(wait=False, cancel_futures=True)


def _as_they_end(futures: Iterable[Future[Made]]) -> Iterator[Future[Made]]:
    """Like `as_completed`, but waking up regularly to notice Ctrl-C."""
    running = set(futures)
    while running:
        done, running = wait(running, timeout=LOOK, return_when=FIRST_COMPLETED)
        yield from done


def make(item: Item, scale: str, work: Work) -> Made:
    """Run one item with repeatable numerics, in the calling process."""
    begun, before = time.perf_counter(), _spent(item, work)
    try:
        with repeatable_numerics(), threadpool_limits(limits=1):
            result = item.reproduce(scale, work)
            made = Made(result, before + time.perf_counter() - begun, fingerprint(_device(item, work)))
        item.read(result)  # what this raises fails this item alone now, and not the page of all later
        return made
    except BaseException:
        if item.trains:  # what is stored of its trainings need not be done again, but was work
            seconds = before + time.perf_counter() - begun
            write_atomically(_spent_path(work), to_json({"seconds": seconds}).encode())
        raise


def _device(item: Item, work: Work) -> str:
    """Return the device of an item: one that trains no network stays on the CPU."""
    return work.device if item.trains or item.descends else "cpu"


def _spent(item: Item, work: Work) -> float:
    """Return the seconds of earlier runs of an item with trainings that were interrupted or failed."""
    path = _spent_path(work)
    spent = read_json(path) if item.trains and path.is_file() else None
    seconds = spent.get("seconds") if isinstance(spent, dict) else None
    return float(seconds) if isinstance(seconds, int | float) else 0.0


def _spent_path(work: Work) -> Path:
    # Beside the directory, which may be a study's own.
    return work.directory.with_name(f"{work.directory.name}.seconds.json")


def traceback_of(error: BaseException) -> str:
    """Return the full traceback of an exception, including the part in a worker."""
    return "".join(traceback.format_exception(error))


@dataclass(frozen=True)
class Needs:
    """What several items need together."""

    seconds: float  # on all workers
    memory_mib: int  # of all workers at the worst moment
    disk_mib: int
    data: tuple[str, ...]  # data sets, each once


def needs(items: Sequence[Item], scale: str, *, workers: int) -> Needs:
    """Add up what items need at a scale.

    Items without trainings run on one worker each; the trainings of one item may run on all workers at once.
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
    """Return the time of evenly shared work, or that of the longest item that cannot be shared."""
    seconds = sum(cost.seconds for _, cost in costs)
    return max([seconds / workers, *(cost.seconds for item, cost in costs if not item.trains)])


def check_data(names: Sequence[str]) -> None:
    """Check that data sets are on this machine.

    Raises:
        LastbitError: some are missing or damaged; the message gives the command for each.
    """
    if wrong := [reason for name in names if (reason := _what_is_wrong(name))]:
        raise LastbitError("; ".join(wrong))


def check_room(wanted: Needs, *, directory: Path, scale: str, memory: bool = True) -> None:
    """Check that this machine has the memory and the disk space.

    Args:
        wanted: what the items need together.
        directory: where results and trainings go.
        scale: for the message.
        memory: whether the workers are on this machine.

    Raises:
        LastbitError: it does not; the message gives the estimate and what is available.
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
