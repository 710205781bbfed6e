"""What a study needs besides arithmetic: data, memory, disk, a device, optional packages."""

import re
import shutil
from importlib.metadata import requires
from pathlib import Path

import torch

from lastbit.doctor.check import Check, Outcome
from lastbit.extras import how_to_install, installed_version
from lastbit.memory import available_memory_mib
from lastbit.training.data import inventory

_GIB = 1024  # MiB
_LEAST_MIB = 2 * _GIB  # a worker process with torch takes about half of it, a study's trials the same on disk
_REQUIRED = re.compile(r"""([A-Za-z0-9._-]+)[^;]*;\s*extra\s*==\s*['"]([A-Za-z0-9._-]+)['"]""")  # in package metadata
_REMOTE = {"s3://": "s3fs", "gs://": "gcsfs", "abfs://": "adlfs", "https://": "aiohttp"}  # what fsspec needs for each


def check_data_sets(root: Path | None) -> Check:
    """Which data sets are here, each verified by its checksum."""
    items = inventory(root=root)
    damaged = [item for item in items if item.state == "damaged"]
    if damaged:
        names = ", ".join(f"{item.name} ({item.path})" for item in damaged)
        return Check("data sets", Outcome.FAILS, f"Damaged: {names}. `lastbit data fetch NAME` replaces them.")
    here = [item.name for item in items if item.state != "not fetched"]
    missing = [item.name for item in items if item.state == "not fetched"]
    more = f" Not fetched: {', '.join(missing)}; `lastbit data fetch NAME` brings one." if missing else ""
    return Check("data sets", Outcome.OK, f"Here and sound: {', '.join(here)}.{more}")


def check_memory() -> Check:
    """How much memory is left."""
    free = available_memory_mib()
    if free is None:
        return Check("memory", Outcome.UNCHECKED, "This system does not say how much memory is free.")
    return _room("memory", free, "one worker process takes about 1 GiB; choose few --workers")


def check_disk(directory: Path) -> Check:
    """How much disk space is left where results would go."""
    free = shutil.disk_usage(directory).free // 2**20
    return _room("disk", free, "a study keeps weights; choose another --out", f" at {directory}")


def _room(name: str, free: int, cure: str, place: str = "") -> Check:
    said = f"{free / _GIB:.1f} GiB free{place}."
    if free >= _LEAST_MIB:
        return Check(name, Outcome.OK, said)
    return Check(name, Outcome.NOTE, f"{said} That is little: {cure}.")


def check_cuda() -> Check:
    """Whether torch can compute on a GPU, and which."""
    if not torch.cuda.is_available():
        built = torch.version.cuda or torch.version.hip
        why = f"torch is built for {built} and finds none" if built else "this torch is built for the CPU alone"
        return Check("CUDA", Outcome.UNCHECKED, f"No CUDA device: {why}. Trainings run on the CPU.")
    names = ", ".join(torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count()))
    said = f"{names}; CUDA {torch.version.cuda}, cuDNN {torch.backends.cudnn.version()}."  # type: ignore[no-untyped-call]
    return Check("CUDA", Outcome.OK, f"{said} Give --device cuda to examine it.")


def check_extras() -> Check:
    """Which optional packages are here."""
    needed = _extras()
    found = {extra: [installed_version(package) for package in packages] for extra, packages in needed.items()}
    here = [
        f"{extra} ({versions[0]})" if len(versions) == 1 else extra
        for extra, versions in found.items()
        if all(versions)
    ]
    missing = [extra for extra, versions in found.items() if not all(versions)]
    more = f" Not here: {', '.join(missing)}; {how_to_install(missing[0])} brings one." if missing else ""
    return Check("extras", Outcome.OK, f"Here: {', '.join(here) or 'none'}.{more}")


def _extras() -> dict[str, list[str]]:
    """The packages of each extra, as the installed package's own metadata have them."""
    found: dict[str, list[str]] = {}
    for requirement in requires("lastbit") or []:
        match = _REQUIRED.fullmatch(requirement)
        if match and match[1] != "lastbit":  # an extra of other extras
            found.setdefault(match[2], []).append(match[1])
    return found


def check_remote() -> Check:
    """Which kinds of URL studies can be read from."""
    if installed_version("fsspec") is None:
        return Check("URLs", Outcome.NOTE, "Studies cannot be read from URLs: pip install fsspec.")
    kinds = [kind for kind, package in _REMOTE.items() if installed_version(package)]
    more = ", ".join(f"{kind} ({package})" for kind, package in _REMOTE.items() if kind not in kinds)
    readable = f"Studies can be read from {', '.join(['file://', *kinds])}."
    return Check("URLs", Outcome.OK, f"{readable} Packages that others need: {more}." if more else readable)
