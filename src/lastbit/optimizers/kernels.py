"""Which of torch's kernels a step runs on: its foreach kernels, or one call for each tensor.

An optimizer that must equal torch's bit for bit must run torch's own kernels, and the two families differ in bits: on
the CPU in bfloat16 and float16 (`torch._foreach_mul_` rounds its scalar to the tensors' precision, `Tensor.mul_` does
not), on accelerators wherever a division by a scalar becomes a multiplication by its reciprocal. In float32 and float64
on the CPU they agree, since foreach falls back to the same kernels there, and foreach saves a Python call per tensor.
"""

from collections.abc import Iterator
from typing import Any, Protocol, cast

import torch
from torch import Tensor
from torch.optim.optimizer import _default_to_fused_or_foreach


class Kernel(Protocol):
    """Runs one operation, named as `Tensor`'s method, over a list of tensors."""

    def __call__(self, name: str, tensors: list[Tensor], *args: Any, **kwargs: Any) -> list[Tensor]:
        """Return the results, which are `tensors` where the name ends in `_`; a list argument goes one to a tensor."""


def for_loop(name: str, tensors: list[Tensor], *args: Any, **kwargs: Any) -> list[Tensor]:
    """Run `Tensor.<name>` on each tensor, as torch's single-tensor optimizers do."""
    rows = (tuple(arg[i] if isinstance(arg, list) else arg for arg in args) for i in range(len(tensors)))
    return [getattr(tensor, name)(*row, **kwargs) for tensor, row in zip(tensors, rows, strict=True)]


def foreach(name: str, tensors: list[Tensor], *args: Any, **kwargs: Any) -> list[Tensor]:
    """Run `torch._foreach_<name>`, as torch's multi-tensor optimizers do."""
    if isinstance(args[0] if args else None, float):
        args = (_given(name, args[0], tensors), *args[1:])
    results = getattr(torch, f"_foreach_{name}")(tensors, *args, **kwargs)
    return tensors if results is None else list(results)


def descent(
    params: list[Tensor], grads: list[Tensor], *, maximize: bool, weight_decay: float, run: Kernel
) -> list[Tensor]:
    """Gradient, negated to maximize, plus weight_decay * parameter; `grads` itself, unchanged, if that is all it is."""
    direction = run("neg", grads) if maximize else grads
    if weight_decay != 0:
        direction = run("add" if direction is grads else "add_", direction, params, alpha=weight_decay)
    return direction


def divided(tensors: list[Tensor], k: int, *, in_place: bool) -> list[Tensor]:
    """`tensors / k`, every real number divided and rounded once, on every device; `tensors` themselves at k = 1.

    By `foreach`, which divides on accelerators too; as real numbers because complex division rounds more than once, and
    sparse tensors by their values.
    """
    if k == 1:
        return tensors
    if not in_place:
        if not (tensors[0].is_complex() or any(tensor.is_sparse for tensor in tensors)):
            return foreach("div", tensors, float(k))
        tensors = [tensor.clone() for tensor in tensors]
    foreach("div_", [_numbers(tensor) for tensor in tensors], float(k))
    return tensors


def batches(tensors: list[list[Tensor]], *, prefer_foreach: bool | None) -> Iterator[tuple[list[list[Tensor]], Kernel]]:
    """Split parallel lists by device and dtype, each part with kernels that give the bits of torch's optimizer.

    Args:
        tensors: the parameters, their gradients, then further lists of the same length or empty ones.
        prefer_foreach: the optimizer's `foreach` option; None leaves the choice to torch's rule.

    Yields:
        The lists of one device and dtype, in the order given, and the kernel to run.
    """
    params = tensors[0]
    if not params:
        return
    use_foreach = torchs_foreach(params, prefer_foreach)
    grouped = torch.optim.Optimizer._group_tensors_by_device_and_dtype(cast(Any, tensors))
    for lists, _ in grouped.values():
        batch = cast(list[list[Tensor]], lists)
        dense = not any(grad.is_sparse for grad in batch[1])  # foreach kernels do not take sparse tensors
        yield batch, foreach if dense and (use_foreach or _families_agree(batch[0][0])) else for_loop


def torchs_foreach(params: list[Tensor], preferred: bool | None) -> bool:
    """Whether torch's optimizer steps these parameters by its multi-tensor formula, which may round in other places."""
    return bool(_default_to_fused_or_foreach(params, False)[1] if preferred is None else preferred)


def as_real(tensors: list[Tensor]) -> list[Tensor]:
    """Views with pairs of real numbers of those that are complex; the others themselves."""
    return [torch.view_as_real(tensor) if tensor.is_complex() else tensor for tensor in tensors]


def _families_agree(tensor: Tensor) -> bool:
    return tensor.is_cpu and tensor.dtype in (torch.float32, torch.float64)


def _given(name: str, scalar: float, tensors: list[Tensor]) -> float | Tensor | list[float]:
    """A scalar in the form in which a foreach kernel does with it what torch's optimizers do.

    The CPU's fallback makes a tensor of it, here once instead of once for every tensor. On CUDA a divisor becomes
    a factor, its reciprocal, and a third of all float32 numbers are rounded otherwise than a division by 3 would round
    them; a list of divisors, which torch's optimizers hand over, is divided by.
    """
    if _families_agree(tensors[0]):
        return torch.tensor(scalar, dtype=tensors[0].dtype)
    return [scalar] * len(tensors) if name.startswith("div") else scalar


def _numbers(tensor: Tensor) -> Tensor:
    """The real numbers that `tensor` stores, as a view."""
    dense = tensor._values() if tensor.is_sparse else tensor
    return torch.view_as_real(dense) if dense.is_complex() else dense
