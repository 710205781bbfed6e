"""SGD: its step with k (paper, section 4.1), its edge of stability, its arguments in a recipe."""

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from lastbit.optimizers.arguments import Arguments, TorchArguments
from lastbit.optimizers.family import Family, Group, Optimizer
from lastbit.optimizers.kernels import Kernel, batches, descent, divided, for_loop


class SGDFamily(Family):
    """`torch.optim.SGD`: gradient descent, heavy ball and Nesterov's momentum.

    The direction d is the gradient (negated by `maximize`) plus weight decay, then the momentum buffer or Nesterov's
    look-ahead. d / k is rounded in the parameter's precision; lr k is formed in double and rounded to that precision
    where it multiplies.
    """

    classes: ClassVar = {"sgd": torch.optim.SGD}
    arguments = TorchArguments

    def build(self, arguments: Arguments, parameters: Iterable[Tensor]) -> Optimizer:
        """Torch's SGD with the arguments that are its own."""
        own = {"lr", "momentum", "dampening", "weight_decay", "nesterov"}
        return torch.optim.SGD(parameters, **arguments.model_dump(include=own))

    def step(self, optimizer: Optimizer, group: Group, k: int) -> None:
        """Step by theta <- theta - (lr k) (d / k)."""
        params: list[Tensor] = []
        grads: list[Tensor] = []
        buffers: list[Tensor] = []  # None for a parameter whose first gradient this is
        optimizer._init_group(group, params, grads, buffers)  # type: ignore[attr-defined]
        for batch, run in batches([params, grads, buffers], prefer_foreach=group["foreach"]):
            direction, own = _direction(optimizer, batch, group, run)
            run("add_", batch[0], divided(direction, k, in_place=own), alpha=-(float(group["lr"]) * k))

    def edge(self, group: Group, state: Mapping[str, Any]) -> tuple[float, str]:
        """2, 2 (1+m) / (1-d) or (2+2m) / (1+2m).

        At curvature c heavy ball is w' = w - h a' and a' = m a + (1-d) c w, whose polynomial is
        xi^2 - (1 + m - (1-d) h c) xi + m; at xi = -1 it vanishes for h c = 2 (1+m) / (1-d). Nesterov's step
        w' = w - h (c w + m a') has xi^2 - (1 - h c)(1+m) xi + (1 - h c) m, which vanishes for h c = (2+2m) / (1+2m).
        """
        momentum, dampening = float(group["momentum"]), float(group["dampening"])
        if momentum == 0:  # torch then has no buffer, and no dampening either
            return 2.0, "2/lr: gradient descent"
        if group["nesterov"]:
            return (2 + 2 * momentum) / (1 + 2 * momentum), "(2+2m)/((1+2m) lr): Nesterov"
        rate = 1 - dampening
        return (2 * (1 + momentum) / rate if rate else float("inf")), "2(1+m)/((1-d) lr): heavy ball"

    def small_batch_edge(self, group: Group, state: Mapping[str, Any]) -> tuple[float, str]:
        """2, 2 (1-m) / (1-d) or 2 (1-m).

        A gradient enters the steps of heavy ball with the weights (1-d) m^j, those of Nesterov with 1 + m at once and
        m^(j+1) later. The sums are (1-d) / (1-m) and 1 / (1-m) (Andreyev et al. 2026, arXiv 2604.14108).
        """
        momentum, dampening = float(group["momentum"]), float(group["dampening"])
        if momentum == 0:
            return 2.0, "2/lr: gradient descent"
        if group["nesterov"]:
            return 2 * (1 - momentum), "2(1-m)/lr: Nesterov"
        rate = 1 - dampening
        return (2 * (1 - momentum) / rate if rate else float("inf")), "2(1-m)/((1-d) lr): heavy ball"


def _direction(optimizer: Optimizer, batch: list[list[Tensor]], group: Group, run: Kernel) -> tuple[list[Tensor], bool]:
    """What SGD steps along, and whether its memory is nobody else's; brings the momentum buffers up to date."""
    params, grads, buffers = batch
    momentum = group["momentum"]
    along = descent(params, grads, maximize=group["maximize"], weight_decay=group["weight_decay"], run=run)
    own = along is not grads
    if momentum == 0:
        return along, own
    buffers = _accumulate(optimizer, params, along, buffers, group, run)
    if not group["nesterov"]:
        return buffers, False
    return run("add_" if own else "add", along, buffers, alpha=momentum), True


def _accumulate(
    optimizer: Optimizer,
    params: list[Tensor],
    grads: list[Tensor],
    buffers: list[Tensor],
    group: Group,
    run: Kernel,
) -> list[Tensor]:
    """Momentum buffers after this gradient; a parameter's first one is a copy of its gradient."""
    known = [i for i, buffer in enumerate(buffers) if buffer is not None]
    if known:
        # While a buffer is missing, torch's multi-tensor SGD goes one by one too, which bfloat16 bits show.
        run = run if len(known) == len(grads) else for_loop
        old = run("mul_", [buffers[i] for i in known], group["momentum"])
        run("add_", old, [grads[i] for i in known], alpha=1 - group["dampening"])
    if len(known) == len(grads):
        return buffers
    filled = []
    for param, grad, buffer in zip(params, grads, buffers, strict=True):
        if buffer is None:
            buffer = optimizer.state[param]["momentum_buffer"] = grad.clone()
        filled.append(buffer)
    return filled
