"""Who runs the jobs of a command: processes here, or the workers of a cluster."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Annotated

import typer

from lastbit.cli.options import MOST_WORKERS
from lastbit.errors import LastbitError

WorkersOption = Annotated[
    int | None,
    typer.Option("--workers", max=MOST_WORKERS, help="Processes, one thread each [one for each core]."),
]
SchedulerOption = Annotated[
    str | None,
    typer.Option(
        "--scheduler", metavar="ADDR", help="Run on a dask.distributed cluster instead (the extra `[cluster]`)."
    ),
]


@dataclass(frozen=True)
class Executors:
    """So many processes here, or the workers of a cluster."""

    workers: int  # 1 for a cluster, whose size nobody knows yet
    scheduler: str | None  # its address

    def __str__(self) -> str:
        if self.scheduler is not None:
            return f"one worker of {self.scheduler}, less on more"
        return f"{self.workers} worker{'s' if self.workers > 1 else ''}"

    @property
    def side_by_side(self) -> bool:
        """Whether two jobs may run at a time."""
        return self.workers > 1 or self.scheduler is not None

    def device(self, name: str) -> str:
        """The device of a name; `auto` is CUDA where this machine, or a worker of the cluster, has a GPU.

        Raises:
            LastbitError: there is none of this name, or the scheduler does not answer.
        """
        from lastbit.execution.scheduler import has_gpus
        from lastbit.training.run import choose_device

        if self.scheduler is None:
            return choose_device(name)
        if name not in ("auto", "cpu", "cuda"):
            raise LastbitError(
                f"--device {name}: with --scheduler, allowed are auto, cpu and cuda, of each worker its own"
            )
        return name if name != "auto" else "cuda" if has_gpus(self.scheduler) else "cpu"

    @contextmanager
    def executor(self, jobs: int | None = None) -> Iterator[Executor]:
        """A pool of processes here, no more than there are jobs, or a cluster's workers.

        Raises:
            LastbitError: the scheduler does not answer.
        """
        from lastbit.execution.cluster import cluster
        from lastbit.execution.pool import local_pool

        with ExitStack() as stack:
            if self.scheduler is None:
                yield stack.enter_context(local_pool(self.limited(jobs)))
                return
            workers = stack.enter_context(cluster(self.scheduler))
            yield workers

    def limited(self, jobs: int | None) -> int:
        """How many workers here have something to do."""
        return self.workers if jobs is None else max(1, min(self.workers, jobs))


def chosen_executors(workers: int | None, scheduler: str | None) -> Executors:
    """What --workers and --scheduler ask for.

    Raises:
        LastbitError: both were given, or fewer than one worker.
    """
    if workers is not None and workers < 1:
        raise LastbitError(f"--workers {workers}: at least 1 is needed")
    if workers is not None and scheduler is not None:
        raise LastbitError("--workers and --scheduler: give one, for processes here or for a cluster's workers")
    return Executors(workers or (1 if scheduler else os.cpu_count()) or 1, scheduler)
