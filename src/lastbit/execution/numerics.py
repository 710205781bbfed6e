"""The numerics of a process: what is known to change the bits of its results, and a hash of bits that it gives.

`repeatable_numerics` makes results independent of the number of cores, `fingerprint` describes the numerics in words,
and `probe` gives their bit fingerprint: equal bit fingerprints promise equal results of the operations probed.
"""

import hashlib
import os
import platform
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any

import numpy
import torch
from threadpoolctl import threadpool_info
from torch import Tensor
from torch.nn import functional

from lastbit.machine import installed_version
from lastbit.tensors import bits

Fingerprint = dict[str, str | int | bool | None]

# Variables that choose kernels, threads, libraries or precision.
_VARIABLES = (
    *("ATEN_CPU_CAPABILITY", "MKL_*", "ONEDNN_*", "DNNL_*", "OMP_*", "GOMP_*", "KMP_*", "OPENBLAS_*", "BLIS_*"),
    *("VECLIB_*", "NPY_DISABLE_CPU_FEATURES", "NPY_ENABLE_CPU_FEATURES", "LD_PRELOAD"),
    *("CUBLAS_*", "CUBLASLT_*", "CUDNN_*", "NVIDIA_TF32_OVERRIDE", "HIPBLASLT_*", "MIOPEN_*", "ROCBLAS_*"),
    *("PYTORCH_TUNABLEOP_*", "PYTORCH_MPS_*", "PYTORCH_JIT*", "TORCHINDUCTOR_*", "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE"),
    *("TORCH_BLAS_PREFER_*", "TORCH_LINALG_PREFER_*", "TORCH_CUDNN_*", "TORCH_MKLDNN_*", "TORCH_SDPA_*"),
)
# Those among them that only talk or name folders, or that scikit-learn sets when it is imported.
_HARMLESS = ("*_VERBOSE*", "*_LOG*", "*DISPLAY*", "*_DIR", "KMP_DUPLICATE_LIB_OK", "KMP_INIT_AT_FORK")
_INFORMATION = Path("/proc/cpuinfo")
# What BLAS, oneDNN and ATen choose kernels by, as Linux names it on x86 and on ARM.
_CHOSEN_BY = (
    *("sse4_1", "sse4_2", "avx", "fma", "f16c", "avx2", "avx_vnni"),
    *("avx512f", "avx512dq", "avx512bw", "avx512vl", "avx512_vnni", "avx512_bf16", "avx512_fp16"),
    *("amx_tile", "amx_int8", "amx_bf16", "amx_fp16"),
    *("asimd", "asimddp", "asimdhp", "i8mm", "bf16", "sve", "sve2", "svebf16", "sme"),
)


@contextmanager
def repeatable_numerics() -> Iterator[None]:
    """Run a block with one CPU thread and torch's deterministic algorithms, and put both back afterwards.

    With one thread a sum is always split the same way, so results do not depend on the number of cores; a study gets
    its speed from several processes instead. On CUDA, cuBLAS needs a fixed workspace to be deterministic.
    """
    threads, deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(deterministic, warn_only=warn_only)


def fingerprint(device: str = "cpu") -> Fingerprint:
    """Describe the numerics of this process: processor, libraries, threads, device, precision modes, variables.

    Trials of one fingerprint on one machine give the same bits; between different ones nothing is promised. It takes
    a few milliseconds, so each trial has its own.

    Args:
        device: where the training runs, such as `cpu` or `cuda`.
    """
    kind = torch.device(device).type
    return {
        **_versions(),
        "system": f"{platform.system()} {platform.machine()}",
        "processor": processor(),
        "instruction_sets": instruction_sets(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),  # the kernels that torch chose from them
        **_threads(),
        **_numpy_blas(),
        "device": torch.cuda.get_device_name(device) if kind == "cuda" else device,
        "default_dtype": str(torch.get_default_dtype()).removeprefix("torch."),
        "autocast": _autocast(kind),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "flush_denormal": _flushes_denormals(),
        **_precision("onednn_matmul", torch.backends.mkldnn, "matmul"),
        **_precision("onednn_conv", torch.backends.mkldnn, "conv"),
        **(_cuda() if kind == "cuda" else {}),
        **{f"environment.{name}": os.environ[name] for name in sorted(_chosen_variables())},
    }


def _versions() -> Fingerprint:
    built = torch.__config__.show()
    onednn = torch.backends.mkldnn.is_available() and torch.backends.mkldnn.enabled  # type: ignore[no-untyped-call]
    return {
        "lastbit": installed_version("lastbit"),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": numpy.__version__,
        "blas": _search(r"BLAS_INFO=(\w+)", built),
        "mkl": _search(r"Math Kernel Library Version (\S+)", built),
        "onednn": _search(r"MKL-DNN v(\S+)", built) if onednn else None,
    }


