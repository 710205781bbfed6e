"""The memory that this machine has available."""

import os
from pathlib import Path

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
