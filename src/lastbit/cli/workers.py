"""Who runs the jobs of a command: processes here, or the workers of a cluster."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from lastbit.cli.wrong_input import wrong_input
from lastbit.study import local_pool
from lastbit.study.cluster import cluster

WorkersOption = Annotated[int | None, typer.Option("--workers", help="Processes, one thread each [one for each core].")]
SchedulerOption = Annotated[
    str | None,
    typer.Option(
        "--scheduler", metavar="ADDR", help="Run on a dask.distributed cluster instead (the extra `[cluster]`)."
    ),
]


def count_workers(workers: int | None, scheduler: str | None) -> int:
    """How many processes to start here; 1 for a cluster, whose size nobody knows yet.

    Raises:
        ValueError: both were given, or fewer than one worker.
    """
    if workers is not None and workers < 1:
        raise ValueError(f"--workers {workers}: at least 1 is needed")
    if workers is not None and scheduler is not None:
        raise ValueError("--workers and --scheduler: give one, for processes here or for a cluster's workers")
    return workers or (1 if scheduler else os.cpu_count()) or 1


def crew(workers: int, scheduler: str | None) -> str:
    """Who does the work, in words."""
    if scheduler is not None:
        return f"one worker of {scheduler}, less on more"
    return f"{workers} worker{'s' if workers > 1 else ''}"


def executor(workers: int, scheduler: str | None) -> AbstractContextManager[Executor]:
    """A pool of processes here, or a cluster's workers; a scheduler that does not answer ends the command."""
    return local_pool(workers) if scheduler is None else _cluster(scheduler)


@contextmanager
def _cluster(scheduler: str) -> Iterator[Executor]:
    with ExitStack() as stack:
        with wrong_input():  # while connecting only: what is done with the workers may raise as it likes
            workers = stack.enter_context(cluster(scheduler))
        yield workers


class Watched(Executor):
    """An executor that says how many jobs it was given and how many are done.

    Args:
        inner: does the jobs.
        on_change: called with both numbers, from any thread.
    """

    def __init__(self, inner: Executor, on_change: Callable[[int, int], None]) -> None:
        self._inner, self._on_change = inner, on_change
        self._given = self._done = 0

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Hand a job on."""
        self._given += 1
        future = self._inner.submit(fn, *args, **kwargs)
        future.add_done_callback(self._note)
        self._on_change(self._done, self._given)
        return future

    def _note(self, future: Future[Any]) -> None:
        self._done += 1
        self._on_change(self._done, self._given)


@contextmanager
def job_progress(title: str, inner: Executor) -> Iterator[tuple[Executor, Callable[[str], None]]]:
    """Show a bar of jobs on standard error, on a terminal only; give the executor to use and a function for remarks."""
    terminal = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("jobs,"),
        TimeElapsedColumn(),
        TextColumn("elapsed  {task.fields[remark]}"),
    )
    with Progress(*columns, console=terminal, disable=not terminal.is_terminal) as progress:
        task = progress.add_task(title, total=None, remark="")
        watched = Watched(inner, lambda done, given: progress.update(task, completed=done, total=given))
        yield watched, lambda remark: progress.update(task, remark=remark)
