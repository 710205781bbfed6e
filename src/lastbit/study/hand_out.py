"""Gives trials to an executor, few at a time, and their outcomes back as they end."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from typing import Protocol

from lastbit.errors import LastbitError
from lastbit.execution.lost import LostWorkersError
from lastbit.study.columns import Columns, Proof
from lastbit.study.execute import Job, Outcome
from lastbit.study.trial import Trial

# Handed out and not ended yet, at most. It bounds what a study of any size keeps in memory, and is more than the
# workers of an executor that does not say how many it has; the queue of such an executor is what `cancel` empties.
AHEAD = 1_000
# Seconds after which a wait begins anew: a signal that comes while a thread goes to sleep on a lock does not wake it.
LOOK = 0.5


class StoppedError(RuntimeError):
    """A study was asked to stop before all its trials were stored; those that had begun have ended."""


class Desk(Protocol):
    """Where trials are handed out."""

    def more(self) -> Iterator[tuple[Trial, Future[Outcome]]]:
        """Hand out as many trials as there is room for now."""

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to be handed out."""


def outcomes(desk: Desk, enough: Callable[[], bool] = lambda: False) -> Iterator[Outcome]:
    """Give the outcome of each trial as it ends.

    Args:
        desk: hands them out.
        enough: whether none that waits is to begin any more; those in progress still end.

    Raises:
        StoppedError: a future was cancelled; raised once those in progress have ended.
        LostWorkersError: all workers are out of reach.
    """
    running, stopped = dict[Future[Outcome], Trial](), False
    try:
        while running or not (stopped or enough() or desk.is_done):
            if not (stopped or enough()):
                running |= {future: trial for trial, future in desk.more()}
            for future in _ended(running):
                trial = running.pop(future)
                stopped = stopped or future.cancelled()
                if not future.cancelled():
                    yield _outcome(future, trial)
            if enough():
                running = {future: trial for future, trial in running.items() if not future.cancel()}
    finally:
        for future in running:
            future.cancel()
    if stopped:
        raise StoppedError("stopped before all trials were stored")


class AnyExecutor:
    """A desk for an executor of which nothing is known but that it takes jobs: its workers are taken for alike.

    One that is not like the others refuses its trial, as `Job` does.

    Raises:
        LastbitError: a seed was begun on another arithmetic than a worker's.
    """

    def __init__(self, executor: Executor, job: Job, columns: Columns) -> None:
        self._executor, self._job, self._columns = executor, job, columns
        self._open: set[Future[Outcome]] = set()
        self._proof: Proof = None
        if columns.firsts:  # else the first worker decides, and none need wait for it
            self._proof = executor.submit(job.proof).result()
            check_columns(columns, {self._proof: "here"})

    def more(self) -> Iterator[tuple[Trial, Future[Outcome]]]:
        """Hand out until so many are open that the workers are busy."""
        while len(self._open) < AHEAD and (trial := self._columns.next_for(self._proof)) is not None:
            future = self._executor.submit(self._job, trial)
            self._open.add(future)
            future.add_done_callback(self._open.discard)
            yield trial, future

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to be handed out."""
        return self._columns.is_empty


def in_this_process(job: Job, columns: Columns, enough: Callable[[], bool] = lambda: False) -> Iterator[Outcome]:
    """Run trials one after another.

    Args:
        job: runs one.
        columns: the trials that are wanted.
        enough: whether no other is to begin any more.

    Raises:
        LastbitError: a seed was begun on another arithmetic than this process's.
    """
    proof = job.proof()
    check_columns(columns, {proof: "here"})
    while not enough() and (trial := columns.next_for(proof)) is not None:
        yield job(trial)


def check_columns(columns: Columns, there: dict[Proof, str]) -> None:
    """Check that every seed that was begun can be gone on with.

    Args:
        columns: of the study.
        there: the workers of each proof, in words.

    Raises:
        LastbitError: none of them has the proof of such a seed.
    """
    stranded = columns.stranded(there)
    if not stranded:
        return
    seed, wanted = next(iter(stranded.items()))
    more = f" (and {len(stranded) - 1} more)" if len(stranded) > 1 else ""
    present = "; ".join(f"{proof}: {workers}" for proof, workers in there.items())
    raise LastbitError(
        f"seed {seed}{more} was begun on arithmetic {wanted}, and no worker gives its bits (there is {present}): go on "
        "where it was begun, leave it out with --seeds, or choose another directory"
    )


def _ended(running: Collection[Future[Outcome]]) -> set[Future[Outcome]]:
    """Those that have ended, after waiting a little for one; with none running, workers are waited for."""
    if not running:
        time.sleep(LOOK)
    return wait(running, timeout=LOOK, return_when=FIRST_COMPLETED).done


def _outcome(future: Future[Outcome], trial: Trial) -> Outcome:
    """How the trial of a future that is done went."""
    try:
        return future.result()
    except LostWorkersError:
        raise
    except Exception as error:
        # The executor's trouble, not the training's: a worker that died, a connection that broke.
        return Outcome(trial, f"{type(error).__name__}: {error}")
