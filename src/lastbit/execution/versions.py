"""One version of everything on all machines of a cluster, or none of it can be compared."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping
from typing import Any

from lastbit.errors import LastbitError
from lastbit.extras import installed_version

_PACKAGES = ("lastbit", "torch")  # and Python, which Dask tells anyway
_NAMED = 3  # workers that a message names


def versions() -> dict[str, str | None]:
    """Of Python, torch and lastbit in this process; None for what is not installed."""
    return {"python": platform.python_version(), **{name: installed_version(name) for name in _PACKAGES}}


def differing_versions(wanted: Mapping[str, str | None]) -> str | None:
    """What this process has other versions of than another one, in words; None where there is nothing.

    Args:
        wanted: the other's `versions`.
    """
    here = versions()
    others = [
        f"{name} {here.get(name) or 'none'} for {each}" for name, each in wanted.items() if here.get(name) != each
    ]
    return f"has {', '.join(others)}: install one version of each on all machines" if others else None


def check_versions(client: Any) -> None:
    """Check that the workers of a Dask client have its own versions of Python, torch and lastbit.

    Raises:
        LastbitError: some have others; the message names the versions and the workers.
    """
    found = client.get_versions(packages=list(_PACKAGES))
    names = {address: str(each["name"]) for address, each in client.scheduler_info(n_workers=-1)["workers"].items()}
    ours = _versions(found["client"])
    theirs = {names.get(address, address): _versions(each) for address, each in found["workers"].items()}
    if differences := list(_differences(ours, theirs)):
        raise LastbitError(f"{'; '.join(differences)}: install one version of each on all machines")


def _versions(told: Mapping[str, Any]) -> dict[str, str | None]:
    packages = told["packages"]
    python = ".".join(str(told["host"]["python"]).split(".")[:3])
    return {"python": python, **{name: packages.get(name) for name in _PACKAGES}}


def _differences(ours: Mapping[str, str | None], theirs: Mapping[str, Mapping[str, str | None]]) -> Iterator[str]:
    for package, own in ours.items():
        for other in sorted({each[package] for each in theirs.values()} - {own}, key=str):
            names = [name for name, each in theirs.items() if each[package] == other]
            more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
            has = "has" if len(names) == 1 else "have"
            number = "none" if other is None else other
            yield f"{package} is {own} here, and {', '.join(names[:_NAMED])}{more} {has} {number}"
