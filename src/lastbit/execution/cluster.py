"""Workers of a dask.distributed cluster, as a `concurrent.futures.Executor`.

Dask's own executor hands every job to the scheduler at once, where a queued job looks like a running one,
and its workers may hold several. Here each worker process is given one job at a time, and the others wait on this side:
they can be cancelled, put before others, and meant for some workers only.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor, Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from lastbit.execution.jobs import LostWorkersError, WorkerDiedError
from lastbit.execution.scheduler import GPU, TIMEOUT, Worker, check_versions, connected, with_nanny, workers_of

_LOOK = 1.0  # seconds between two looks at who is there
_LIVES = 2  # workers that a job may lose before it fails: one may be preempted, and a second hardly by chance


@contextmanager
def cluster(address: str) -> Iterator[Cluster]:
    """Give the workers behind a scheduler as an executor; leaving by an exception stops what they do for it.

    The workers need lastbit, the data sets, and the directory that results go to under the same name; `lastbit worker`
    starts them.

    Args:
        address: of a running scheduler, such as `tcp://10.0.0.5:8786`.

    Raises:
        LastbitError: dask.distributed is not installed, this is no address, nothing answers there within 10 seconds, or
            the workers have other versions of lastbit, torch or Python.
    """
    with connected(address) as client:
        check_versions(client)
        executor = Cluster(client, address)
        try:
            yield executor
        except BaseException:
            executor.kill()
            raise
        finally:
            executor.shutdown()


Fits = Callable[[Worker], bool]


@dataclass(eq=False)
class _Job:
    call: partial[Any]
    fits: Fits
    future: Future[Any]
    lives: int = _LIVES
    begun: bool = False

    def begin(self) -> bool:
        """Whether it may run: it was not cancelled."""
        self.begun = self.begun or self.future.set_running_or_notify_cancel()
        return self.begun


class Cluster(Executor):
    """The workers of a Dask cluster, each of them with one job at a time.

    One process has one job whatever its number of threads, for torch's modes are the process's. Workers that come later
    are given jobs too. A job whose worker goes away is given to another one, once.
    """

    def __init__(self, client: Any, address: str) -> None:
        self._client, self._address = client, address
        self._urgent, self._waiting = deque[_Job](), deque[_Job]()
        self._running: dict[str, tuple[_Job, Any]] = {}  # by the worker's address: its job, and Dask's future
        # Never held while a future gets its outcome, which calls functions of others.
        self._changing, self._over = threading.Lock(), threading.Event()
        self._lost: LostWorkersError | None = None
        self._workers: Mapping[str, Worker] = workers_of(client)
        threading.Thread(target=self._watch, daemon=True).start()

    @property
    def cluster(self) -> Cluster:
        """Itself: a watched executor has the same property."""
        return self

    def workers(self) -> list[Worker]:
        """Who is there now.

        Raises:
            LostWorkersError: the scheduler is gone.
        """
        if self._lost is not None:
            raise self._lost
        return list(self._workers.values())

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run `fn(*args, **kwargs)` on the next free worker.

        The future raises what the call raised, `WorkerDiedError`, or `LostWorkersError` when the scheduler is gone.
        """
        return self._accept(self._waiting, _Job(partial(fn, *args, **kwargs), _anybody, Future()))

    def submit_to(self, fits: Fits, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run a call on the next free worker that fits, before jobs that any worker may run."""
        return self._accept(self._urgent, _Job(partial(fn, *args, **kwargs), fits, Future()))

    def kill(self) -> None:
        """Cancel queued calls, and stop running ones where a nanny can restart the worker; elsewhere they continue."""
        with self._changing:
            waiting, running = [*self._urgent, *self._waiting], dict(self._running)
            self._urgent.clear()
            self._waiting.clear()
            self._running.clear()
        for job in waiting:
            job.future.cancel()
        for address, (job, _) in running.items():
            job.future.set_exception(WorkerDiedError(f"the worker {address} was stopped"))
        with suppress(OSError):  # a scheduler that is gone has nothing to stop
            if ours := sorted(with_nanny(self._client).intersection(running)):
                self._client.restart_workers(ours, timeout=TIMEOUT, raise_for_error=False)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Stop watching the workers."""
        self._over.set()

    def _accept(self, queue: deque[_Job], job: _Job) -> Future[Any]:
        with self._changing:
            if self._lost is None:
                queue.append(job)
                self._give_out()
        if self._lost is not None:
            job.future.set_exception(self._lost)
        return job.future

    def _give_out(self) -> None:
        """Give each free worker a job. The caller holds the lock."""
        if not self._urgent and not self._waiting:
            return
        for address in self._workers.keys() - self._running.keys():
            if (job := self._next(self._workers[address])) is not None:
                resources = {GPU: 1} if self._workers[address].gpus else None
                future = self._client.submit(
                    job.call, workers=[address], allow_other_workers=False, resources=resources, pure=False
                )
                self._running[address] = job, future
                future.add_done_callback(partial(self._ended, address, job))

    def _next(self, worker: Worker) -> _Job | None:
        for queue in (self._urgent, self._waiting):
            for job in [job for job in queue if job.fits(worker)]:
                queue.remove(job)
                if job.begin():
                    return job
        return None

    def _ended(self, address: str, job: _Job, future: Any) -> None:
        lost = future.status == "cancelled"  # which nobody does here but a client that lost its scheduler
        with self._changing:
            if self._running.get(address, (None,))[0] is not job:
                return  # it was taken from a worker that went away
            if not lost:
                del self._running[address]
                self._give_out()
        if lost:
            self._give_up()
        else:
            _tell(job.future, future)

    def _watch(self) -> None:
        while not self._over.wait(_LOOK):
            try:
                workers = workers_of(self._client)
                if self._client.status == "closed":  # then Dask goes on telling who was there last
                    raise ConnectionError
                self._look(workers)
            except Exception:  # whatever a connection that breaks raises, here or in Dask's own threads
                self._give_up()
                return

    def _look(self, workers: Mapping[str, Worker]) -> None:
        failed = []
        with self._changing:
            self._workers = workers
            for address in self._running.keys() - workers.keys():
                job, _ = self._running.pop(address)
                job.lives -= 1
                if job.lives:
                    self._urgent.appendleft(job)
                else:
                    failed.append((job, address))
            self._give_out()
        for job, address in failed:
            job.future.set_exception(
                WorkerDiedError(
                    f"the worker {address} went away while it worked, and so did the one before: killed, out of "
                    "memory, or cut off"
                )
            )

    def _give_up(self) -> None:
        with self._changing:
            self._lost = LostWorkersError(
                f"the scheduler at {self._address} went away; what its workers had begun they may still store"
            )
            jobs = [*self._urgent, *self._waiting, *(job for job, _ in self._running.values())]
            self._urgent.clear()
            self._waiting.clear()
            self._running.clear()
        for job in jobs:
            if job.begin():
                job.future.set_exception(self._lost)


def _anybody(worker: Worker) -> bool:
    return True


def _tell(future: Future[Any], dask: Any) -> None:
    """Give a future the outcome of Dask's."""
    try:
        value = dask.result()
    except Exception as error:
        future.set_exception(error)
    else:
        future.set_result(value)
