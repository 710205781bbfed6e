"""An executor whose jobs are counted, and which can be stopped gently."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any

from lastbit.execution.cluster import Cluster, Fits


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
