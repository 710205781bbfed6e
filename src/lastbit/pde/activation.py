"""The Swish activation, its first two derivatives (paper, appendix D.2, eq. 44-46) and its three regimes.

An output position is *transitioning* while |beta z| <= 1, *activated* above and *not activated* below: the tangent
of r' at 0, 1/2 + beta z / 2, reaches r' = 1 at beta z = 1 and r' = 0 at beta z = -1. The three linear PDEs assume a
piecewise linear r' with these two kinks (paper, section 5.4 and table 3).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lastbit.pde.correlation import Correlation

Array = NDArray[np.floating]


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


ACTIVATIONS = ("activated", "transitioning", "not activated")


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
