"""Adam and AdamW: their step with k (paper, Table 7), edge of stability, preconditioner, arguments in a recipe."""

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from lastbit.optimizers.arguments import Arguments, TorchArguments
from lastbit.optimizers.family import Family, Group, Optimizer
from lastbit.optimizers.kernels import Kernel, as_real, batches, descent, divided, foreach


class AdamFamily(Family):
    """`torch.optim.Adam` and `AdamW`: theta <- theta - (lr k / bias1) (m / k) / (sqrt(v) / sqrt(bias2) + eps).

    m / k is rounded in the parameter's precision; lr k / bias1 is formed in double. The moments themselves are never
    divided. AdamW's decoupled weight decay acts before that and is not touched.
    """

    classes: ClassVar = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
    arguments = TorchArguments

    def build(self, arguments: Arguments, parameters: Iterable[Tensor]) -> Optimizer:
        """Torch's Adam or AdamW with the arguments that are its own."""
        own = {"lr", "betas", "eps", "weight_decay"}
        return self.classes[arguments.name](parameters, **arguments.model_dump(include=own))

    def step(self, optimizer: Optimizer, group: Group, k: int) -> None:
        """Step with m / k for m and lr k for lr in the last operation."""
        lists: list[list[Tensor]] = [[] for _ in range(6)]
        optimizer._init_group(group, *lists)  # type: ignore[attr-defined]
        torch_loops = group["foreach"] is None and isinstance(group["lr"], Tensor)  # its foreach takes no tensor lr
        for batch, run in batches(lists, prefer_foreach=False if torch_loops else group["foreach"]):
            for count, (params, grads, *moments) in _by_step(batch):
                _update(params, grads, moments, count, group, run, k)

    def edge(self, group: Group, state: Mapping[str, Any]) -> tuple[float, str]:
        """2 (1+b1) / (1-b1), of P^-1 H.

        Heavy ball along an average, w' = w - h a' and a' = b1 a + (1-b1) c w: that of `SGD` with dampening b1.
        Decoupled decay w makes the first w' = (1 - h w) w - h a', and the edge (2 - h w) (1+b1) / ((1-b1) h).
        """
        beta = float(group["betas"][0])
        source = "(2 - lr w)(1+b1)/((1-b1) lr)" if self.is_decoupled(group) else "2(1+b1)/((1-b1) lr)"
        return 2 * (1 + beta) / (1 - beta), f"{source}: Cohen et al. 2022, of P^-1 H"

    def small_batch_edge(self, group: Group, state: Mapping[str, Any]) -> tuple[float, str]:
        """2, of P^-1 H: an average of gradients sums up to one gradient."""
        return 2.0, "2/lr, of P^-1 H"

    def preconditioner(self, state: Mapping[str, Any], group: Group) -> Tensor:
        """P = (1 - beta1^t) (sqrt(v / (1 - beta2^t)) + eps) after t steps (Cohen et al. 2022).

        v is the average of squared gradients, with `amsgrad` the largest so far.
        """
        beta1, beta2 = map(float, group["betas"])
        steps = float(state["step"])
        squares: Tensor = state["max_exp_avg_sq"] if group["amsgrad"] else state["exp_avg_sq"]
        root = squares.sqrt() / math.sqrt(1 - beta2**steps)
        diagonal: Tensor = (1 - beta1**steps) * (root + group["eps"])
        return diagonal


def _by_step(batch: list[list[Tensor]]) -> Iterator[tuple[float, list[list[Tensor]]]]:
    """Advance the step counters, the last list, and split the others into lists of equal counts (nearly always one)."""
    *lists, steps = batch
    one = torch.tensor(1.0) if steps[0].is_cpu else 1  # wrapped once, not once for each counter
    torch._foreach_add_(steps, one)
    members: defaultdict[float, list[int]] = defaultdict(list)
    for i, step in enumerate(steps):
        members[step.item()].append(i)
    for count, indices in members.items():
        yield count, lists if len(members) == 1 else [[own[i] for i in indices] if own else [] for own in lists]


def _update(
    params: list[Tensor],
    grads: list[Tensor],
    moments: list[list[Tensor]],
    count: float,
    group: Group,
    run: Kernel,
    k: int,
) -> None:
    """One step of parameters that have taken `count` steps, this one included; torch's operations in torch's order."""
    beta1, beta2 = group["betas"]
    if run is not foreach:  # torch's for-loop decays complex weights as complex numbers, its foreach as pairs of reals
        grads = _decay(params, grads, group, run)
    params, grads, first, second, largest = (as_real(tensors) for tensors in (params, grads, *moments))
    if run is foreach:
        grads = _decay(params, grads, group, run)
    run("lerp_", first, grads, 1 - beta1)
    run("mul_", second, beta2)
    run("addcmul_", second, grads, grads, value=1 - beta2)
    if group["amsgrad"]:
        torch._foreach_maximum_(largest, second)
    denominators = list(torch._foreach_sqrt(largest if group["amsgrad"] else second))
    run("div_", denominators, (1 - beta2**count) ** 0.5)
    run("add_", denominators, group["eps"])
    step_size = float(group["lr"] / (1 - beta1**count)) * k
    run("addcdiv_", params, divided(first, k, in_place=False), denominators, value=-step_size)


def _decay(params: list[Tensor], grads: list[Tensor], group: Group, run: Kernel) -> list[Tensor]:
    """Decay the weights where decay is decoupled; return the gradients for the moments, coupled decay included."""
    weight_decay = group["weight_decay"]
    coupled = weight_decay
    if group["decoupled_weight_decay"]:
        coupled = 0.0
        if weight_decay != 0:
            run("mul_", params, 1 - group["lr"] * weight_decay)
    return descent(params, grads, maximize=group["maximize"], weight_decay=coupled, run=run)
