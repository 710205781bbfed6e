"""What this machine has: versions of packages, how to install those that a feature needs, and the memory available."""

import json
import os
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname


def how_to_install(extra: str) -> str:
    """The command that installs an extra: from the checkout that lastbit was installed from, or else by its name.

    Args:
        extra: its name in `pyproject.toml`, such as `explore`.
    """
    source = _checkout()
    return f"pip install 'lastbit[{extra}]'" if source is None else f"pip install -e '{source}[{extra}]'"


def missing(error: ModuleNotFoundError, extra: str) -> ModuleNotFoundError:
    """The error to raise instead of an import's own: it says what to install."""
    return ModuleNotFoundError(f"{error.name} is not installed; {how_to_install(extra)}", name=error.name)


def _checkout() -> str | None:
    """The directory of an editable installation; None for any other."""
    try:
        # PEP 610: pip writes there what it was given.
        origin = json.loads(distribution("lastbit").read_text("direct_url.json") or "{}")
    except (PackageNotFoundError, ValueError):
        return None
    url = str(origin.get("url", ""))
    editable = origin.get("dir_info", {}).get("editable", False) and url.startswith("file:")
    return url2pathname(urlsplit(url).path) if editable else None


def installed_version(package: str) -> str | None:
    """A package's version in this process; None where it is not installed, as lastbit used from its sources."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


_MIB = 2**20
_MEMINFO = Path("/proc/meminfo")
_CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")


def available_memory_mib() -> int | None:
    """Memory available without swapping; the physical memory where the system reports no more; None if unknown."""
    known = [size for size in (_linux_available(), _cgroup_limit(), _physical()) if size is not None]
    return min(known) // _MIB if known else None


def _linux_available() -> int | None:
    if not _MEMINFO.exists():
        return None
    lines = dict(line.split(":") for line in _MEMINFO.read_text(encoding="ascii").splitlines())
    return int(lines["MemAvailable"].split()[0]) * 1024 if "MemAvailable" in lines else None


def _cgroup_limit() -> int | None:
    """A container's limit; what it uses already is mostly the file cache, which can be freed."""
    text = _CGROUP_LIMIT.read_text(encoding="ascii").strip() if _CGROUP_LIMIT.exists() else "max"
    return int(text) if text.isdecimal() else None


def _physical() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError):  # Windows has no sysconf
        return None
