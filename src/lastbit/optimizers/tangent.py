"""The derivative of an optimizer's step: what becomes of a small difference in weights, state and gradient.

A step maps weights w, state s and gradient g to new weights and a new state, for heavy ball (w, b), g -> (w - h b', b')
with b' = m b + g. Its derivative maps their differences, here (dw, db), dg -> (dw - h db', db') with db' = m db + dg.
It is taken in forward mode (dual numbers) through the step itself as the optimizer's family defines it, in float64: no
formula is written twice, and that of Adam is as exact as that of gradient descent.
"""

from __future__ import annotations

import copy
import warnings
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

from lastbit.errors import LastbitError, LastbitTypeError
from lastbit.optimizers.family import (
    Family,
    Group,
    Optimizer,
    family_of,
    innermost,
    names_with,
    undisturbed_class,
)

WEIGHT = "weight"  # beside the names that the state of a parameter has
Difference = tuple[dict[str, Tensor], ...]  # of each parameter: its weight's and its state's entries, in its shape
Gradients = Sequence[Tensor | None]  # of each parameter in its shape; None for one that is not stepped


@dataclass(frozen=True)
class Position:
    """Where an optimizer is before or after a step: copies of its weights and its state, in float64."""

    entries: Difference  # of each parameter in the order of the groups
    others: tuple[dict[str, Any], ...]  # of each parameter: what else its state holds, such as a number of steps
    groups: tuple[Group, ...]  # the options of each, with the number of its parameters under `params`

    @property
    def weights(self) -> list[Tensor]:
        """The weights, in the order of the groups."""
        return [entries[WEIGHT] for entries in self.entries]


def stepping_family(optimizer: object) -> tuple[Optimizer, Family]:
    """The optimizer itself and the family that defines its step.

    Raises:
        LastbitTypeError: no family defines the step of such an optimizer.
    """
    inner = innermost(optimizer)
    family = family_of(undisturbed_class(inner))
    if family is None or not family.has("step"):
        raise LastbitTypeError(
            f"the derivative of the step of {type(inner).__name__} is not known; allowed are {names_with('step')}"
        )
    return inner, family


def position_of(optimizer: Optimizer) -> Position:
    """Copy where an optimizer is.

    Raises:
        LastbitError: it has complex weights.
    """
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    if any(weight.is_complex() for weight in weights):
        raise LastbitError("the derivative of a step is taken of real weights, and some of these are complex")
    entries, others = [], []
    for weight in weights:
        state = optimizer.state.get(weight, {})
        like = {name: value for name, value in state.items() if _varies(value, weight)}
        entries.append({name: _wide(value) for name, value in {WEIGHT: weight, **like}.items()})
        others.append({name: copy.deepcopy(value) for name, value in state.items() if name not in like})
    groups = tuple({**group, "params": len(group["params"])} for group in optimizer.param_groups)
    return Position(tuple(entries), tuple(others), groups)


def difference(one: Position, other: Position) -> Difference:
    """What `one` has more than `other`, entry by entry; an entry that only one of them has counts from 0."""
    return added(one.entries, other.entries, factor=-1.0)


def added(one: Difference, other: Difference, *, factor: float = 1.0) -> Difference:
    """`one` + `factor` x `other`; an entry that only one of them has is 0 in the other."""
    pairs = zip(one, other, strict=True)
    return tuple(
        {
            name: left[name] + factor * right[name]
            if name in left and name in right
            else left[name].clone()
            if name in left
            else factor * right[name]
            for name in {**left, **right}
        }
        for left, right in pairs
    )


def stepped(optimizer: Optimizer, family: Family, position: Position, gradients: Gradients) -> Position:
    """Where one step without noise leads, in float64.

    Args:
        optimizer: of the kind that steps; it is not touched.
        family: defines its step.
        position: to step from.
        gradients: to step by.
    """
    with torch.no_grad():
        stand_in = _placed(optimizer, position, position.entries, gradients)
        for group in stand_in.param_groups:
            family.step(stand_in, group, 1)
        return position_of(stand_in)


