"""Counts what a program compiles, since compiled code does not run under the audit."""

import functools
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

_SAID = "torch.compile, run eagerly here: kernels that it would generate"


@contextmanager
def count_compilations() -> Iterator[Counter[str]]:
    """Count calls of `torch.compile` while the block runs."""
    counted: Counter[str] = Counter()
    compile_ = torch.compile

    @functools.wraps(compile_)
    def counting(*args: Any, **kwargs: Any) -> Any:
        """Compile, counted."""
        counted[_SAID] += 1
        return compile_(*args, **kwargs)

    torch.compile = counting
    try:
        yield counted
    finally:
        torch.compile = compile_
