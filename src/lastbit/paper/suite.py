"""Runs items: those without trainings side by side, those with trainings one after another on all workers."""

from __future__ import annotations

import time
import traceback
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from pathlib import Path

from threadpoolctl import threadpool_limits

from lastbit.execution.jobs import LOOK
from lastbit.execution.numerics import fingerprint, repeatable_numerics
from lastbit.paper.item import Item, Work
from lastbit.paper.results import Made
from lastbit.storage.files import read_json, to_json, write_atomically
from lastbit.study import StoppedError

SHARED = "shared"  # no item has this id


@dataclass(frozen=True)
class Ended:
    """How an item went."""

    item: Item
    made: Made | None  # None where it failed
    error: BaseException | None


def run_items(
    items: Sequence[Item], scale: str, *, executor: Executor, directory: Path, device: str = "cpu"
) -> Iterator[Ended]:
    """Run items and give each as it ends; one that raises takes no other along.

    The longest begin first, so that none of them is left over for one worker at the end.

    An item without trainings is itself a job for the executor. One with trainings hands these to it and waits in a
    thread of this process, for a job that waits for other jobs of the same pool would keep a worker from them.

    Args:
        items: each runs once.
        scale: one of theirs.
        executor: of any number of workers.
        directory: keeps each item's trainings in a directory of the item's id, and those that several items use in one
            more; they go on if interrupted.
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
    """Like `as_completed`, and awake now and then for Ctrl-C."""
    running = set(futures)
    while running:
        done, running = wait(running, timeout=LOOK, return_when=FIRST_COMPLETED)
        yield from done


def make(item: Item, scale: str, work: Work) -> Made:
    """Run one item with numerics that repeat, in whichever process this is called."""
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
    """Where it is computed: what trains no network stays on the CPU."""
    return work.device if item.trains or item.descends else "cpu"


def _spent(item: Item, work: Work) -> float:
    """Seconds that interrupted and failed runs of an item with trainings took before."""
    path = _spent_path(work)
    spent = read_json(path) if item.trains and path.is_file() else None
    seconds = spent.get("seconds") if isinstance(spent, dict) else None
    return float(seconds) if isinstance(seconds, int | float) else 0.0


def _spent_path(work: Work) -> Path:
    # Beside the directory, which may be a study's own.
    return work.directory.with_name(f"{work.directory.name}.seconds.json")


def traceback_of(error: BaseException) -> str:
    """The whole story of an exception, a worker's part included."""
    return "".join(traceback.format_exception(error))
