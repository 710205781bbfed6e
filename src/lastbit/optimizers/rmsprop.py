"""RMSprop: its step with k, edge of stability, preconditioner, arguments in a recipe."""

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from lastbit.optimizers.arguments import Arguments, Fraction, Positive
from lastbit.optimizers.family import Family, Group, Optimizer
from lastbit.optimizers.kernels import Kernel, as_real, batches, descent, divided, foreach


class RMSpropArguments(Arguments):
    """Of torch's RMSprop."""

    alpha: Fraction = 0.99
    eps: Positive = 1e-8
    momentum: Fraction = 0.0
    centered: bool = False


class RMSpropFamily(Family):
    """`torch.optim.RMSprop`: heavy ball on P^-1 g, with P = sqrt(v) + eps and v the average of squared gradients.

    With momentum the buffer is divided by k, theta <- theta - (lr k) (buffer / k); without, the gradient is,
    theta <- theta - (lr k) (g / k) / P.
    """

    classes: ClassVar = {"rmsprop": torch.optim.RMSprop}
    arguments = RMSpropArguments

    def step(self, optimizer: Optimizer, group: Group, k: int) -> None:
        """Step with the direction / k and lr k for lr in the last operation."""
        lists: list[list[Tensor]] = [[] for _ in range(6)]
        optimizer._init_group(group, *lists)  # type: ignore[attr-defined]
        for batch, run in batches(lists, prefer_foreach=group["foreach"]):
            _update(batch, group, run, k)

    def edge(self, group: Group, state: Mapping[str, Any]) -> tuple[float, str]:
        """2 (1+m): that of heavy ball, of P^-1 H."""
        return 2 * (1 + float(group["momentum"])), "2(1+m)/lr: heavy ball on P^-1 H"

    def small_batch_edge(self, group: Group, state: Mapping[str, Any]) -> tuple[float, str]:
        """2 (1-m): that of heavy ball, of P^-1 H."""
        return 2 * (1 - float(group["momentum"])), "2(1-m)/lr: heavy ball on P^-1 H"

    def preconditioner(self, state: Mapping[str, Any], group: Group) -> Tensor:
        """P = sqrt(v) + eps; if `centered`, v is less the squared average gradient."""
        squares: Tensor = state["square_avg"]
        if group["centered"]:
            # As torch has it: rounding can leave a negative difference, whose root is no number.
            squares = squares.addcmul(state["grad_avg"], state["grad_avg"], value=-1)
        root: Tensor = squares.sqrt() + group["eps"]
        return root


def _update(batch: list[list[Tensor]], group: Group, run: Kernel, k: int) -> None:
    """One step of parameters of one device and type; torch's operations in torch's order."""
    *lists, steps = batch
    torch._foreach_add_(steps, 1)
    params, grads, *rest = lists
    decay: dict[str, Any] = {"maximize": group["maximize"], "weight_decay": group["weight_decay"], "run": run}
    if run is not foreach:  # torch's for-loop decays complex weights as complex numbers, its foreach as pairs of reals
        grads = descent(params, grads, **decay)
    params, grads, squares, buffers, averages = (as_real(tensors) for tensors in (params, grads, *rest))
    if run is foreach:
        grads = descent(params, grads, **decay)
    run("mul_", squares, group["alpha"])
    run("addcmul_", squares, grads, grads, value=1 - group["alpha"])
    if group["centered"]:
        run("lerp_", averages, grads, 1 - group["alpha"])
        squares = run("addcmul", squares, averages, averages, value=-1)
    roots = run("add_", run("sqrt", squares), group["eps"])
    step_size = float(group["lr"]) * k
    if group["momentum"] > 0:
        run("mul_", buffers, group["momentum"])
        run("addcdiv_", buffers, grads, roots)
        run("add_", params, divided(buffers, k, in_place=False), alpha=-step_size)
    else:
        run("addcdiv_", params, divided(grads, k, in_place=False), roots, value=-step_size)
