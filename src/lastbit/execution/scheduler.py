"""The scheduler of a dask.distributed cluster, and the workers that it knows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from lastbit.errors import LastbitError
from lastbit.extras import how_to_install

TIMEOUT = 10  # seconds for the scheduler to answer
GPU = "GPU"  # the Dask resource that `lastbit worker --gpus` gives each of its workers


@dataclass(frozen=True)
class Worker:
    """A worker process of a cluster."""

    address: str  # tcp://10.0.0.7:40123
    name: str  # as it was started
    host: str
    gpus: int  # that it may use, by Dask's resource GPU

    def __str__(self) -> str:
        return f"{self.name} ({self.address})" if self.name != self.address else self.address


@contextmanager
def connected(address: str) -> Iterator[Any]:
    """Give a client of the scheduler at an address.

    Raises:
        LastbitError: dask.distributed is not installed, this is no address, or nothing answers there within 10 seconds.
    """
    try:
        from distributed import Client  # only here: an extra that most do without
        from distributed.comm.addressing import get_address_host_port
    except ModuleNotFoundError:
        raise LastbitError(f"a scheduler needs dask.distributed: {how_to_install('cluster')}") from None
    try:
        get_address_host_port(address)  # a client that finds this out itself leaves threads behind
        client = Client(address, timeout=TIMEOUT, set_as_default=False)  # type: ignore[no-untyped-call]
    except (OSError, ValueError) as error:  # a time-out is an OSError
        raise LastbitError(
            f"no scheduler answers at {address!r} within {TIMEOUT} s ({_reason(error)}): check that `dask scheduler` "
            "runs there, that the address is the one it prints, and that no firewall is between"
        ) from None
    with client:
        yield client


def has_gpus(address: str) -> bool:
    """Whether any worker behind a scheduler has a GPU to give.

    Raises:
        LastbitError: as `cluster` does.
    """
    with connected(address) as client:
        return any(worker.gpus for worker in workers_of(client).values())


def workers_of(client: Any) -> dict[str, Worker]:
    """The workers that a client's scheduler knows, by address."""
    workers = client.scheduler_info(n_workers=-1)["workers"]  # some versions of Dask list five unless asked for all
    return {
        address: Worker(address, str(worker["name"]), worker["host"], int(worker["resources"].get(GPU, 0)))
        for address, worker in workers.items()
    }


def with_nanny(client: Any) -> set[str]:
    """Addresses of the workers that are started again when they end."""
    return {address for address, worker in client.scheduler_info(n_workers=-1)["workers"].items() if worker["nanny"]}


def _reason(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
