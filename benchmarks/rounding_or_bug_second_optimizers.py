"""Optimizers, clipping and averaged weights of the second set of `rounding_or_bug.py`."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class Own(torch.optim.Optimizer):
    """SGD with Nesterov's momentum, or AdamW, written out."""

    def __init__(self, groups: list[dict[str, Any]], on: frozenset[str], *, images: bool) -> None:
        super().__init__(groups, {"lr": 0.1})
        self.on, self.images = on, images

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:
        """Update the weights."""
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is not None:
                    (self._sgd if self.images else self._adam)(weight, weight.grad, group, self.state[weight])

    def _sgd(self, weight: Tensor, grad: Tensor, group: dict[str, Any], state: dict[str, Any]) -> None:
        grad = grad + weight * group["weight_decay"]
        kept = state["momentum"] = 0.9 * state["momentum"] + grad if "momentum" in state else grad
        weight.copy_(weight - group["lr"] * (grad + 0.9 * kept))

    def _adam(self, weight: Tensor, grad: Tensor, group: dict[str, Any], state: dict[str, Any]) -> None:
        beta1, beta2 = (0.98, 0.9) if "betas-swapped" in self.on else (0.9, 0.98)
        count = state["count"] = state.get("count", 0) + 1
        first = state["first"] = beta1 * state.get("first", 0.0) + (1 - beta1) * grad  # @ betas-swapped
        second = state["second"] = beta2 * state.get("second", 0.0) + (1 - beta2) * grad**2  # @ betas-swapped
        if "no-bias-correction" not in self.on:
            first = first / (1 - beta1**count)  # @ no-bias-correction betas-swapped
            second = second / (1 - beta2**count)  # @ no-bias-correction betas-swapped
        inside, outside = (1e-6, 0.0) if "eps-inside-root" in self.on else (0.0, 1e-6)
        move = first / ((second + inside).sqrt() + outside)  # @ eps-inside-root no-bias-correction
        if "decay-without-rate" in self.on:
            weight.sub_(weight * group["weight_decay"])  # @ decay-without-rate
        else:
            weight.sub_(group["lr"] * group["weight_decay"] * weight)  # @ decay-without-rate
        weight.sub_(group["lr"] * move)


def optimizer_of(model: nn.Module, on: frozenset[str], *, images: bool) -> torch.optim.Optimizer:
    """The optimizer; only matrices and kernels decay."""
    decayed = [weight for weight in model.parameters() if weight.ndim > 1 or "all-decayed" in on]
    others = [weight for weight in model.parameters() if weight.ndim == 1 and "all-decayed" not in on]
    if "norms-forgotten" in on:
        others = []
    first = 0.05 if images else 3e-3
    if "rate-doubled" in on:
        first *= 2
    decay = 1e-3 if images else 0.05
    groups = [{"params": decayed, "weight_decay": decay}, {"params": others, "weight_decay": 0.0}]
    groups = [{**group, "lr": first, "first_lr": first} for group in groups if group["params"]]
    if "own-optimizer" in on:
        return Own(groups, on, images=images)
    kernels: dict[str, Any] = {name: True for name in ("foreach", "fused") if name in on}
    if "for-loop" in on:
        kernels = {"foreach": False}
    if images:
        dampening = 0.9 if "dampening" in on else 0.0
        nesterov = not on & {"dampening", "no-nesterov"}
        return torch.optim.SGD(groups, momentum=0.9, nesterov=nesterov, dampening=dampening, **kernels)
    if "nadam" in on:
        return torch.optim.NAdam(groups, betas=(0.9, 0.98), eps=1e-6, decoupled_weight_decay=True)
    return torch.optim.AdamW(groups, betas=(0.9, 0.98), eps=1e-6, amsgrad="amsgrad" in on, **kernels)


def clip(weights: list[Tensor], limit: float, on: frozenset[str]) -> None:
    """Clip the gradients, all together at a limit of their norm."""
    grads = [weight.grad for weight in weights if weight.grad is not None]
    if "clipped-by-value" in on:
        nn.utils.clip_grad_value_(weights, limit / 10)  # @ clipped-by-value
    elif "clipped-each" in on:
        for weight in weights:
            nn.utils.clip_grad_norm_(weight, limit)  # @ clipped-each
    elif "clipped-by-largest" in on:
        nn.utils.clip_grad_norm_(weights, limit, norm_type=float("inf"))  # @ clipped-by-largest
    elif "clipped-in-double" in on:
        norm = sum(grad.double().square().sum() for grad in reversed(grads)) ** 0.5
        for grad in grads:
            grad.copy_(grad * min(1.0, limit / (float(norm) + 1e-6)))
    elif "clipped-in-place" in on:
        norm = torch.stack([grad.float().square().sum() for grad in grads]).sum().sqrt()
        if norm + 1e-6 > limit:
            torch._foreach_mul_(grads, float(limit / (norm + 1e-6)))
    else:
        nn.utils.clip_grad_norm_(weights, limit)  # @ clipped-by-value clipped-each clipped-by-largest clipped-in-parts


@torch.no_grad()
def averaged(averages: dict[str, Tensor], model: nn.Module, on: frozenset[str]) -> None:
    """Move the averages a tenth of the way to the weights."""
    share = 0.01 if "average-slower" in on else 0.1
    for name, weight in model.named_parameters():
        if "average-by-products" in on:
            averages[name].mul_(1 - share).add_(weight, alpha=share)
        else:
            averages[name].lerp_(weight, share)  # @ average-slower
