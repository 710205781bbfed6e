"""The loss as a function of the pooled response P, and its first two derivatives (paper, eq. 7 and 39-41).

The network's output is f = sigmoid(P). The first derivative in P is the paper's residual ``a``; the losses
differ in nothing else, so every theorem holds for each of them with its own ``a``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

Array = NDArray[np.floating]


@dataclass(frozen=True)
class PooledLoss:
    """A loss of the pooled response P and the label y: its value, slope a = d/dP and curvature d2/dP2."""

    value: Callable[[Array, int], Array]
    slope: Callable[[Array, int], Array]
    curvature: Callable[[Array, int], Array]


def _squared_slope(pooled: Array, label: int) -> Array:
    f = expit(pooled)
    return np.asarray(2.0 * (f - label) * f * (1.0 - f))


def _squared_curvature(pooled: Array, label: int) -> Array:
    f = expit(pooled)
    variance = f * (1.0 - f)
    return np.asarray(2.0 * variance * (variance + (f - label) * (1.0 - 2.0 * f)))


def _cross_entropy_curvature(pooled: Array, label: int) -> Array:
    f = expit(pooled)
    return np.asarray(f * (1.0 - f))


LOSSES: dict[str, PooledLoss] = {
    # log(1 + exp(-P)) for label 1, log(1 + exp P) for label 0: finite and accurate however large |P| is.
    "cross-entropy": PooledLoss(
        value=lambda pooled, label: np.logaddexp(0.0, (1 - 2 * label) * pooled),
        slope=lambda pooled, label: expit(pooled) - label,
        curvature=_cross_entropy_curvature,
    ),
    "squared": PooledLoss(
        value=lambda pooled, label: (expit(pooled) - label) ** 2,
        slope=_squared_slope,
        curvature=_squared_curvature,
    ),
}
