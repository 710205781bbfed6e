"""What follows a convolution: the Swish activation, pooling, the sigmoid and the loss (paper, eq. 7, 39-41 and 44-46).

An output position is *transitioning* while |beta z| <= 1, *activated* above and *not activated* below: the tangent
of r' at 0, 1/2 + beta z / 2, reaches r' = 1 at beta z = 1 and r' = 0 at beta z = -1. The three linear PDEs assume a
piecewise linear r' with these two kinks (paper, section 5.4 and table 3).

The network's output is f = sigmoid(P), with P the pooled response. The first derivative of the loss in P is the
paper's residual ``a``. The theorems depend on the loss only through ``a``, so they hold for either loss.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import isfinite

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit

from lastbit.errors import LastbitError
from lastbit.pde.correlation import BOUNDARIES, Correlation
from lastbit.pde.images import checked_image

Array = NDArray[np.floating]

ACTIVATIONS = ("activated", "transitioning", "not activated")


def sigmoid(x: Array) -> Array:
    """Return the logistic function 1 / (1 + exp(-x)), elementwise.

    Written with tanh, which numpy vectorises (4x faster than `scipy.special.expit`) and which cannot
    overflow. The absolute error stays at one unit roundoff; the relative error of the far left tail does not.
    """
    s: Array = np.tanh(0.5 * x)
    s *= 0.5
    s += 0.5
    return s


def swish(z: Array, beta: float) -> Array:
    """Return r(z) = z sigmoid(beta z)."""
    return z * sigmoid(beta * z)


def swish_and_slope(z: Array, beta: float, scratch: Array | None = None) -> tuple[Array, Array]:
    """Return r(z) = z s and r'(z) = s (1 + h (1 - t)), with h = beta z / 2, t = tanh h and s = sigmoid(beta z).

    Args:
        z: where, of any shape.
        beta: Swish's steepness.
        scratch: memory of shape (3, *z.shape) to compute in; the results are views of it. With fresh arrays the data
            would leave the first-level cache, and memory traffic would cost more than the tanh.
    """
    h, s, slope = np.empty((3, *z.shape), z.dtype) if scratch is None else scratch
    np.multiply(z, 0.5 * beta, out=h)
    np.tanh(h, out=s)
    np.subtract(1.0, s, out=slope)
    slope *= h
    slope += 1.0
    s *= 0.5
    s += 0.5  # sigmoid(beta z) = (1 + t) / 2
    slope *= s
    s *= z
    return s, slope


def swish_curvature(z: Array, beta: float) -> Array:
    """Return r''(z) = beta s (1 - s) (2 + beta z (1 - 2 s)), with s = sigmoid(beta z); r''(0) = beta / 2."""
    s = sigmoid(beta * z)
    return beta * s * (1.0 - s) * (2.0 + beta * z * (1.0 - 2.0 * s))


def regime_shares(response: Array, beta: float, correlation: Correlation) -> Array:
    """Return the shares of output positions in each of `ACTIVATIONS`, shape (..., 3), which sum to 1.

    Args:
        response: z at the distinct output positions, (..., U).
        beta: Swish's steepness.
        correlation: that computed the responses; it knows the multiplicity of each.
    """
    scaled = beta * response
    activated, not_activated = correlation.total(scaled > 1.0), correlation.total(scaled < -1.0)
    transitioning = correlation.positions - activated - not_activated
    return np.stack([activated, transitioning, not_activated], axis=-1) / correlation.positions


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

POOLS = ("sum", "mean")


class PooledHead:
    """The fields that every network of the paper has, and what follows from them alone.

    Subclasses are dataclasses that declare the fields in their own order.
    """

    image: Array  # (N, N), read-only
    label: int
    beta: float
    pool: str
    boundary: str
    objective: str

    def _check_head(self, **choices: tuple[str, ...]) -> None:
        """Check the fields, and replace the image by a read-only copy.

        Args:
            **choices: the values allowed of further fields, by name.

        Raises:
            LastbitError: a field has a value that is not allowed.
        """
        object.__setattr__(self, "image", checked_image(self.image))
        if self.label not in (0, 1):
            raise LastbitError(f"the label must be 0 or 1, not {self.label}")
        if not (isfinite(self.beta) and self.beta >= 0.0):
            raise LastbitError(f"beta must be finite and at least 0, not {self.beta}")
        choices = {"pool": POOLS, "boundary": BOUNDARIES, "objective": tuple(LOSSES), **choices}
        for name, allowed in choices.items():
            if (value := getattr(self, name)) not in allowed:
                raise LastbitError(f"{name} must be one of {', '.join(allowed)}, not {value!r}")

    @property
    def dtype(self) -> np.dtype[np.floating]:
        """The precision everything is computed in, the image's."""
        return self.image.dtype

    def pool_weight(self, positions: int) -> float:
        """Return dP/dh at each of M output positions: 1 for a sum, 1 / M for a mean."""
        return 1.0 if self.pool == "sum" else 1.0 / positions

    def data_loss(self, pooled: ArrayLike) -> Array:
        """Return the loss at pooled responses P, without weight decay."""
        return LOSSES[self.objective].value(np.asarray(pooled), self.label)

    def loss_slope(self, pooled: ArrayLike) -> Array:
        """Return a = dl/dP at pooled responses P: f - y for cross-entropy, 2 (f - y) f (1 - f) for squared error."""
        return LOSSES[self.objective].slope(np.asarray(pooled), self.label)

    def loss_curvature(self, pooled: ArrayLike) -> Array:
        """Return d2l/dP2 at pooled responses P."""
        return LOSSES[self.objective].curvature(np.asarray(pooled), self.label)

    def slope_tangent(self, pooled: float) -> tuple[float, float, float]:
        """Return the tangent to a(P) at a pooled response, and the constant of the loss that it integrates to.

        Returns:
            The tangent's value at P = 0, its slope, and the value at P = 0 of the quadratic model of the loss.
        """
        point = np.asarray(pooled, np.float64)
        a, slope = float(self.loss_slope(point)), float(self.loss_curvature(point))
        offset = float(self.data_loss(point)) - a * pooled + 0.5 * slope * pooled**2
        return a - slope * pooled, slope, offset
