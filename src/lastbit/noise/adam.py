"""Perturbed Adam and AdamW (paper, Table 7): the numerator of the final direction divided by k, the step times k."""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch._compile import _disable_dynamo

from lastbit.noise.descent import descent
from lastbit.noise.kernels import Kernel, batches, divided, foreach
from lastbit.noise.perturbed import Closure, Perturbed, Scaling, evaluate, refuse_unsupported

Group = dict[str, Any]


class _PerturbedAdamStep(Perturbed):
    """The step of both Adams: theta <- theta - (lr k / bias1) (m / k) / (sqrt(v) / sqrt(bias2) + eps)."""

    noise: Scaling

    @_disable_dynamo  # a compiler would contract and reorder the operations whose roundings are the point
    @torch.no_grad()
    def step(self, closure: Closure | None = None) -> Any:
        """Take one step; call `closure` first, once, and return its loss."""
        loss = evaluate(closure)
        for group in self.param_groups:
            self._step_group(group)
        return loss

    def _step_group(self, group: Group) -> None:
        refuse_unsupported(group)
        lists: list[list[Tensor]] = [[] for _ in range(6)]
        self._init_group(group, *lists)  # type: ignore[attr-defined]
        torch_loops = group["foreach"] is None and isinstance(group["lr"], Tensor)  # its foreach takes no tensor lr
        for batch, run in batches(lists, prefer_foreach=False if torch_loops else group["foreach"]):
            for count, (params, grads, *moments) in _by_step(batch):
                _update(params, grads, moments, count, group, run, self.noise.k)


class PerturbedAdam(_PerturbedAdamStep, torch.optim.Adam):
    """`torch.optim.Adam` with m / k for m in the last operation of its step, and lr k for lr.

    m / k is rounded in the parameter's precision; lr k / bias1 is formed in double. The moments themselves and `p.grad`
    are never divided. Made by `lastbit.noise.perturb`.
    """


class PerturbedAdamW(_PerturbedAdamStep, torch.optim.AdamW):
    """`torch.optim.AdamW` with m / k for m in the last operation of its step, and lr k for lr.

    The decoupled weight decay acts before that and is not touched. Made by `lastbit.noise.perturb`.
    """


def _by_step(batch: list[list[Tensor]]) -> Iterator[tuple[float, list[list[Tensor]]]]:
    """Advance the step counters, the last list, and split the others into lists of equal counts (nearly always one)."""
    *lists, steps = batch
    one = torch.tensor(1.0) if steps[0].is_cpu else 1  # wrapped once, not once for each counter
    torch._foreach_add_(steps, one)
    members: defaultdict[float, list[int]] = defaultdict(list)
    for i, step in enumerate(steps):
        members[step.item()].append(i)
    for count, indices in members.items():
        yield count, lists if len(members) == 1 else [[each[i] for i in indices] if each else [] for each in lists]


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
    params, grads, first, second, largest = (_as_real(each) for each in (params, grads, *moments))
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


def _as_real(tensors: list[Tensor]) -> list[Tensor]:
    return [torch.view_as_real(tensor) if tensor.is_complex() else tensor for tensor in tensors]
