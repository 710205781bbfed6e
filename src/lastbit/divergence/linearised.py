"""Linearised training: the difference of twins as the derivative of each step carries it on.

Training maps weights w and optimizer state s to the next ones, U_t(w, s). Two runs that differ by a small δ = (dw, ds)
differ by J_t δ after a step, J_t the derivative of U_t: I - lr H_t for gradient descent, with H_t the Hessian of the
loss on the step's batch. Rounding adds ν_t. So

    δ̂_(t+1) = J_t δ̂_t + ν_t.

H_t enters by its products with vectors, in float64, and the optimizer's own recursion (momentum, moments, weight decay)
by the derivative of its step (`lastbit.optimizers.tangent`). ν_t is measured: each twin's real update minus the exact
one from where it was, with the gradient and the step in float64; then the second twin's less the first's. The exact
gradient keeps every activation on the side of its kink on which the real pass had it. So flips are no rounding, and
all that the recursion leaves out is what is not linear in δ: flips, and the curvature's own change.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from lastbit.divergence.derivatives import Derivatives
from lastbit.divergence.distances import norm, ratio
from lastbit.divergence.linear_growth import LinearGrowth
from lastbit.divergence.twins import inside
from lastbit.divergence.watched_step import WatchedStep, names_of
from lastbit.errors import LastbitError
from lastbit.optimizers.family import Group
from lastbit.optimizers.tangent import (
    WEIGHT,
    Difference,
    Position,
    added,
    difference,
    pushed,
    stepped,
    stepping_family,
)
from lastbit.samples import Loss

_OFF = 0.1  # relative difference of gradients that no rounding makes
_SHORT = 1e-5  # step of a central difference, relative: its error is about 1e-10
_COLUMNS = ("measured", "predicted", "amplified", "noise", "of_updates")
_ROUNDINGS = 100  # of the first gradient's norm, which later gradients may be off by
Prepare = Callable[[list[Tensor]], object]  # what a training does to the `.grad` of its weights before a step


class Linearised:
    """Predicts the distance of twins by linearised training, step by step, beside the real one.

        twins = lb.divergence.Twins(model, other)
        linear = lb.divergence.Linearised(model, other, loss, optimizer, other_optimizer)
        for inputs, targets in batches:
            with twins.step(), linear.step(inputs, targets):
                train(model, inputs, targets)
                train(other, inputs, targets)
        linear.growth().parting()

    Steps of small convolutions take about twenty times as long. The training is not changed: the derivatives are those
    of a copy in float64.

    Args:
        model: the derivatives are taken at its weights.
        other: of the same architecture.
        loss: `loss(model(inputs), targets)`, of which each step descends the gradient.
        optimizer: of the model's weights, of a kind that takes the noise `Scale`.
        other_optimizer: of the other's, in the same order.
        prepare: what the training does to the gradients before a step, as
            `lambda weights: torch.nn.utils.clip_grad_norm_(weights, 1.0)`.

    Raises:
        LastbitTypeError: the step of the optimizer has no known derivative.
        LastbitError: an optimizer steps weights that its network does not hold, or the two differ in them.
    """

    def __init__(
        self,
        model: nn.Module,
        other: nn.Module,
        loss: Loss,
        optimizer: object,
        other_optimizer: object,
        *,
        prepare: Prepare | None = None,
    ) -> None:
        self._prepare = prepare
        pairs = [stepping_family(each) for each in (optimizer, other_optimizer)]
        self._optimizers = [inner for inner, _ in pairs]
        self._family = pairs[0][1]
        networks = (inside(model), inside(other))
        self.names, others = (names_of(*pair) for pair in zip(networks, self._optimizers, strict=True))
        if self.names != others:
            raise LastbitError("the optimizers of the twins step different weights, or the same in another order")
        self._networks = networks
        self._derivatives = [Derivatives(network, loss, self.names) for network in self._networks]
        self._predicted: Difference | None = None
        self._amplified: Difference | None = None
        self._first_norm = 0.0
        self._rows: list[dict[str, Any]] = []

    @contextmanager
    def step(self, inputs: Any, targets: Any) -> Iterator[None]:
        """Watch one step of both twins in the block, then predict what it has made of their difference.

        Args:
            inputs: of the step's batch.
            targets: of the same.

        Raises:
            LastbitError: not each of the two took one step, the gradient stepped is not that of the loss on this batch,
                or the loss has no second derivatives.
        """
        seen = [WatchedStep(*pair) for pair in zip(self._networks, self._optimizers, strict=True)]
        with ExitStack() as stack:
            for each in seen:
                stack.enter_context(each.watched())
            yield
        self._follow(seen[0], seen[1], inputs, targets)

    def growth(self) -> LinearGrowth:
        """The distances of all steps so far."""
        rows = self._rows
        columns = {key: tuple(row[key] for row in rows) for key in _COLUMNS}
        return LinearGrowth(
            steps=tuple(range(1, len(rows) + 1)),
            gaps=tuple(row["gap"] for row in rows),
            gap_norms={name: tuple(row["norms"][place] for row in rows) for place, name in enumerate(self.names)},
            **columns,
        )

    def _follow(self, one: WatchedStep, other: WatchedStep, inputs: Any, targets: Any) -> None:
        predicted = difference(other.before, one.before) if self._predicted is None else self._predicted
        amplified = predicted if self._amplified is None else self._amplified
        vectors = [_of_weights(each) for each in (predicted, amplified)]
        at, at_other = (
            derivatives.at(step.before.weights, inputs, targets, sides=step.sides, vectors=wanted)
            for derivatives, step, wanted in zip(self._derivatives, (one, other), (vectors, ()), strict=True)
        )
        exact = [self._prepared(gradients) for gradients, _ in (at, at_other)]
        for step, gradients in zip((one, other), exact, strict=True):
            self._check(gradients, step)
        options = one.before.groups
        noise, of_updates = (
            added(self._rounding(other, options, gradients[1]), self._rounding(one, options, gradients[0]), factor=-1.0)
            for gradients in (exact, (one.gradients, other.gradients))
        )
        carried = [
            pushed(self._optimizers[0], self._family, one.before, exact[0], by=by, slopes=self._turned(at[0], slopes))
            for by, slopes in zip((predicted, amplified), at[1], strict=True)
        ]
        self._predicted = added(carried[0], noise)
        begun = any(bool(part.any()) for part in _of_weights(amplified))  # rounding may leave the first steps alike
        self._amplified = carried[1] if begun else self._predicted
        parts = {"predicted": self._predicted, "amplified": self._amplified, "noise": noise, "of_updates": of_updates}
        self._record(difference(other.after, one.after), parts, one.after)

    def _prepared(self, gradients: Sequence[Tensor | None]) -> list[Tensor | None]:
        """Gradients as the training's own preparation leaves them."""
        if self._prepare is None:
            return list(gradients)
        stand_ins = [None if slope is None else torch.zeros_like(slope) for slope in gradients]
        for stand_in, slope in zip(stand_ins, gradients, strict=True):
            if stand_in is not None and slope is not None:
                stand_in.grad = slope.clone()  # changed in place
        self._prepare([stand_in for stand_in in stand_ins if stand_in is not None])
        return [None if stand_in is None else stand_in.grad for stand_in in stand_ins]

    def _turned(self, gradients: Sequence[Tensor | None], slopes: Sequence[Tensor | None]) -> list[Tensor | None]:
        """The derivative of the training's own preparation along a change of the gradients, by central differences."""
        size, length = (_length([part for part in parts if part is not None]) for parts in (gradients, slopes))
        if self._prepare is None or not (0 < size < math.inf and 0 < length < math.inf):
            return list(slopes)
        by = _SHORT * size / length
        ahead, behind = (
            self._prepared(
                [None if g is None or s is None else g + sign * by * s for g, s in zip(gradients, slopes, strict=True)]
            )
            for sign in (1, -1)
        )
        ends = zip(ahead, behind, strict=True)
        return [None if one is None or other is None else (one - other) / (2 * by) for one, other in ends]

    def _check(self, gradients: Sequence[Tensor | None], step: WatchedStep) -> None:
        """Refuse a step along another gradient than that of the loss on the batch."""
        pairs = zip(gradients, step.gradients, step.before.weights, strict=True)
        both = [[torch.zeros_like(weight) if slope is None else slope for slope in two] for *two, weight in pairs]
        length, off = _length([want for want, _ in both]), _length([want - own for want, own in both])
        self._first_norm = self._first_norm or length
        if off > _OFF * length + _ROUNDINGS * step.epsilon * self._first_norm:
            raise LastbitError(
                f"at step {len(self._rows) + 1} the gradient that is stepped is not that of the loss on this batch: "
                f"they differ by {off / length if length else math.inf:.2g} of its norm. Give the batch of the step; "
                "what clips or scales gradients goes into `prepare`; accumulated gradients are not supported"
            )

    def _rounding(self, step: WatchedStep, options: Sequence[Group], gradients: Sequence[Tensor | None]) -> Difference:
        """What a real update has more than an exact one by some gradients, with the options of the first twin."""
        at = replace(step.before, groups=tuple(options))
        return difference(step.after, stepped(self._optimizers[0], self._family, at, gradients))

    def _record(self, measured: Difference, parts: Mapping[str, Difference], after: Position) -> None:
        size, total = _length(after.weights), _length(_of_weights(measured))
        gaps = [norm(part) for part in _of_weights(added(measured, parts["predicted"], factor=-1.0))]
        relative = {name: ratio(_length(_of_weights(part)), size) for name, part in parts.items()}
        row = {"measured": ratio(total, size), **relative, "gap": ratio(math.hypot(*gaps), total), "norms": gaps}
        self._rows.append(row)


def _of_weights(change: Difference) -> list[Tensor]:
    return [part[WEIGHT] for part in change]


def _length(tensors: Sequence[Tensor]) -> float:
    return math.hypot(*map(norm, tensors))
