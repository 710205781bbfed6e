"""The sharpness at which an optimizer stops being stable."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from lastbit.curvature.preconditioner import is_decoupled
from lastbit.curvature.supported import supported
from lastbit.errors import LastbitError
from lastbit.steps import Optimizer


@dataclass(frozen=True)
class Edge:
    """The stability edge of one parameter group.

    On a quadratic loss the group's steps stay bounded along an eigenvector of the Hessian (with coupled weight decay,
    and preconditioned where the optimizer does so) iff its eigenvalue is below `value` and not negative.
    """

    value: float  # edge of the sharpness with coupled weight decay; infinite at lr 0
    bare: float  # edge of the loss's own sharpness, without the weight decay; only of use with no preconditioner
    lr: float
    source: str  # the formula and where it comes from

    def normalised(self, sharpness: float) -> float:
        """Sharpness / edge * 2, so that the edge is 2 for every optimizer; 0 at lr 0."""
        return 2 * sharpness / self.value


def edge(optimizer: Optimizer) -> tuple[Edge, ...]:
    """The edge of each parameter group, in the units of `SharpnessTracker(..., optimizer=optimizer)`.

    Every formula is the Jury criterion on the characteristic polynomial of the linearised step, the preconditioner held
    fixed. With c an eigenvalue of the Hessian (coupled weight decay included), lr = h, momentum = m, dampening = d:

    - gradient descent, 2/h;
    - heavy ball, xi^2 - (1 + m - (1-d) h c) xi + m: 2 (1+m) / ((1-d) h);
    - Nesterov, xi^2 - (1 - h c)(1+m) xi + (1 - h c) m: (2+2m) / ((1+2m) h);
    - Adam, momentum as an average, c of P^(-1) H: 2 (1+b1) / ((1-b1) h) (Cohen et al. 2022, Adaptive Gradient Methods
      at the Edge of Stability);
    - AdamW, decoupled weight decay w: (2 - h w)(1+b1) / ((1-b1) h);
    - RMSprop, c of P^(-1) H: 2 (1+m) / h.

    For groups that differ, each edge is the group's own, to be held against the sharpness of its own parameters; the
    coupling of groups can make the whole unstable before.

    Raises:
        LastbitTypeError: the optimizer is of no supported class.
        LastbitError: a group maximises, or its lr is negative or not finite.
    """
    optimizer, _ = supported(optimizer)
    return tuple(_edge(optimizer, group) for group in optimizer.param_groups)


def edges_of(optimizer: Optimizer, parameters: Iterable[nn.Parameter]) -> tuple[Edge, ...]:
    """The edges of the groups that hold one of the parameters."""
    wanted = set(parameters)
    pairs = zip(edge(optimizer), optimizer.param_groups, strict=True)
    return tuple(bound for bound, group in pairs if not wanted.isdisjoint(group["params"]))


def _edge(optimizer: Optimizer, group: dict[str, Any]) -> Edge:
    if group.get("maximize"):
        raise LastbitError("a parameter group has maximize=True; an ascent has no edge in sharpness, so minimise -loss")
    lr = float(group["lr"])
    if not 0 <= lr < float("inf"):
        raise LastbitError(f"a parameter group has lr={lr}; the edge needs a finite lr of 0 or more")
    units, source = _in_units_of_rate(optimizer, group)
    decay = float(group["weight_decay"])
    decoupled = is_decoupled(optimizer, group)
    value = (units - (units / 2 * lr * decay if decoupled else 0.0)) / lr if lr else float("inf")
    return Edge(value, value if decoupled else value - decay, lr, source)


def _in_units_of_rate(optimizer: Optimizer, group: dict[str, Any]) -> tuple[float, str]:
    """Lr times the edge, decoupled weight decay aside, and the formula."""
    if isinstance(optimizer, torch.optim.SGD):
        return _sgd(group)
    if isinstance(optimizer, torch.optim.Adam | torch.optim.AdamW):
        beta = float(group["betas"][0])
        source = "(2 - lr w)(1+b1)/((1-b1) lr)" if is_decoupled(optimizer, group) else "2(1+b1)/((1-b1) lr)"
        return 2 * (1 + beta) / (1 - beta), f"{source}: Cohen et al. 2022, of P^-1 H"
    return 2 * (1 + float(group["momentum"])), "2(1+m)/lr: heavy ball on P^-1 H"


def _sgd(group: dict[str, Any]) -> tuple[float, str]:
    momentum, dampening = float(group["momentum"]), float(group["dampening"])
    if momentum == 0:  # torch then has no buffer, and no dampening either
        return 2.0, "2/lr: gradient descent"
    if group["nesterov"]:
        return (2 + 2 * momentum) / (1 + 2 * momentum), "(2+2m)/((1+2m) lr): Nesterov"
    rate = 1 - dampening
    return (2 * (1 + momentum) / rate if rate else float("inf")), "2(1+m)/((1-d) lr): heavy ball"
