"""The scheduler of a dask.distributed cluster, its workers, and the handshake before a worker is given jobs.

In a handshake a worker shows equal versions, the directory, the data, and its bit fingerprint. Results can be compared
only if all machines have the same versions.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from lastbit.errors import LastbitError
from lastbit.execution.jobs import BitFingerprint, J, Runner
from lastbit.machine import how_to_install, installed_version
from lastbit.storage.files import sha256

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


_PACKAGES = ("lastbit", "torch")  # and Python, whose version Dask reports anyway
_NAMED = 3  # workers that a message names


@dataclass(frozen=True)
class Handshake:
    """The result of a worker's handshake."""

    bits: BitFingerprint = None
    complaint: str | None = None  # why it can take no part


def shake_hands(runner: Runner[J], description: str, versions: Mapping[str, str | None]) -> Handshake:
    """Check that this process can take part, and compute its bit fingerprint.

    Args:
        runner: of the jobs.
        description: checksum of what the directory holds, as the client sees it.
        versions: the client's; those of workers that were there when it came were checked already.
    """
    complaint = _differing_versions(versions) or _directory(runner, description) or _data(runner)
    return Handshake(complaint=complaint) if complaint else Handshake(runner.bit_fingerprint())


def description_checksum(runner: Runner[J]) -> str:
    """Checksum of the file that says what the directory holds, which client and workers must see alike."""
    return sha256(runner.description.read_bytes())


def own_versions() -> dict[str, str | None]:
    """Versions of Python, torch and lastbit in this process; None for what is not installed."""
    return {"python": platform.python_version(), **{name: installed_version(name) for name in _PACKAGES}}


def check_versions(client: Any) -> None:
    """Check that the workers of a Dask client have its own versions of Python, torch and lastbit.

    Raises:
        LastbitError: some have others; the message names the versions and the workers.
    """
    versions = client.get_versions(packages=list(_PACKAGES))
    names = {address: str(info["name"]) for address, info in client.scheduler_info(n_workers=-1)["workers"].items()}
    ours = _versions(versions["client"])
    theirs = {names.get(address, address): _versions(info) for address, info in versions["workers"].items()}
    if differences := list(_differences(ours, theirs)):
        raise LastbitError(f"{'; '.join(differences)}: install one version of each on all machines")


def _differing_versions(wanted: Mapping[str, str | None]) -> str | None:
    """The packages whose versions differ between this process and another, in words; None if there are none."""
    here = own_versions()
    others = [
        f"{name} {here.get(name) or 'none'} for {version}"
        for name, version in wanted.items()
        if here.get(name) != version
    ]
    return f"has {', '.join(others)}: install one version of each on all machines" if others else None


def _directory(runner: Runner[J], description: str) -> str | None:
    advice = "put it on a file system that all machines share under one name"
    try:
        same = description_checksum(runner) == description
    except OSError:
        return f"does not see the study's directory {runner.root}: {advice}"
    if not same:
        return f"sees another directory as {runner.root}: {advice}"
    if not os.access(runner.root, os.W_OK):
        return f"cannot write to {runner.root}: its user needs the right to"
    return None


def _data(runner: Runner[J]) -> str | None:
    """What the jobs need and this machine lacks, such as a data set."""
    try:
        runner.check()
    except LastbitError as error:
        return str(error)
    return None


def _versions(info: Mapping[str, Any]) -> dict[str, str | None]:
    packages = info["packages"]
    python = ".".join(str(info["host"]["python"]).split(".")[:3])
    return {"python": python, **{name: packages.get(name) for name in _PACKAGES}}


def _differences(ours: Mapping[str, str | None], theirs: Mapping[str, Mapping[str, str | None]]) -> Iterator[str]:
    for package, own in ours.items():
        for other in sorted({versions[package] for versions in theirs.values()} - {own}, key=str):
            names = [name for name, versions in theirs.items() if versions[package] == other]
            more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
            has = "has" if len(names) == 1 else "have"
            number = "none" if other is None else other
            yield f"{package} is {own} here, and {', '.join(names[:_NAMED])}{more} {has} {number}"
