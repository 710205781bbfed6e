"""Operations in a fixed order: one thread, deterministic kernels, and on request kernels that many machines share."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

import torch

from lastbit.errors import LastbitError
from lastbit.remedies.remedy import Remedy, Setting, counted

# What every x86 processor since 2013 can do, whoever made it; oneDNN and ATen would choose more, MKL by the maker.
PORTABLE = {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_CBWR": "COMPATIBLE"}


@dataclass(frozen=True)
class SameOrderRemedy(Remedy):
    """A script's sums are taken in one order, run after run; with `portable`, on machine after machine.

    A sum that is split over threads, or added up by whichever block of a GPU comes first, is taken in another order in
    each run or on each machine, and rounds to other bits. That is a source of churn, which this removes. How far
    training amplifies what other sources remain it leaves as it is.

    Trials of recipes have one thread and deterministic kernels anyhow: there is nothing to change.

    Attributes:
        threads: of each process.
        portable: also hold ATen, oneDNN and MKL to kernels for AVX2 that do not depend on the processor's maker. They
            may be slower, and other versions of these libraries may still differ.

    Raises:
        LastbitError: `threads` is no whole number from 1, or `portable` is neither true nor false.
    """

    threads: int = 1
    portable: bool = False

    name = "same_order"
    help = "operations in a fixed order: one thread and deterministic kernels"
    changes = "the order of sums"
    source = "Zhuang et al. 2022, arXiv 2106.11872"

    def __post_init__(self) -> None:
        counted(self.name, "threads", self.threads)
        if not isinstance(self.portable, bool):
            raise LastbitError(f"same_order: portable = {self.portable!r}: write true or false")

    def on_setting(self, setting: Setting) -> Setting:
        """The setting as it is, and a warning."""
        warnings.warn("nothing was put in order: trials of a recipe have one thread and fixed kernels", stacklevel=2)
        return setting

    def on_program(self, refuse: Callable[[str], NoReturn]) -> Callable[[], str]:
        """Set threads and kernels right after torch is imported, and keep them against what the program asks for."""
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        if self.portable:  # read at the first operation of each library, which is still to come
            os.environ.update(PORTABLE)
        torch.set_num_threads(self.threads)
        torch.use_deterministic_algorithms(True)
        torch.backends.cudnn.benchmark = False
        asked: list[str] = []

        def set_num_threads(threads: int) -> None:
            """Note where the program asks for another number, and change nothing."""
            asked.extend(["another number of threads"] * (threads != self.threads))

        def use_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
            """Note where the program asks for other kernels, and change nothing."""
            asked.extend(["other kernels"] * (not mode or warn_only))

        torch.set_num_threads = set_num_threads  # type: ignore[assignment]
        torch.use_deterministic_algorithms = use_deterministic_algorithms
        return lambda: f"asked for {' and for '.join(dict.fromkeys(asked))}, and kept a fixed order" if asked else ""
