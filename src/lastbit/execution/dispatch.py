"""Submits jobs to an executor, few at a time, and yields their outcomes as they end."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from typing import Any, Generic, Protocol

from lastbit.execution.cluster import Cluster, Fits
from lastbit.execution.cluster_dispatcher import ClusterDispatcher
from lastbit.execution.jobs import LOOK, BitFingerprint, J, LostWorkersError, Outcome, Runner, SeedGroups, StoppedError

# At most so many jobs are submitted and not ended. It bounds memory for studies of any size, and exceeds the number of
# workers of an executor that does not report it; `cancel` empties the queue of such an executor.
AHEAD = 1_000


class Dispatcher(Protocol[J]):
    """Submits jobs to workers."""

    def more(self) -> Iterator[tuple[J, Future[Outcome[J]]]]:
        """Submit as many jobs as there is room for now."""

    @property
    def is_done(self) -> bool:
        """Whether no job is left to submit."""


def dispatch(
    runner: Runner[J],
    groups: SeedGroups[J],
    executor: Executor | None,
    on_remark: Callable[[str], None],
    enough: Callable[[], bool],
) -> Iterator[Outcome[J]]:
    """Run jobs and yield the outcome of each as it ends.

    Args:
        runner: runs a job.
        groups: the jobs that are wanted.
        executor: runs calls; without one, jobs run in this process one after another.
        on_remark: called with a remark for the user on a cluster's workers.
        enough: whether to start no more jobs; those in progress still end.

    Raises:
        LastbitError: no worker has the bit fingerprint with which a seed was begun, or a cluster's worker cannot take
            part.
        StoppedError: the executor was stopped; raised once those in progress have ended.
        LostWorkersError: all workers are out of reach.
    """
    if executor is None:
        return _in_this_process(runner, groups, enough)
    cluster = cluster_of(executor)
    if cluster is None:
        return _outcomes(ExecutorDispatcher(executor, runner, groups), enough)
    assert isinstance(executor, Cluster | Watched)
    return _outcomes(
        ClusterDispatcher(executor.submit_to, cluster, runner.with_absolute_root(), groups, on_remark), enough
    )


def cluster_of(executor: Executor | None) -> Cluster | None:
    """The cluster behind an executor, whose workers may be on several machines; None where there is none."""
    return executor.cluster if isinstance(executor, Cluster | Watched) else None


class ExecutorDispatcher(Generic[J]):
    """Submits jobs to an executor that does not distinguish its workers: they are assumed to be alike.

    A worker that is not like the others refuses its job, as runners do.

    Raises:
        LastbitError: a seed was begun with another bit fingerprint than a worker's.
    """

    def __init__(self, executor: Executor, runner: Runner[J], groups: SeedGroups[J]) -> None:
        self._executor, self._runner, self._groups = executor, runner, groups
        self._open: set[Future[Outcome[J]]] = set()
        self._bits: BitFingerprint = None
        if groups.firsts:  # else the first worker decides, and none need wait for it
            self._bits = executor.submit(runner.bit_fingerprint).result()
            groups.check({self._bits: "here"})

    def more(self) -> Iterator[tuple[J, Future[Outcome[J]]]]:
        """Submit jobs until enough are open to keep the workers busy."""
        while len(self._open) < AHEAD and (job := self._groups.next_for(self._bits)) is not None:
            future = self._executor.submit(self._runner, job)
            self._open.add(future)
            future.add_done_callback(self._open.discard)
            yield job, future

    @property
    def is_done(self) -> bool:
        """Whether no job is left to submit."""
        return self._groups.is_empty


def _in_this_process(runner: Runner[J], groups: SeedGroups[J], enough: Callable[[], bool]) -> Iterator[Outcome[J]]:
    bits = runner.bit_fingerprint()
    groups.check({bits: "here"})
    while not enough() and (job := groups.next_for(bits)) is not None:
        yield runner(job)


def _outcomes(dispatcher: Dispatcher[J], enough: Callable[[], bool]) -> Iterator[Outcome[J]]:
    running, stopped = dict[Future[Outcome[J]], J](), False
    try:
        while running or not (stopped or enough() or dispatcher.is_done):
            if not (stopped or enough()):
                running |= {future: job for job, future in dispatcher.more()}
            for future in _ended(running):
                job = running.pop(future)
                stopped = stopped or future.cancelled()
                if not future.cancelled():
                    yield _outcome(future, job)
            if enough():
                running = {future: job for future, job in running.items() if not future.cancel()}
    finally:
        for future in running:
            future.cancel()
    if stopped:
        raise StoppedError("stopped before all trials were stored")


def _ended(running: Collection[Future[Outcome[J]]]) -> set[Future[Outcome[J]]]:
    """The futures that have ended, after a short wait for one; with none running, wait for workers."""
    if not running:
        time.sleep(LOOK)
    return wait(running, timeout=LOOK, return_when=FIRST_COMPLETED).done


def _outcome(future: Future[Outcome[J]], job: J) -> Outcome[J]:
    """The outcome of the job of a future that is done."""
    try:
        return future.result()
    except LostWorkersError:
        raise
    except Exception as error:
        # The executor's trouble, not the job's: a worker that died, a connection that broke.
        return Outcome(job, f"{type(error).__name__}: {error}")


class Watched(Executor):
    """Submits jobs to another executor until it is stopped.

    Args:
        inner: does the jobs.
        on_change: called with the number of jobs done and given, from any thread.
    """

    def __init__(self, inner: Executor, on_change: Callable[[int, int], None] = lambda done, given: None) -> None:
        self._inner, self._on_change = inner, on_change
        self._given, self._stopped = 0, False
        self._open: dict[Future[Any], str] = {}  # jobs that have not ended, and what to call them
        self._changing = threading.RLock()  # no job may be submitted between the decision to stop and the stop

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Submit a job; once stopped, give a future that is cancelled."""
        return self._submitted(lambda: self._inner.submit(fn, *args, **kwargs), _name(fn, args))

    def submit_to(self, fits: Fits, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Submit a job to workers that fit, where the executor is a cluster; once stopped, as `submit`.

        Raises:
            TypeError: the executor is no cluster.
        """
        cluster = self.cluster
        if cluster is None:
            raise TypeError(f"{type(self._inner).__name__} does not tell its workers apart")
        return self._submitted(lambda: cluster.submit_to(fits, fn, *args, **kwargs), _name(fn, args))

    @property
    def cluster(self) -> Cluster | None:
        """The executor behind, where it is a cluster and so knows its workers."""
        return self._inner if isinstance(self._inner, Cluster) else None

    def stop(self) -> list[str]:
        """Cancel queued jobs, accept no more, and report which are running; those end by themselves."""
        with self._changing:
            self._stopped = True
            for future in list(self._open):
                future.cancel()  # which ends it, and so takes it out, unless it runs
            return list(self._open.values())

    def _submitted(self, submit: Callable[[], Future[Any]], name: str) -> Future[Any]:
        with self._changing:
            if self._stopped:
                return _cancelled()
            future = submit()
            self._given += 1
            self._open[future] = name
        future.add_done_callback(self._ended)
        self._tell()
        return future

    def _ended(self, future: Future[Any]) -> None:
        with self._changing:
            self._open.pop(future, None)
        self._tell()

    def _tell(self) -> None:
        self._on_change(self._given - len(self._open), self._given)


def _cancelled() -> Future[Any]:
    future: Future[Any] = Future()
    future.cancel()
    future.set_running_or_notify_cancel()
    return future


def _name(fn: Callable[..., Any], args: tuple[Any, ...]) -> str:
    """What a job is called: the label of its trial, the id of its item, or the function's name."""
    texts = (getattr(arg, name, None) for name in ("label", "id") for arg in args)
    return next((text for text in texts if isinstance(text, str)), getattr(fn, "__name__", type(fn).__name__))
