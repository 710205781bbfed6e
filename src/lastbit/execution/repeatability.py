"""Checks whether operations that are known to differ from call to call repeat on this machine.

Each operation is computed many times on the same numbers: with the numerics of a study's trials, and as torch comes.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum

import torch
from torch import Tensor
from torch.nn import functional

from lastbit.execution.numerics import repeatable_numerics

RepeatedCall = Callable[[], tuple[Tensor, ...]]
_TIMES = 20


class Condition(StrEnum):
    """The outcome of a check."""

    OK = "OK"
    NOTE = "note"  # worth knowing, and no obstacle
    FAILS = "fails"
    UNCHECKED = "cannot be checked here"


@dataclass(frozen=True)
class Check:
    """The result of a check, and what to do about it."""

    name: str
    outcome: Condition
    said: str  # one sentence or two: what was found, and what to do about it


def operations(device: str) -> dict[str, RepeatedCall]:
    """The operations by name, ready to be called on fixed numbers.

    Sizes are such that sums are split over threads and blocks, and that many numbers are added into one place.
    """
    generator = torch.Generator().manual_seed(0)
    square, images, filters, values = (
        torch.randn(shape, generator=generator).to(device)
        for shape in ((384, 384), (32, 16, 16, 16), (32, 16, 3, 3), (200_000,))
    )
    places = torch.randint(0, 64, (200_000,), generator=generator).to(device)
    return {
        "matrix product": lambda: (square @ square,),
        "convolution": lambda: (functional.conv2d(images, filters, padding=1),),
        "convolution, backward": lambda: _gradients(images, filters),
        "sum": lambda: (values.sum(),),
        "scatter-add": lambda: (values.new_zeros(64).scatter_add(0, places, values),),
    }


def _gradients(images: Tensor, filters: Tensor) -> tuple[Tensor, ...]:
    leaves = (images.detach().clone().requires_grad_(), filters.detach().clone().requires_grad_())
    return torch.autograd.grad(functional.conv2d(*leaves, padding=1).square().sum(), leaves)


def check_operations(device: str, on_check: Callable[[], None]) -> list[Check]:
    """Repeat each operation with the numerics of a study, and with those torch starts with.

    Args:
        device: where they run.
        on_check: called after each operation.
    """
    checks = []
    for name, operation in operations(device).items():
        checks.append(check_operation(name, operation))
        on_check()
    return checks


def check_operation(name: str, operation: RepeatedCall) -> Check:
    """Repeat one operation, first as a study's trials compute it and then as torch comes."""
    try:
        with repeatable_numerics():
            repeated = repeats(operation)
    except RuntimeError as error:
        # An operation without a deterministic kernel on this device raises.
        return Check(
            name, Condition.FAILS, f"It cannot be computed deterministically here: {str(error).splitlines()[0]}"
        )
    if not repeated:
        finding = f"{_TIMES} calls on the same numbers gave different bits, with torch's deterministic algorithms on."
        return Check(name, Condition.FAILS, f"{finding} No study on this device can be trusted.")
    with _any_kernels():
        repeated = repeats(operation)
    if not repeated:
        return Check(
            name,
            Condition.NOTE,
            "Its bits repeat with torch's deterministic algorithms, which studies use, and differ without: call "
            "torch.use_deterministic_algorithms(True) in scripts that are to repeat.",
        )
    return Check(name, Condition.OK, f"{_TIMES} calls on the same numbers give the same bits.")


@contextmanager
def _any_kernels() -> Iterator[None]:
    """Restore the algorithms that torch chooses by default, whatever this process asked for before."""
    before = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    torch.use_deterministic_algorithms(False)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before, warn_only=warn_only)


def repeats(operation: RepeatedCall, times: int = _TIMES) -> bool:
    """Whether an operation gives the same bits so many times in a row."""
    first = [_bits(tensor) for tensor in operation()]
    return all(
        all(torch.equal(one, _bits(other)) for one, other in zip(first, operation(), strict=True))
        for _ in range(times - 1)
    )


def _bits(tensor: Tensor) -> Tensor:
    """A float32 tensor as integers, which distinguish 0 from -0 and equal NaNs."""
    return tensor.contiguous().view(torch.int32)
