"""What an optimizer adds to the Hessian and divides it by: coupled weight decay and a diagonal preconditioner."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from lastbit.curvature.supported import supported
from lastbit.errors import LastbitError
from lastbit.steps import Optimizer

UNMOVED = 1e30  # finite, for its root divides; products come out 1e-15 of theirs, under float32's rounding


def coupled_weight_decay(optimizer: Optimizer) -> dict[nn.Parameter, float]:
    """Weight decay α, by parameter, of updates along ∇L + αw, with the Hessian H + αI; 0 where it is decoupled (AdamW).

    Raises:
        LastbitTypeError: the optimizer is of no supported class.
    """
    optimizer, _ = supported(optimizer)
    decay = dict[nn.Parameter, float]()
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            decay[parameter] = 0.0 if is_decoupled(optimizer, group) else float(group["weight_decay"])
    return decay


def is_decoupled(optimizer: Optimizer, group: dict[str, Any]) -> bool:
    """Whether the weight decay of a group shrinks the weights beside the gradient step."""
    return isinstance(optimizer, torch.optim.AdamW) or bool(group.get("decoupled_weight_decay", False))


def preconditioner(optimizer: Optimizer) -> dict[nn.Parameter, Tensor] | None:
    """The diagonal P by which an adaptive optimizer divides its next step; None where there is none.

    Each entry has its parameter's shape.

    Adam and AdamW: P = (1 - beta1^t) (sqrt(v / (1 - beta2^t)) + eps), v the average of squared gradients (the largest
    so far with `amsgrad`) after t steps (Cohen et al. 2022, Adaptive Gradient Methods at the Edge of
    Stability). RMSprop: P = sqrt(v) + eps, v less the squared average gradient where `centered`.

    A parameter that has had no gradient yet, frozen or unused, is one that the optimizer does not move: its entries are
    `UNMOVED`, which takes its rows out of the preconditioned matrix.

    Raises:
        LastbitTypeError: the optimizer is of no supported class.
        LastbitError: it has not taken a step with any parameter yet, so there is no preconditioner.
    """
    optimizer, kind = supported(optimizer)
    diagonal = _DIAGONALS[kind]
    if diagonal is None:
        return None
    if not any("step" in state for state in optimizer.state.values()):
        raise LastbitError(
            f"{type(optimizer).__name__} has taken no step yet, so it has no preconditioner; step it first"
        )
    return {
        p: diagonal(optimizer.state[p], group) if "step" in optimizer.state.get(p, {}) else _unmoved(p)
        for group in optimizer.param_groups
        for p in group["params"]
    }


def _unmoved(parameter: nn.Parameter) -> Tensor:
    return torch.full_like(parameter, UNMOVED, dtype=torch.float32)


def _adam(state: dict[str, Any], group: dict[str, Any]) -> Tensor:
    beta1, beta2 = map(float, group["betas"])
    steps = float(state["step"])
    squares: Tensor = state["max_exp_avg_sq"] if group["amsgrad"] else state["exp_avg_sq"]
    root = squares.sqrt() / math.sqrt(1 - beta2**steps)
    diagonal: Tensor = (1 - beta1**steps) * (root + group["eps"])
    return diagonal


def _rmsprop(state: dict[str, Any], group: dict[str, Any]) -> Tensor:
    squares: Tensor = state["square_avg"]
    if group["centered"]:
        # As torch has it: rounding can leave a negative difference, whose root is no number.
        squares = squares.addcmul(state["grad_avg"], state["grad_avg"], value=-1)
    root: Tensor = squares.sqrt() + group["eps"]
    return root


_DIAGONALS: dict[type[Optimizer], Callable[[dict[str, Any], dict[str, Any]], Tensor] | None] = {
    torch.optim.SGD: None,
    torch.optim.Adam: _adam,
    torch.optim.AdamW: _adam,
    torch.optim.RMSprop: _rmsprop,
}
