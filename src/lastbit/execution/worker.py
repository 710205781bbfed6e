"""Starts the workers of a dask.distributed cluster on this machine: one process of one thread for each core or GPU."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from lastbit.errors import LastbitError
from lastbit.execution.scheduler import GPU

# Libraries that would each start a thread for every core in every worker.
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
# Dask has glibc give memory back to the system at every chance, which halves the speed of a training on a CPU: each
# activation is then mapped, zeroed page by page and unmapped. None leaves the C library as it comes.
_MEMORY_KEPT = {"distributed.nanny.pre-spawn-environ.MALLOC_TRIM_THRESHOLD_": None}
_CLOSING = 10  # seconds for a worker to end


@dataclass(frozen=True)
class WorkerPlace:
    """What one worker process is given."""

    name: str
    gpu: str | None  # as CUDA_VISIBLE_DEVICES has it; None for a worker that uses a core

    @property
    def environment(self) -> dict[str, str]:
        """Variables of its process; one without a GPU sees none, so that it takes none from others."""
        return {**_ONE_THREAD, "CUDA_VISIBLE_DEVICES": self.gpu or ""}

    @property
    def resources(self) -> dict[str, int]:
        """What Dask lets jobs ask for."""
        return {} if self.gpu is None else {GPU: 1}


def places(name: str, *, cpus: int | None, gpus: int | None, visible: Sequence[str]) -> list[WorkerPlace]:
    """The workers to start.

    Args:
        name: they are called so, with a number.
        cpus: how many without a GPU.
        gpus: how many with one each.
        visible: the GPUs of this machine that this process may use, as CUDA_VISIBLE_DEVICES has them. Where neither
            number is given, each of them has a worker, or without any each core.

    Raises:
        LastbitError: both were given, one below 1, or more GPUs than there are.
    """
    if cpus is not None and gpus is not None:
        raise LastbitError("--cpus and --gpus: give one; start the command twice for workers of both kinds")
    for option, number in (("--cpus", cpus), ("--gpus", gpus)):
        if number is not None and number < 1:
            raise LastbitError(f"{option} {number}: at least 1 is needed")
    if gpus is not None and gpus > len(visible):
        raise LastbitError(f"--gpus {gpus}: this machine has {len(visible)} CUDA device(s) that may be used")
    chosen: Sequence[str | None] = visible[:gpus] if cpus is None else [None] * cpus
    return [WorkerPlace(f"{name}-{i}", gpu) for i, gpu in enumerate(chosen or [None] * (os.cpu_count() or 1))]


def visible_gpus(count: int) -> list[str]:
    """Names of the GPUs that this process may use.

    Args:
        count: how many torch sees.
    """
    named = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    return (named or [str(i) for i in range(count)])[:count]


def serve_workers(address: str, chosen: Sequence[WorkerPlace], begun: Callable[[], None]) -> None:
    """Run workers until the scheduler ends or this process gets SIGINT or SIGTERM; each that dies is started again.

    Args:
        address: of the scheduler.
        chosen: the workers.
        begun: called once all of them are there.
    """
    asyncio.run(_serve(address, chosen, begun))


async def _serve(address: str, chosen: Sequence[WorkerPlace], begun: Callable[[], None]) -> None:
    nannies = [_nanny(address, place) for place in chosen]
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await asyncio.gather(*nannies)
    begun()
    ends = [asyncio.create_task(stop.wait()), asyncio.create_task(_all_finished(nannies))]
    await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    await asyncio.gather(*(nanny.close(timeout=_CLOSING) for nanny in nannies))
    for end in ends:
        end.cancel()


async def _all_finished(nannies: Sequence[Any]) -> None:
    await asyncio.gather(*(nanny.finished() for nanny in nannies))


def _nanny(address: str, place: WorkerPlace) -> Any:
    import dask  # only here: an extra that most do without
    from distributed import Nanny

    with dask.config.set(_MEMORY_KEPT):
        return Nanny(
            address,
            nthreads=1,
            name=place.name,
            env=place.environment,
            resources=place.resources,
            memory_limit=None,  # a share of the machine's memory by cores would kill a training that needs more
            silence_logs=logging.CRITICAL,  # the client reports what becomes of a trial
        )