def _threads() -> Fingerprint:
    """Of one operation, of operations side by side, and as OpenMP and MKL have them."""
    info = torch.__config__.parallel_info()
    omp, mkl = (_search(rf"{name}_get_max_threads\(\) : (\d+)", info) for name in ("omp", "mkl"))
    return {
        "threads": torch.get_num_threads(),
        "interop_threads": torch.get_num_interop_threads(),
        "omp_threads": None if omp is None else int(omp),
        "mkl_threads": None if mkl is None else int(mkl),
    }


def _numpy_blas() -> Fingerprint:
    """The BLAS that numpy brought, its kernels and threads; torch's own is linked into it and is named above."""
    blas = [library for library in threadpool_info() if library["user_api"] == "blas"]
    # scipy brings another one along, which is there or not with what happens to have been imported.
    own = [library for library in blas if any("numpy" in part for part in Path(library["filepath"]).parts)]
    library: dict[str, Any] = next(iter(own or blas), {})
    words = (library.get(part) for part in ("internal_api", "version", "architecture"))
    return {
        "numpy_blas": " ".join(str(word) for word in words if word) or None,
        "numpy_blas_threads": library.get("num_threads"),
    }


def _autocast(kind: str) -> str | bool:
    """False, or the number format."""
    if not torch.is_autocast_enabled(kind):
        return False
    return str(torch.get_autocast_dtype(kind)).removeprefix("torch.")


def _flushes_denormals() -> bool:
    """Whether this thread's processor turns numbers below the normal range into 0, found by making one."""
    return sys.float_info.min / 2 == 0


def _cuda() -> Fingerprint:
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    return {
        "cuda": torch.version.cuda,
        "cudnn": cudnn.version() if cudnn.enabled else None,  # type: ignore[no-untyped-call]
        "cudnn_benchmark": cudnn.benchmark,
        "cudnn_deterministic": cudnn.deterministic,
        **_precision("cuda_matmul", torch.backends.cuda, "matmul"),
        **_precision("cudnn_conv", cudnn, "conv"),
        **_precision("cudnn_rnn", cudnn, "rnn"),
        "fp16_reduced_sums": matmul.allow_fp16_reduced_precision_reduction,
        "bf16_reduced_sums": matmul.allow_bf16_reduced_precision_reduction,
        "cuda_blas": str(torch.backends.cuda.preferred_blas_library()).rpartition(".")[2].lower(),
    }


def _precision(name: str, backend: Any, operation: str) -> Fingerprint:
    """In what float32 is multiplied: `ieee` (as stored, also where nothing was said), `tf32` or `bf16`.

    Torch before 2.9 knows TF32 alone, as a flag. Later ones raise when the flag is read after a precision was set.
    """
    settings: Any = getattr(backend, operation, None)
    if hasattr(settings, "fp32_precision"):
        return {f"{name}_precision": str(settings.fp32_precision).replace("none", "ieee")}
    flag = getattr(settings, "allow_tf32", None) if operation == "matmul" else getattr(backend, "allow_tf32", None)
    return {f"{name}_precision": None if flag is None else ("tf32" if flag else "ieee")}


def _chosen_variables() -> Iterator[str]:
    for name in os.environ:
        if _matches(name, _VARIABLES) and not _matches(name, _HARMLESS):
            yield name


def _matches(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _search(pattern: str, text: str) -> str | None:
    match = re.search(pattern, text)
    return match.group(1) if match else None


def processor() -> str:
    """Its name as the maker gives it, or what Python knows of it."""
    return _described().get("model name") or platform.processor() or "unknown"


def instruction_sets() -> str:
    """Those of the processor by which libraries choose kernels; empty where the system does not report them."""
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


def probe() -> str:
    """Hash what this process gets from sums, products of matrices, convolutions and functions, on its CPU and GPU.

    The kernels that differ between processors and libraries are those that add up many terms in a different order,
    and those that approximate functions. It takes milliseconds. A training may use others, so equal probes promise less
    than the same first steps of a training do.
    """
    digest = hashlib.sha256()
    for device in ("cpu", *(["cuda"] if torch.cuda.is_available() else [])):
        for result in _results(device):
            digest.update(bits(result))
    return digest.hexdigest()[:16]


def _results(device: str) -> Iterator[Tensor]:
    for dtype in (torch.float32, torch.float64, torch.bfloat16):
        numbers = _numbers(96 * 96, dtype, device)
        matrix, images = numbers.view(96, 96), numbers[: 8 * 3 * 16 * 16].view(8, 3, 16, 16)
        yield matrix @ matrix.T
        yield numbers.sum()
        yield functional.conv2d(images, numbers[: 16 * 3 * 3 * 3].view(16, 3, 3, 3), padding=1)
        yield functional.layer_norm(matrix, (96,))
        yield torch.softmax(8 * matrix, 1)
        for function in (torch.exp, torch.tanh, torch.sin, functional.gelu):
            yield function(4 * numbers)


def _numbers(count: int, dtype: torch.dtype, device: str) -> Tensor:
    """Between -0.5 and 0.5, spread evenly and the same everywhere: each operation that makes them rounds correctly."""
    steps = torch.arange(count, dtype=torch.float64)
    return (steps * 0.6180339887498949 % 1 - 0.5).to(device, dtype)
