"""Workers: which of them run the jobs of a command, what Ctrl-C does to those jobs, and `lastbit worker`."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lastbit.cli.options import MOST_WORKERS
from lastbit.cli.output import JsonOption, StoppedCommandError, console, write_json
from lastbit.errors import LastbitError

if TYPE_CHECKING:
    from lastbit.execution.dispatch import Watched
    from lastbit.execution.worker import WorkerPlace

_NAMED = 3  # jobs in progress that are named; of more, their number

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
    processes: int = 1  # that a job is known to start

    def __str__(self) -> str:
        if self.scheduler is not None:
            return f"one worker of {self.scheduler}, less on more"
        each = f" of {self.processes} processes" if self.processes > 1 else ""
        return f"{self.workers} worker{'s' if self.workers > 1 else ''}{each}"

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
        from lastbit.training.device import choose_device

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


def worker(
    address: Annotated[str, typer.Argument(metavar="ADDR", help="Of the scheduler: tcp://10.0.0.5:8786.")],
    gpus: Annotated[
        int | None, typer.Option("--gpus", max=MOST_WORKERS, help="Workers with a GPU each [all there are].")
    ] = None,
    cpus: Annotated[
        int | None,
        typer.Option(
            "--cpus",
            min=1,
            max=MOST_WORKERS,
            help="Workers with a core each [one for each core where there is no GPU].",
        ),
    ] = None,
    name: Annotated[str | None, typer.Option("--name", help="They are called so, with a number [this host].")] = None,
    json: JsonOption = None,
) -> None:
    """Start workers of a Dask cluster on this machine.

    There is a process for each GPU or core. Each has one thread and runs one trial at a time; one with a GPU sees no
    other. `dask scheduler` starts the scheduler, and `lastbit study`, `run`, `demo` and `paper run` use it with
    `--scheduler ADDR`. Ctrl-C ends them.

    Example: `lastbit worker tcp://10.0.0.5:8786 --gpus 4`
    """
    import torch  # only here: the command line starts without it

    from lastbit.execution.scheduler import connected
    from lastbit.execution.worker import places, serve_workers, visible_gpus

    visible = visible_gpus(torch.cuda.device_count()) if cpus is None else []
    chosen = places(name or socket.gethostname(), cpus=cpus, gpus=gpus, visible=visible)
    with connected(address):  # else each worker would try for itself, and long
        pass
    serve_workers(address, chosen, lambda: _tell(address, chosen, json))


def _tell(address: str, chosen: list[WorkerPlace], json: str | None) -> None:
    rows: list[dict[str, Any]] = [{"name": place.name, "gpu": place.gpu} for place in chosen]
    write_json(json, {"scheduler": address, "workers": rows})
    if json != "-":
        named = chosen[0].name if len(chosen) == 1 else f"{chosen[0].name} to {chosen[-1].name}"
        console(json).print(f"{len(chosen)} worker(s) of {address}: {named}. Ctrl-C ends them", soft_wrap=True)


@contextmanager
def gentle_interrupts(jobs: Watched) -> Iterator[None]:
    """Let Ctrl-C stop `jobs` gently while the block runs, and a second one raise KeyboardInterrupt in it.

    Raises:
        StoppedCommandError: the block raised StoppedError, as a study that is stopped does.
    """
    from lastbit.execution.jobs import StoppedError

    asked, over = threading.Event(), threading.Event()
    listener = threading.Thread(target=_stop_when_asked, args=(jobs, asked, over), daemon=True)

    def interrupted(number: int, frame: FrameType | None) -> None:
        """Note the first Ctrl-C and raise KeyboardInterrupt at the second."""
        # Nothing but this may be done here, in the midst of whatever the main thread does, with its locks.
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()

    before = signal.signal(signal.SIGINT, interrupted)
    listener.start()
    try:
        yield
    except StoppedError as error:
        raise StoppedCommandError(f"{error}; give the same command again: it continues") from error
    finally:
        signal.signal(signal.SIGINT, before)
        over.set()
        asked.set()  # which ends the listener
        listener.join()


def _stop_when_asked(jobs: Watched, asked: threading.Event, over: threading.Event) -> None:
    asked.wait()
    if not over.is_set():
        # Through sys.stderr, which a progress bar stands in for while it is drawn.
        below = "\n" if sys.stderr.isatty() else ""  # the ^C that a terminal shows
        running = _named(jobs.stop())
        sys.stderr.write(f"{below}finishing {running}; nothing more is begun, Ctrl-C again stops now\n")


def _named(running: list[str]) -> str:
    if len(running) > _NAMED:
        return f"the {len(running)} jobs in progress"
    return " and ".join(running) if running else "what is in progress"
