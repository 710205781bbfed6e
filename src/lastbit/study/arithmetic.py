"""Arithmetic that repeats: one thread, deterministic kernels."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def repeatable_arithmetic() -> Iterator[None]:
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
