"""The edge of stability of an optimizer, and what it adds to the Hessian and divides it by.

A step of most optimizers is w' = w - h sum_j f_j g_j: a sum over past gradients, g_j that of j steps ago, divided by a
preconditioner P that is held fixed here. There are two edges, for two limits.

**Full batch.** On a quadratic of curvature c every gradient is c w, and the step is a linear map. By the Jury criterion
on its characteristic polynomial, steps stay bounded up to the c at which a root passes -1. With the filter
p g + q a', a' = b a + r g, that all momenta below are, this is

    h c = 2 (1+b) / (p (1+b) + q r).

**Small batches.** The gradients of single batches are all but orthogonal to each other, and each moves the weights
little. In the end a gradient g has moved them by -h s g, s = sum_j f_j, whatever came in between. So |w|^2 changes by
-2 h s w'g + h^2 s^2 |g|^2 for each batch. Where a batch's loss is g'w / 2 with H_B of one eigenvalue r along g, as for
one sample of a linear model, w'g = |g|^2 / r: on average |w|^2 falls if and only if r < 2 / (h s). That r is the batch
sharpness, the mean of g'H_B g / |g|^2 over batches (Andreyev and Beneventano 2024, arXiv 2412.20553). With momentum m
it settles at 2 (1-m) / h (Andreyev et al. 2026, arXiv 2604.14108). With the filter above

    h c = 2 / (p + q r / (1-b)).

Training with batches of any size lies between the two. Weight decay shrinks the weights besides and does not lower the
edge of small batches.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from lastbit.errors import LastbitError
from lastbit.optimizers.family import Family, Group, Optimizer, is_stepped, known_step, state_of

BATCHES = {"full": "edge", "small": "small_batch_edge"}  # what there is an edge of -> a family's method
UNMOVED = 1e30  # finite, since its root is a divisor; it scales products by 1e-15, below float32's rounding


@dataclass(frozen=True)
class Edge:
    """The edge of stability of one parameter group.

    Of full batches: on a quadratic loss the group's steps stay bounded along an eigenvector of the Hessian (with
    coupled weight decay, and preconditioned where the optimizer does so) if and only if its eigenvalue is below `value`
    and not negative. Of small batches: the batch sharpness (the mean of g'Hg / |g|^2 over batches, g and H of the
    batch) from which on the weights are driven apart.
    """

    value: float  # edge of the sharpness with coupled weight decay; infinite at lr 0
    bare: float  # edge of the loss's own sharpness, without the weight decay; only of use with no preconditioner
    lr: float
    source: str  # the formula and where it comes from

    def normalised(self, sharpness: float) -> float:
        """Sharpness / edge * 2, so that the edge is 2 for every optimizer; 0 at lr 0."""
        return 2 * sharpness / self.value


def edge_of_stability(optimizer: Optimizer, *, batch: str = "full") -> tuple[Edge, ...]:
    """The edge of each parameter group, in the units of `SharpnessTracker(..., optimizer=optimizer)`.

    With lr h, momentum m, dampening d, averages b1, and decoupled weight decay w:

    | optimizer | full batch | small batches |
    | --- | --- | --- |
    | gradient descent | 2/h | 2/h |
    | heavy ball | 2 (1+m) / ((1-d) h) | 2 (1-m) / ((1-d) h) |
    | Nesterov | (2+2m) / ((1+2m) h) | 2 (1-m) / h |
    | Adam | 2 (1+b1) / ((1-b1) h) | 2/h |
    | AdamW | (2 - h w) (1+b1) / ((1-b1) h) | 2/h |
    | NAdam, in the end | 2 (1+b1) / ((1-b1)(1+2 b1) h) | 2/h |
    | RMSprop | 2 (1+m) / h | 2 (1-m) / h |
    | Adagrad | 2/h | 2/h |
    | schedule-free, in the end | 2 / ((1-b1) h) | at least 2/h |

    From Adam on they are of P^(-1) H, with the present `preconditioner` held fixed (Cohen et al. 2022, arXiv
    2207.14484). They are derived in this module and in the file of each family.

    If groups differ, each edge is the group's own, to be compared with the sharpness of its own parameters. The
    coupling of groups can make the training unstable before any group is.

    Args:
        optimizer: one of these; subclasses that leave the step alone, lr schedulers and wrappers are looked through.
        batch: "full" for the edge of the sharpness, "small" for that of the batch sharpness.

    Raises:
        LastbitTypeError: no family in `lastbit.optimizers` describes the optimizer's step with an edge.
        LastbitError: a group maximises, its lr is negative or not finite, or `batch` is neither.
    """
    if batch not in BATCHES:
        raise LastbitError(f"batch={batch!r} is not allowed; give {' or '.join(map(repr, BATCHES))}")
    optimizer, family = known_step(optimizer, BATCHES[batch])
    return tuple(_edge(optimizer, family, group, batch) for group in optimizer.param_groups)


def edges_of(optimizer: Optimizer, parameters: Iterable[nn.Parameter], *, batch: str = "full") -> tuple[Edge, ...]:
    """The edges of the groups that hold one of the parameters."""
    wanted = set(parameters)
    pairs = zip(edge_of_stability(optimizer, batch=batch), optimizer.param_groups, strict=True)
    return tuple(bound for bound, group in pairs if not wanted.isdisjoint(group["params"]))


def _edge(optimizer: Optimizer, family: Family, group: Group, batch: str) -> Edge:
    if group.get("maximize"):
        raise LastbitError("a parameter group has maximize=True; an ascent has no edge in sharpness, so minimise -loss")
    lr = float(group["lr"])
    if not 0 <= lr < float("inf"):
        raise LastbitError(f"a parameter group has lr={lr}; the edge needs a finite lr of 0 or more")
    units, source = getattr(family, BATCHES[batch])(group, state_of(optimizer, group))
    decay = float(group.get("weight_decay", 0.0))
    decoupled = family.is_decoupled(group)
    lowered = units / 2 * lr * decay if decoupled and batch == "full" else 0.0
    value = (units - lowered) / lr if lr else float("inf")
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

    Adam, AdamW: P = (1 - b1^t) (sqrt(v / (1 - b2^t)) + eps). RMSprop: P = sqrt(v) + eps; the others in their files.
    Each entry has its parameter's shape. A parameter without a gradient so far, frozen or unused, is one that the
    optimizer does not move: its entries are `UNMOVED`, which takes its rows out of the preconditioned matrix.

    Raises:
        LastbitTypeError: no family in `lastbit.optimizers` describes the optimizer's step with an edge.
        LastbitError: it has not taken a step with any parameter yet, so there is no preconditioner.
    """
    optimizer, family = known_step(optimizer)
    if not family.has("preconditioner"):
        return None
    if not any(map(is_stepped, optimizer.state.values())):
        raise LastbitError(
            f"{type(optimizer).__name__} has taken no step yet, so it has no preconditioner; step it first"
        )
    return {
        parameter: family.preconditioner(optimizer.state[parameter], group)
        if is_stepped(optimizer.state.get(parameter, {}))
        else torch.full_like(parameter, UNMOVED, dtype=torch.float32)
        for group in optimizer.param_groups
        for parameter in group["params"]
    }


class WithoutEdge(Family):
    """Optimizers without a known edge, and why; they are recognised by the names of their classes."""

    without_edge: ClassVar = {
        "ASGD": "its learning rate falls with every step, and it keeps an average beside the weights",
        "Adadelta": "it divides by averages of its own updates too, and no formula for its edge is known here",
        "Adafactor": "it clips its steps by their own size, so that its learning rate moves with the gradient",
        "LBFGS": "each step's direction and length come from a search of their own, so that no edge is fixed",
        "RAdam": "its first steps are rectified and its edge moves; Adam's formula does not hold",
        "Rprop": "its steps grow and shrink by the signs of the gradient alone, so that no sharpness is its edge",
        "SAM": "it takes the gradient at other weights, and its edge lies below that of the optimizer inside",
    }
