"""Repeats an operation, to find out what its result depends on beside its arguments."""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.utils import deterministic

from lastbit.script.audit.bits import digest, is_plain
from lastbit.script.audit.operation import tensors

FILLED, ONE_THREAD = "filled", "one thread"
_TIMES = 4  # repetitions, each with other values left behind in memory
_SIZES = (*range(4, 260, 4), *(256 << power for power in range(1, 9)))  # bytes of pieces that the allocator gives again
_PIECES = 4  # of each size


def repeat(func: Any, args: Sequence[Any], kwargs: Any, side: int) -> dict[str, tuple[int, ...]]:
    """Digests of an operation's results where fresh memory is filled alike, and of those on one thread where it is not.

    Args:
        func: an operation that changes none of its arguments and draws no random numbers.
        args: of it.
        kwargs: of it.
        side: 0 or 1; memory that is not filled holds something else on either.
    """
    digests = {}
    with _filling():
        digests[FILLED] = _digests(func(*args, **kwargs))
    digests[ONE_THREAD] = ()
    with _on_one_thread():
        for time in range(_TIMES):
            _litter(side + time % 2)
            digests[ONE_THREAD] += _digests(func(*args, **kwargs))
    return digests


def where_unwritten(func: Any, args: Sequence[Any], kwargs: Any) -> list[Tensor | None]:
    """For each of an operation's results, in one row, where it writes nothing; None where that is unknown."""
    with _filling():
        again = tensors(func(*args, **kwargs))
    return [_unfilled(tensor) if is_plain(tensor) else None for tensor in again]


def _unfilled(tensor: Tensor) -> Tensor | None:
    """Where it still holds what torch fills fresh memory with."""
    tensor = tensor.contiguous().flatten().cpu()
    if tensor.is_floating_point():
        return tensor.isnan()
    return None if tensor.is_complex() or tensor.dtype is torch.bool else tensor == torch.iinfo(tensor.dtype).max


def _digests(result: Any) -> tuple[int, ...]:
    return tuple(digest(tensor) for tensor in tensors(result) if is_plain(tensor))


@contextmanager
def _filling() -> Iterator[None]:
    """Let torch fill all memory that it allocates, inside operations as well."""
    mode = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    fills = deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    try:
        torch._C._set_deterministic_algorithms(True, warn_only=True)
        deterministic.fill_uninitialized_memory = True  # type: ignore[attr-defined]
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        torch._C._set_deterministic_algorithms(mode[0], warn_only=mode[1])
        deterministic.fill_uninitialized_memory = fills  # type: ignore[attr-defined]


@contextmanager
def _on_one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        yield
    finally:
        torch.set_num_threads(threads)


def _litter(value: int) -> None:
    """Leave a value behind where the next operation's memory will be."""
    pieces = [torch.full((size // 4,), value, dtype=torch.int32) for size in _SIZES for _ in range(_PIECES)]
    del pieces
