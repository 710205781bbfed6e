"""The direction of two sets of weights: cosine similarity, and the angle that still sees the last bit."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from lastbit.divergence.comparable import check_comparable
from lastbit.divergence.norm import norm, total


@dataclass(frozen=True)
class Cosine:
    """How far two sets of weights point the same way."""

    value: float  # cosine similarity, in [-1, 1]; NaN where a weight is not finite or all are zero
    angle: float  # radians, in [0, π]


def cosine(weights: Mapping[str, Tensor], others: Mapping[str, Tensor]) -> Cosine:
    """Cosine similarity of two networks' weights, all tensors as one vector, and the angle between them.

    The angle is 2 atan2(‖u − v‖, ‖u + v‖) of the unit vectors u and v (Kahan 2006, *How Futile are Mindless
    Assessments of Roundoff*, section 12): it is accurate for small angles, where the arc cosine of a similarity, which
    differs from 1 by half the angle's square, shows nothing below 1e-8.

    Args:
        weights: name -> tensor of any shape.
        others: the same names and shapes.

    Raises:
        LastbitError: the two differ in their names or shapes, or hold no weight at all.
    """
    check_comparable(weights, others)
    one, other = (total(norm(tensor) for tensor in network.values()) for network in (weights, others))
    if not (one > 0 and other > 0 and math.isfinite(one) and math.isfinite(other)):
        return Cosine(math.nan, math.nan)
    apart, along = (
        total(
            norm(tensor.detach().double() / one + sign * others[name].double() / other)
            for name, tensor in weights.items()
        )
        for sign in (-1, 1)
    )
    angle = 2 * math.atan2(apart, along)
    return Cosine(math.cos(angle), angle)
