"""`lastbit worker`: lets this machine run trials for studies elsewhere."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lastbit.cli.options import MOST_WORKERS
from lastbit.cli.output import JsonOption, console, write_json

if TYPE_CHECKING:
    from lastbit.execution.worker import WorkerPlace


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
    from lastbit.execution.worker import places, serve, visible_gpus

    visible = visible_gpus(torch.cuda.device_count()) if cpus is None else []
    chosen = places(name or socket.gethostname(), cpus=cpus, gpus=gpus, visible=visible)
    with connected(address):  # else each worker would try for itself, and long
        pass
    serve(address, chosen, lambda: _tell(address, chosen, json))


def _tell(address: str, chosen: list[WorkerPlace], json: str | None) -> None:
    rows: list[dict[str, Any]] = [{"name": place.name, "gpu": place.gpu} for place in chosen]
    write_json(json, {"scheduler": address, "workers": rows})
    if json != "-":
        named = chosen[0].name if len(chosen) == 1 else f"{chosen[0].name} to {chosen[-1].name}"
        console(json).print(f"{len(chosen)} worker(s) of {address}: {named}. Ctrl-C ends them", soft_wrap=True)
