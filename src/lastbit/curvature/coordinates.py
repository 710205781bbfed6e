"""A loss as an optimizer sees it: with weight decay added, and divided by the root of a preconditioner."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor, nn

from lastbit.curvature.loss.parameters import flatten
from lastbit.curvature.loss.point import LossPoint
from lastbit.errors import LastbitError


@dataclass(frozen=True, eq=False)
class Coordinates:
    """Products and gradients of a loss with weight decay W, in u = P^(1/2) w for a diagonal preconditioner P.

    There a curvature C becomes P^(-1/2) (C + W) P^(-1/2), which has the eigenvalues of P^(-1) (C + W), and a gradient g
    becomes P^(-1/2) (g + W w).
    """

    decay: float | Tensor  # the diagonal of W: one number, or flat where it differs by parameter
    half: Tensor | None  # P^(-1/2), flat; None where there is no preconditioner

    @classmethod
    def at(
        cls,
        point: LossPoint,
        weight_decay: float | Mapping[nn.Parameter, float] = 0.0,
        preconditioner: Mapping[nn.Parameter, Tensor] | None = None,
    ) -> Self:
        """Of the chosen parameters at a point.

        Raises:
            LastbitError: the decay is not finite, or the preconditioner lacks a parameter or is not positive.
        """
        half = None if preconditioner is None else _inverse_root(preconditioner, point)
        return cls(_decay(weight_decay, point), half)

    def products(self, rows: Tensor, curved: Callable[[Tensor], Tensor]) -> Tensor:
        """Products with the rows of a matrix (count, size), or with one vector, from those of C itself."""
        scaled = rows if self.half is None else rows * self.half
        product = curved(scaled) + self.decay * scaled
        return product if self.half is None else product * self.half

    def gradient(self, slope: Tensor, weights: Tensor) -> Tensor:
        """The gradient from that of the loss itself, both flat, at flat weights."""
        decayed = slope + self.decay * weights
        return decayed if self.half is None else decayed * self.half


def _decay(weight_decay: float | Mapping[nn.Parameter, float], point: LossPoint) -> float | Tensor:
    """The weight decay's diagonal: one number, or a flat vector where it differs by parameter."""
    if not isinstance(weight_decay, Mapping):
        if not math.isfinite(weight_decay):
            raise LastbitError(f"weight_decay={weight_decay} is not allowed; give a finite number")
        return weight_decay
    pairs = zip(point.parameters.values(), point.weights, strict=True)
    parts = [torch.full_like(weight, weight_decay.get(parameter, 0.0)) for parameter, weight in pairs]
    return flatten(parts, point.dtype)


def _inverse_root(preconditioner: Mapping[nn.Parameter, Tensor], point: LossPoint) -> Tensor:
    """P^(-1/2), flat."""
    for name, parameter in point.parameters.items():
        if parameter not in preconditioner:
            raise LastbitError(f"the preconditioner lacks parameter {name}; give one entry for every chosen parameter")
        if not bool(((preconditioner[parameter] > 0) & preconditioner[parameter].isfinite()).all()):
            raise LastbitError(f"the preconditioner of {name} has entries that are not positive and finite")
    diagonal = flatten([preconditioner[parameter] for parameter in point.parameters.values()], point.dtype)
    return diagonal.rsqrt().to(point.weights[0].device)
