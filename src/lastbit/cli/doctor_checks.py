"""What `lastbit doctor` looks at: whether numerics repeat here, and what a study needs besides.

That is data, memory, disk, a device, optional packages.
"""

import re
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import requires
from pathlib import Path
from typing import Any

import torch

from lastbit.execution.numerics import Fingerprint, fingerprint, repeatable_numerics
from lastbit.execution.pool import local_pool
from lastbit.execution.repeatability import Check, Condition, check_operations, operations
from lastbit.execution.repeated_training import Pool, Train, check_trainings
from lastbit.machine import available_memory_mib, how_to_install, installed_version
from lastbit.training.catalogue import load_recipe
from lastbit.training.data import inventory
from lastbit.training.recipe_training import RecipeTraining

FORMAT = 1
TRAININGS = 5
_GIB = 1024  # MiB
_LEAST_MIB = 2 * _GIB  # a worker process with torch takes about half of it, a study's trials the same on disk
_REQUIRED = re.compile(r"""([A-Za-z0-9._-]+)[^;]*;\s*extra\s*==\s*['"]([A-Za-z0-9._-]+)['"]""")  # in package metadata
_REMOTE = {"s3://": "s3fs", "gs://": "gcsfs", "abfs://": "adlfs", "https://": "aiohttp"}  # what fsspec needs for each


@dataclass(frozen=True)
class Examination:
    """What was found on this machine."""

    device: str
    fingerprint: Fingerprint  # of a study's trials here
    checks: list[Check]

    @property
    def fit(self) -> bool:
        """Whether nothing fails."""
        return all(check.outcome is not Condition.FAILS for check in self.checks)

    def as_json(self) -> dict[str, Any]:
        """Plain data."""
        checks = [asdict(check) for check in self.checks]
        return {
            "format": FORMAT,
            "device": self.device,
            "fit": self.fit,
            "fingerprint": self.fingerprint,
            "checks": checks,
        }


def steps(device: str) -> int:
    """How many times `examine` calls `on_step`."""
    return TRAININGS + len(operations(device)) + 1


def examine(
    device: str,
    *,
    root: Path | None = None,
    train: Train | None = None,
    pool: Pool = local_pool,
    on_step: Callable[[], None] = lambda: None,
) -> Examination:
    """Look at this machine: about ten seconds on two cores.

    Args:
        device: to examine, such as `cpu` or `cuda`.
        root: folder of the fetched data sets; None for the cache.
        train: the training to repeat; None for the recipe `demo` at the scale `smoke`.
        pool: makes fresh processes.
        on_step: called `steps(device)` times.
    """
    training = train or RecipeTraining(load_recipe("demo", scale="smoke"), device=device)
    trained, checks = check_trainings(training, device=device, pool=pool, on_check=on_step)
    repeated = check_operations(device, on_step)
    around = [
        check_data_sets(root),
        check_memory(),
        check_disk(Path.cwd()),
        check_cuda(),
        check_extras(),
        check_remote(),
    ]
    on_step()
    return Examination(device, checks or _here(device), [*trained, *repeated, *around])


def _here(device: str) -> Fingerprint:
    with repeatable_numerics():
        return fingerprint(device)


def check_data_sets(root: Path | None) -> Check:
    """Which data sets are here, each verified by its checksum."""
    items = inventory(root=root)
    damaged = [item for item in items if item.state == "damaged"]
    if damaged:
        names = ", ".join(f"{item.name} ({item.path})" for item in damaged)
        return Check("data sets", Condition.FAILS, f"Damaged: {names}. `lastbit data fetch NAME` replaces them.")
    here = [item.name for item in items if item.state != "not fetched"]
    missing = [item.name for item in items if item.state == "not fetched"]
    more = f" Not fetched: {', '.join(missing)}; `lastbit data fetch NAME` brings one." if missing else ""
    return Check("data sets", Condition.OK, f"Here and sound: {', '.join(here)}.{more}")


def check_memory() -> Check:
    """How much memory is left."""
    free = available_memory_mib()
    if free is None:
        return Check("memory", Condition.UNCHECKED, "This system does not say how much memory is free.")
    return _room("memory", free, "one worker process takes about 1 GiB; choose few --workers")


def check_disk(directory: Path) -> Check:
    """How much disk space is left where results would go."""
    free = shutil.disk_usage(directory).free // 2**20
    return _room("disk", free, "a study keeps weights; choose another --out", f" at {directory}")


def _room(name: str, free: int, cure: str, place: str = "") -> Check:
    finding = f"{free / _GIB:.1f} GiB free{place}."
    if free >= _LEAST_MIB:
        return Check(name, Condition.OK, finding)
    return Check(name, Condition.NOTE, f"{finding} That is little: {cure}.")


def check_cuda() -> Check:
    """Whether torch can compute on a GPU, and which."""
    if not torch.cuda.is_available():
        built = torch.version.cuda or torch.version.hip
        why = f"torch is built for {built} and finds none" if built else "this torch is built for the CPU alone"
        return Check("CUDA", Condition.UNCHECKED, f"No CUDA device: {why}. Trainings run on the CPU.")
    names = ", ".join(torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count()))
    finding = f"{names}; CUDA {torch.version.cuda}, cuDNN {torch.backends.cudnn.version()}."  # type: ignore[no-untyped-call]
    return Check("CUDA", Condition.OK, f"{finding} Give --device cuda to examine it.")


def check_extras() -> Check:
    """Which optional packages are here."""
    needed = _extras()
    installed = {extra: [installed_version(package) for package in packages] for extra, packages in needed.items()}
    here = [
        f"{extra} ({versions[0]})" if len(versions) == 1 else extra
        for extra, versions in installed.items()
        if all(versions)
    ]
    missing = [extra for extra, versions in installed.items() if not all(versions)]
    more = f" Not here: {', '.join(missing)}; {how_to_install(missing[0])} brings one." if missing else ""
    return Check("extras", Condition.OK, f"Here: {', '.join(here) or 'none'}.{more}")


def _extras() -> dict[str, list[str]]:
    """The packages of each extra, as the installed package's own metadata have them."""
    packages: dict[str, list[str]] = {}
    for requirement in requires("lastbit") or []:
        match = _REQUIRED.fullmatch(requirement)
        if match and match[1] != "lastbit":  # an extra of other extras
            packages.setdefault(match[2], []).append(match[1])
    return packages


def check_remote() -> Check:
    """Which kinds of URL studies can be read from."""
    if installed_version("fsspec") is None:
        return Check("URLs", Condition.NOTE, "Studies cannot be read from URLs: pip install fsspec.")
    kinds = [kind for kind, package in _REMOTE.items() if installed_version(package)]
    more = ", ".join(f"{kind} ({package})" for kind, package in _REMOTE.items() if kind not in kinds)
    readable = f"Studies can be read from {', '.join(['file://', *kinds])}."
    return Check("URLs", Condition.OK, f"{readable} Packages that others need: {more}." if more else readable)
