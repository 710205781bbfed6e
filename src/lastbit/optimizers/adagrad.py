"""Adagrad: its step with k, edge of stability and preconditioner."""

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from lastbit.errors import LastbitError
from lastbit.optimizers.family import Family, Group, Optimizer
from lastbit.optimizers.kernels import Kernel, as_real, batches, descent, divided, foreach, torchs_foreach


class AdagradFamily(Family):
    """`torch.optim.Adagrad`: gradient descent on P^-1 g, with P from the sum of squared gradients.

    The gradient, weight decay included, is divided by k: theta <- theta - (lr k) (g / k) / P.
    """

    classes: ClassVar = {"adagrad": torch.optim.Adagrad}

    def step(self, optimizer: Optimizer, group: Group, k: int) -> None:
        """Step with g / k and lr k for lr.

        Raises:
            LastbitError: a gradient is sparse.
        """
        lists: list[list[Tensor]] = [[] for _ in range(4)]
        optimizer._init_group(group, *lists)  # type: ignore[attr-defined]
        if any(grad.is_sparse for grad in lists[1]):
            raise LastbitError("Adagrad's step on sparse gradients cannot be perturbed; make the embedding dense")
        many = torchs_foreach(lists[0], group["foreach"])
        for batch, run in batches(lists, prefer_foreach=group["foreach"]):
            _update(batch, group, run, k, many=many)

    def edge(self, group: Group, state: Mapping[str, Any]) -> tuple[float, str]:
        """2, of P^-1 H: w' = w - h P^-1 H w.

        P only grows, so that curvature which stays as it is falls away from the edge as training goes on.
        """
        return 2.0, "2/lr, of P^-1 H"

    def small_batch_edge(self, group: Group, state: Mapping[str, Any]) -> tuple[float, str]:
        """2, of P^-1 H, as that of gradient descent."""
        return 2.0, "2/lr, of P^-1 H"

    def preconditioner(self, state: Mapping[str, Any], group: Group) -> Tensor:
        """P = (1 + (t-1) lr_decay) (sqrt(sum of squares) + eps): torch divides lr by the first factor at step t."""
        slowed = 1 + (float(state["step"]) - 1) * float(group["lr_decay"])
        diagonal: Tensor = slowed * (state["sum"].sqrt() + group["eps"])
        return diagonal


def _update(batch: list[list[Tensor]], group: Group, run: Kernel, k: int, *, many: bool) -> None:
    """One step of parameters of one device and type; torch's operations in torch's order.

    Its multi-tensor formula (`many`) multiplies by lr before it divides, its for-loop after.
    """
    params, grads, sums, steps = batch
    torch._foreach_add_(steps, 1)
    decay: dict[str, Any] = {"maximize": group["maximize"], "weight_decay": group["weight_decay"], "run": run}
    if run is not foreach:  # torch's for-loop decays complex weights as complex numbers, its foreach as pairs of reals
        grads = descent(params, grads, **decay)
    params, grads, sums = (as_real(tensors) for tensors in (params, grads, sums))
    if run is foreach:
        grads = descent(params, grads, **decay)
    run("addcmul_", sums, grads, grads, value=1)
    roots = run("add_", run("sqrt", sums), group["eps"])
    lr, slowing = float(group["lr"]), group["lr_decay"]
    rates = [-lr / (1 + (step.item() - 1) * slowing) * k for step in steps]
    scaled = "mul_" if group["maximize"] or group["weight_decay"] != 0 else "mul"  # bfloat16 bits tell them apart
    grads = divided(grads, k, in_place=False)
    if many:
        run("addcdiv_", params, run(scaled, grads, rates), roots)
    else:
        for param, grad, root, rate in zip(params, grads, roots, rates, strict=True):
            param.addcdiv_(grad, root, value=rate)
