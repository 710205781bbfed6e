"""Gradients and Hessian products of single batches, as the optimizer that steps along them sees them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor, nn

from lastbit.curvature.coordinates import Coordinates
from lastbit.curvature.loss.batches import Batches, Piece
from lastbit.curvature.loss.parameters import flatten
from lastbit.curvature.loss.point import LossPoint
from lastbit.curvature.operator import HessianOperator
from lastbit.curvature.stochastic.estimates import BatchMean, BatchSums, mean_of
from lastbit.curvature.subspace import Counted, Subspace
from lastbit.samples import Loss

_STEPS, _NEAR = 20, 0.02  # most products of a search for a largest eigenvalue, and its residual relative to the value


@dataclass(frozen=True, eq=False)
class SteppedLoss:
    """The loss of any batch at a model's present weights, with the optimizer's weight decay and preconditioner."""

    model: nn.Module
    loss: Loss
    parameters: Mapping[str, nn.Parameter]
    weight_decay: Mapping[nn.Parameter, float]
    preconditioner: Mapping[nn.Parameter, Tensor] | None

    def gradient(self, piece: Piece) -> Tensor:
        """The gradient of a batch, flat."""
        point = self._point(piece)
        coordinates = Coordinates.at(point, self.weight_decay, self.preconditioner)
        return coordinates.gradient(point.gradient(), flatten(point.weights, point.dtype))

    def value(self, piece: Piece) -> float:
        """The loss of a batch, without weight decay."""
        point = self._point(piece)
        return float(point.mean(lambda own: point.piece_loss(own).detach()))

    def hessian(self, piece: Piece) -> Counted:
        """The Hessian of a batch, by its products."""
        point, decay = self._point(piece), self.weight_decay
        return Counted(HessianOperator.at(point, weight_decay=decay, preconditioner=self.preconditioner))

    def _point(self, piece: Piece) -> LossPoint:
        return LossPoint(self.model, self.loss, self.parameters, Batches((piece.inputs, piece.targets)))


@dataclass(frozen=True, eq=False)
class BatchCurvature:
    """What batches give at one place."""

    sums: BatchSums
    largest: BatchMean  # mean of their Hessians' largest eigenvalues, over the first few of them
    matvecs: int


def batch_curvature(loss: SteppedLoss, pieces: Sequence[Piece], largest: int) -> BatchCurvature:
    """Take two products of each batch: along its own gradient, and along that of the batch it is paired with.

    Args:
        loss: at the weights to be measured.
        pieces: the batches.
        largest: of how many the largest eigenvalue is looked for.
    """
    total = sum((loss.gradient(piece) for piece in pieces[1:]), start=loss.gradient(pieces[0]))
    rows: list[tuple[float, float, float, float]] = []
    tops: list[float] = []
    matvecs = 0
    for first in range(0, len(pieces), 2):
        pair = pieces[first : first + 2]
        gradients = [loss.gradient(piece) for piece in pair]
        for place, (piece, gradient) in enumerate(zip(pair, gradients, strict=True)):
            hessian = loss.hessian(piece)
            other = gradients[1 - place] if len(pair) == 2 else None
            crossed = float("nan") if other is None else _along(hessian, other)
            own = _along(hessian, gradient)
            rows.append((own, float(gradient.dot(gradient)), crossed, float(gradient.dot(total))))
            if first + place < largest:
                tops.append(_largest(hessian, gradient))
            matvecs += hessian.products
    curved, squared, seen_by_other, along = np.array(rows).T
    sums = BatchSums(curved, squared, _swapped(seen_by_other), along)
    return BatchCurvature(sums, mean_of(np.array(tops)), matvecs)


def _swapped(values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """The two values of each pair in place of each other: each at the batch whose gradient it belongs to."""
    swapped = values.copy()
    even = len(values) // 2 * 2
    swapped[:even] = values[:even].reshape(-1, 2)[:, ::-1].reshape(-1)
    return swapped


def _along(hessian: Counted, direction: Tensor) -> float:
    return float(direction.dot(hessian @ direction))


def _largest(hessian: Counted, gradient: Tensor) -> float:
    """The largest eigenvalue by Lanczos from the gradient: a Rayleigh quotient, so a lower bound."""
    space, direction = Subspace(hessian), gradient
    while len(space) < _STEPS and space.add(direction) and space.finite:
        top = space.ritz(1)
        if float(top.residual_norms()[0]) <= _NEAR * abs(float(top.values[0])):
            break
        direction = space.last_product()
    return float(space.ritz(1).values[0]) if len(space) else 0.0