def pushed(
    optimizer: Optimizer,
    family: Family,
    position: Position,
    gradients: Gradients,
    *,
    by: Difference,
    slopes: Gradients,
) -> Difference:
    """What becomes of a small difference in one step: the step's derivative at a position, times the difference.

    Where the step has no derivative because all gradients of a weight have been 0 (the root in Adam's step), that
    weight's difference stays as it is.

    Args:
        optimizer: of the kind that steps; it is not touched.
        family: defines its step.
        position: to step from.
        gradients: to step by.
        by: the difference before the step.
        slopes: the difference of the gradients that comes of it.
    """
    with torch.no_grad(), _dual_numbers():
        duals = tuple(
            {name: _dual(value, change.get(name)) for name, value in entries.items()}
            for entries, change in zip(position.entries, by, strict=True)
        )
        slopes_of = [None if g is None else _dual(g, slope) for g, slope in zip(gradients, slopes, strict=True)]
        stand_in = _placed(optimizer, position, duals, slopes_of)
        weights = [weight for group in stand_in.param_groups for weight in group["params"]]
        for group in stand_in.param_groups:
            family.step(stand_in, group, 1)
        return tuple(_changed(stand_in, *pair) for pair in zip(weights, by, strict=True))


def _changed(stand_in: Optimizer, weight: Tensor, by: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The changes of a weight and its state after a step in dual numbers."""
    state = {name: value for name, value in stand_in.state.get(weight, {}).items() if _varies(value, weight)}
    parts = {name: _parts(value) for name, value in {WEIGHT: weight, **state}.items()}
    changes = {name: change for name, (_, change) in parts.items()}
    value, change = parts[WEIGHT]
    kept = by.get(WEIGHT, torch.zeros_like(change))
    broken = ~change.isfinite() & value.isfinite() & kept.isfinite()
    return {**changes, WEIGHT: torch.where(broken, kept, change)}


@contextmanager
def _dual_numbers() -> Iterator[None]:
    """Forward mode; torch prepares for its first use with an interface that it deprecates itself."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        import torch._decomp.decompositions_for_jvp  # noqa: F401  # only here: it takes a second
    with forward_ad.dual_level():
        yield


def _placed(optimizer: Optimizer, position: Position, entries: Difference, gradients: Gradients) -> Optimizer:
    """A stand-in of the optimizer at a position, whose tensors nobody else holds."""
    stand_in = object.__new__(type(optimizer))
    vars(stand_in).update(vars(optimizer))
    weights = [held[WEIGHT].clone() for held in entries]
    stand_in.state = defaultdict(dict)
    for weight, gradient, held, others in zip(weights, gradients, entries, position.others, strict=True):
        weight.grad = None if gradient is None else gradient.clone()
        state = {name: value.clone() for name, value in held.items() if name != WEIGHT}
        if state or others:
            stand_in.state[weight] = {**state, **copy.deepcopy(others)}
    left = iter(weights)
    stand_in.param_groups = [
        {**group, "params": [next(left) for _ in range(group["params"])]} for group in position.groups
    ]
    return stand_in


def _varies(value: object, weight: Tensor) -> bool:
    """Whether an entry of a weight's state is a number for each of its numbers."""
    return isinstance(value, Tensor) and value.shape == weight.shape and value.is_floating_point()


def _wide(value: Tensor) -> Tensor:
    return value.detach().to(torch.float64, copy=True)


def _dual(value: Tensor, tangent: Tensor | None) -> Tensor:
    """A number with its change, neither of which is shared: steps work in place."""
    change = torch.zeros_like(value) if tangent is None else tangent.clone()
    dual: Tensor = forward_ad.make_dual(value.clone(), change)  # type: ignore[no-untyped-call]
    return dual


def _parts(dual: Tensor) -> tuple[Tensor, Tensor]:
    """The value of a dual number, and its change."""
    value, change = forward_ad.unpack_dual(dual)  # type: ignore[no-untyped-call]
    return value, torch.zeros_like(value) if change is None else change.clone()
