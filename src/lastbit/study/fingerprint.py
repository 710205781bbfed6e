"""The arithmetic a trial ran on: everything known to change the bits of a result."""

import os
import platform
from pathlib import Path

import numpy
import torch

Fingerprint = dict[str, str | int | bool | None]

# Variables that choose kernels, threads or precision.
_VARIABLES = (
    "ATEN_CPU_CAPABILITY",
    "CUBLAS_WORKSPACE_CONFIG",
    "DNNL_MAX_CPU_ISA",
    "KMP_DETERMINISTIC_REDUCTION",
    "MKL_CBWR",
    "MKL_ENABLE_INSTRUCTIONS",
    "NVIDIA_TF32_OVERRIDE",
    "ONEDNN_MAX_CPU_ISA",
    "OPENBLAS_CORETYPE",
    "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE",
)


def fingerprint(device: str = "cpu") -> Fingerprint:
    """Describe the arithmetic of this process: processor, instruction set, libraries, threads, device, precision modes.

    Trials of one fingerprint on one machine give the same bits; between different ones nothing is promised.

    Args:
        device: where the training runs, such as `cpu` or `cuda`.
    """
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": numpy.__version__,
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "mkl": torch.backends.mkl.is_available(),  # type: ignore[no-untyped-call]
        "onednn": torch.backends.mkldnn.is_available(),  # type: ignore[no-untyped-call]
        "device": _device_name(device),
        "cudnn": _cudnn_version(device),
        "matmul_precision": torch.get_float32_matmul_precision(),
        "autocast": torch.is_autocast_enabled(torch.device(device).type),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "environment": " ".join(f"{name}={os.environ[name]}" for name in _VARIABLES if name in os.environ),
    }


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown"


def _cudnn_version(device: str) -> int | None:
    if torch.device(device).type != "cuda":
        return None
    version: int | None = torch.backends.cudnn.version()  # type: ignore[no-untyped-call]
    return version


def _device_name(device: str) -> str:
    return torch.cuda.get_device_name(device) if torch.device(device).type == "cuda" else device
