"""How far the one-layer network's gradient is from its linearisations around K = 0 (paper, theorem 5.2 and D.4)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lastbit.pde.one_layer import OneLayerCNN

Array = NDArray[np.floating]


@dataclass(frozen=True, eq=False)
class LinearisationErrors:
    """|gradient - linear gradient| at kernels size x direction, without weight decay, which is linear anyway."""

    size: Array  # (n,): the largest |beta z| over the output positions
    constant_residual: Array  # (n,): eq. 10 against the gradient with its residual a held at a(0) too
    moving_residual: Array  # (n,): eq. 10 against the gradient itself, whose a moves with K
    tangent: Array  # (n,): appendix D.4, in which a is linear in K, against the gradient itself


def linearisation_errors(net: OneLayerCNN, direction: ArrayLike, factors: ArrayLike) -> LinearisationErrors:
    """Compare gradient and linearisations at the kernels factor x direction.

    Args:
        net: the network.
        direction: (W, W).
        factors: (n,), what to multiply the direction by; errors below float64's rounding say nothing.
    """
    kernels = np.multiply.outer(np.asarray(factors, net.dtype), np.asarray(direction, net.dtype))
    gradient = net.gradient(kernels)
    frozen = gradient * (float(net.residual()) / net.residual(net.pooled(kernels)))[:, None, None]
    linear = net.transitioning().loss_and_gradient(kernels)[1]
    tangent = net.transitioning_moving_residual().loss_and_gradient(kernels)[1]
    size = np.abs(net.beta * net.response(kernels)).max(axis=-1)
    return LinearisationErrors(
        size, _distance(frozen, linear), _distance(gradient, linear), _distance(gradient, tangent)
    )


def _distance(a: Array, b: Array) -> Array:
    return np.asarray(np.linalg.norm(a - b, axis=(-2, -1)))
