"""NAdam: its step with k, edge of stability and preconditioner."""

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from lastbit.optimizers.family import Family, Group, Optimizer
from lastbit.optimizers.kernels import Kernel, as_real, batches, descent, divided, torchs_foreach


class NAdamFamily(Family):
    """`torch.optim.NAdam`: Nesterov's momentum along an average, on P^-1 g, its momentum on a schedule of the steps.

    Torch steps by w' = w - h P^-1 (p g + q a'), a' = b1 a + (1-b1) g, with

        p = (1 - mu_t) / (1 - mu_1 ... mu_t),  q = mu_(t+1) / (1 - mu_1 ... mu_(t+1)),
        mu_t = b1 (1 - 0.96^(t momentum_decay) / 2),

    so that p goes to 1 - b1 and q to b1. Both g and a' are divided by k and their factors multiplied by it; the
    averages themselves are never divided. Decoupled weight decay acts before that and is not touched.
    """

    classes: ClassVar = {"nadam": torch.optim.NAdam}

    def step(self, optimizer: Optimizer, group: Group, k: int) -> None:
        """Step with g / k and a' / k, and lr k for lr, in the last two operations."""
        lists: list[list[Tensor]] = [[] for _ in range(6)]
        optimizer._init_group(group, *lists)  # type: ignore[attr-defined]
        many = torchs_foreach(lists[0], group["foreach"])
        for batch, run in batches(lists, prefer_foreach=group["foreach"]):
            _update(batch, group, run, k, many=many)

    def edge(self, group: Group, state: Mapping[str, Any]) -> tuple[float, str]:
        """2 (1+b1) / (p (1+b1) + q (1-b1)), of P^-1 H, with p and q of the last step.

        At curvature c the step maps (w, a) by a matrix of trace 1 + b1 - h c (p + q (1-b1)) and determinant
        b1 (1 - p h c); 1 + trace + determinant vanishes at that h c. In the end it is 2 (1+b1) / ((1-b1) (1+2 b1)),
        which is Nesterov's over 1 - b1, and 13.6 at b1 = 0.9; at the first step of torch's schedule it is 3.6.
        """
        beta, (p, q) = float(group["betas"][0]), _weights(group, state)
        return 2 * (1 + beta) / (p * (1 + beta) + q * (1 - beta)), "2(1+b1)/((p(1+b1) + q(1-b1)) lr), of P^-1 H"

    def small_batch_edge(self, group: Group, state: Mapping[str, Any]) -> tuple[float, str]:
        """2 / (p + q), of P^-1 H: a gradient sums up to p + q, which is 1 in the end."""
        return 2 / sum(_weights(group, state)), "2/((p+q) lr), of P^-1 H"

    def preconditioner(self, state: Mapping[str, Any], group: Group) -> Tensor:
        """P = sqrt(v / (1 - beta2^t)) + eps after t steps, v the average of squared gradients."""
        root = state["exp_avg_sq"].sqrt() / math.sqrt(1 - float(group["betas"][1]) ** float(state["step"]))
        diagonal: Tensor = root + group["eps"]
        return diagonal


def _weights(group: Group, state: Mapping[str, Any]) -> tuple[float, float]:
    """The p and q of the last step; of the first, where there has been none."""
    mu, following = _momenta(group, float(state.get("step", 1)))
    product = float(state.get("mu_product", mu))
    return (1 - mu) / (1 - product), following / (1 - product * following)


def _momenta(group: Group, step: float) -> tuple[float, float]:
    """The momenta mu of a step and of the next."""
    beta, decay = float(group["betas"][0]), float(group["momentum_decay"])
    mu, following = (beta * (1.0 - 0.5 * (0.96 ** (count * decay))) for count in (step, step + 1))
    return mu, following


def _update(batch: list[list[Tensor]], group: Group, run: Kernel, k: int, *, many: bool) -> None:
    """One step of parameters of one device and type; torch's operations in torch's order.

    Its multi-tensor formula (`many`) corrects the root of the average of squares, its for-loop the average.
    """
    *lists, products, steps = batch
    torch._foreach_add_(steps, 1)
    params, grads, averages, squares = map(as_real, lists)
    beta1, beta2 = group["betas"]
    lr, coupled = float(group["lr"]), group["weight_decay"]
    if group["decoupled_weight_decay"] and coupled != 0:
        run("mul_", params, 1 - lr * coupled)
        coupled = 0.0
    grads = descent(params, grads, maximize=group["maximize"], weight_decay=coupled, run=run)
    run("lerp_", averages, grads, 1 - beta1)
    run("mul_", squares, beta2)
    run("addcmul_", squares, grads, grads, value=1 - beta2)
    counts = [step.item() for step in steps]
    corrections = [1 - beta2**count for count in counts]
    if many:
        roots = run("div_", run("sqrt", squares), [correction**0.5 for correction in corrections])
    else:
        roots = run("sqrt_", run("div", squares, corrections))
    run("add_", roots, group["eps"])
    terms = divided(grads, k, in_place=False), divided(averages, k, in_place=False)
    for param, grad, average, root, product, count in zip(params, *terms, roots, products, counts, strict=True):
        mu, following = _momenta(group, count)
        whole = product.mul_(mu).item()
        param.addcdiv_(grad, root, value=-lr * (1.0 - mu) / (1.0 - whole) * k)
        param.addcdiv_(average, root, value=-lr * following / (1.0 - whole * following) * k)
