"""The edge of stability of an optimizer, and what it adds to the Hessian and divides it by."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from lastbit.errors import LastbitError
from lastbit.optimizers.family import Family, Group, Optimizer, known_step

UNMOVED = 1e30  # finite, since its root is a divisor; it scales products by 1e-15, below float32's rounding
_SIGNS = "its step is as long for a small gradient as for a large one, so that it keeps oscillating and has no edge"


@dataclass(frozen=True)
class Edge:
    """The edge of stability of one parameter group.

    On a quadratic loss the group's steps stay bounded along an eigenvector of the Hessian (with coupled weight decay,
    and preconditioned where the optimizer does so) if and only if its eigenvalue is below `value` and not negative.
    """

    value: float  # edge of the sharpness with coupled weight decay; infinite at lr 0
    bare: float  # edge of the loss's own sharpness, without the weight decay; only of use with no preconditioner
    lr: float
    source: str  # the formula and where it comes from

    def normalised(self, sharpness: float) -> float:
        """Sharpness / edge * 2, so that the edge is 2 for every optimizer; 0 at lr 0."""
        return 2 * sharpness / self.value


def edge_of_stability(optimizer: Optimizer) -> tuple[Edge, ...]:
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

    If groups differ, each edge is the group's own, to be compared with the sharpness of its own parameters. The
    coupling of groups can make the training unstable before any group is.

    Raises:
        LastbitTypeError: no family in `lastbit.optimizers` describes the optimizer's step with an edge.
        LastbitError: a group maximises, or its lr is negative or not finite.
    """
    optimizer, family = known_step(optimizer)
    return tuple(_edge(family, group) for group in optimizer.param_groups)


def edges_of(optimizer: Optimizer, parameters: Iterable[nn.Parameter]) -> tuple[Edge, ...]:
    """The edges of the groups that hold one of the parameters."""
    wanted = set(parameters)
    pairs = zip(edge_of_stability(optimizer), optimizer.param_groups, strict=True)
    return tuple(bound for bound, group in pairs if not wanted.isdisjoint(group["params"]))


def _edge(family: Family, group: Group) -> Edge:
    if group.get("maximize"):
        raise LastbitError("a parameter group has maximize=True; an ascent has no edge in sharpness, so minimise -loss")
    lr = float(group["lr"])
    if not 0 <= lr < float("inf"):
        raise LastbitError(f"a parameter group has lr={lr}; the edge needs a finite lr of 0 or more")
    units, source = family.edge(group)
    decay = float(group.get("weight_decay", 0.0))
    decoupled = family.is_decoupled(group)
    value = (units - (units / 2 * lr * decay if decoupled else 0.0)) / lr if lr else float("inf")
    return Edge(value, value if decoupled else value - decay, lr, source)


def coupled_weight_decay(optimizer: Optimizer) -> dict[nn.Parameter, float]:
    """Weight decay α, by parameter, of updates along ∇L + αw, with the Hessian H + αI; 0 if it is decoupled (AdamW).

    Raises:
        LastbitTypeError: no family in `lastbit.optimizers` describes the optimizer's step with an edge.
    """
    optimizer, family = known_step(optimizer)
    decay = dict[nn.Parameter, float]()
    for group in optimizer.param_groups:
        coupled = 0.0 if family.is_decoupled(group) else float(group.get("weight_decay", 0.0))
        decay |= dict.fromkeys(group["params"], coupled)
    return decay


def preconditioner(optimizer: Optimizer) -> dict[nn.Parameter, Tensor] | None:
    """The diagonal P by which an adaptive optimizer divides its next step; None if it does not.

    Adam, AdamW: P = (1 - b1^t) (sqrt(v / (1 - b2^t)) + eps). RMSprop: P = sqrt(v) + eps. Each entry has its
    parameter's shape. A parameter without a gradient so far, frozen or unused, is one that the optimizer does not move:
    its entries are `UNMOVED`, which takes its rows out of the preconditioned matrix.

    Raises:
        LastbitTypeError: no family in `lastbit.optimizers` describes the optimizer's step with an edge.
        LastbitError: it has not taken a step with any parameter yet, so there is no preconditioner.
    """
    optimizer, family = known_step(optimizer)
    if not family.has("preconditioner"):
        return None
    if not any(optimizer.state.values()):
        raise LastbitError(
            f"{type(optimizer).__name__} has taken no step yet, so it has no preconditioner; step it first"
        )
    return {
        parameter: family.preconditioner(optimizer.state[parameter], group)
        if optimizer.state.get(parameter)
        else torch.full_like(parameter, UNMOVED, dtype=torch.float32)
        for group in optimizer.param_groups
        for parameter in group["params"]
    }


class WithoutEdge(Family):
    """Optimizers without a known edge, and why; they are recognised by the names of their classes."""

    without_edge: ClassVar = {
        "Adadelta": "it divides by averages of its own updates too, and no formula for its edge is known here",
        "Adagrad": "its divisor grows with every step, so that its edge is never at rest",
        "LBFGS": "each step's direction and length come from a search of their own, so that no edge is fixed",
        "Lion": _SIGNS,
        "Muon": _SIGNS,
        "NAdam": "its momentum follows a schedule, so that its edge moves; Adam's formula does not hold",
        "RAdam": "its first steps are rectified and its edge moves; Adam's formula does not hold",
        "Rprop": _SIGNS,
        "SAM": "it takes the gradient at other weights, and its edge lies below that of the optimizer inside",
        "SignSGD": _SIGNS,
    }
