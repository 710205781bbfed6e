"""The processor: its name, and the instruction sets that choose kernels."""

import platform
from functools import cache
from pathlib import Path

_INFORMATION = Path("/proc/cpuinfo")
# What BLAS, oneDNN and ATen choose kernels by, as Linux names it on x86 and on ARM.
_CHOSEN_BY = (
    *("sse4_1", "sse4_2", "avx", "fma", "f16c", "avx2", "avx_vnni"),
    *("avx512f", "avx512dq", "avx512bw", "avx512vl", "avx512_vnni", "avx512_bf16", "avx512_fp16"),
    *("amx_tile", "amx_int8", "amx_bf16", "amx_fp16"),
    *("asimd", "asimddp", "asimdhp", "i8mm", "bf16", "sve", "sve2", "svebf16", "sme"),
)


def processor() -> str:
    """Its name as the maker gives it, or what Python knows of it."""
    return _described().get("model name") or platform.processor() or "unknown"


def instruction_sets() -> str:
    """Those of the processor by which libraries choose kernels; empty where the system does not tell."""
    described = _described()
    there = set((described.get("flags") or described.get("Features") or "").split())
    return " ".join(name for name in _CHOSEN_BY if name in there)


@cache
def _described() -> dict[str, str]:
    """What Linux says of the first processor; empty on other systems."""
    if not _INFORMATION.exists():
        return {}
    first, _, _ = _INFORMATION.read_text(encoding="utf-8", errors="replace").partition("\n\n")
    parts = (line.partition(":") for line in first.splitlines())
    return {name.strip(): value.strip() for name, _, value in parts}
