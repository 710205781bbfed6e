"""How well the theorem's gradient of the one-layer network agrees with other ways to it (paper, theorem 5.1)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from lastbit.errors import LastbitError
from lastbit.pde.automatic import as_layers, automatic_gradients
from lastbit.pde.one_layer import OneLayerCNN

Array = NDArray[np.floating]

# As a share of the kernel: a central difference errs by the square of its step and by rounding over it.
_STEP = 1e-5


def autograd_error(net: OneLayerCNN, kernel: Array, weight_decay: float = 0.0) -> float:
    """Return |eq. 8 - autograd's gradient| over the latter's length, at a kernel (W, W)."""
    (automatic,) = automatic_gradients(as_layers(net, kernel), weight_decay)
    return _relative(net.gradient(kernel, weight_decay), automatic)


def difference_error(net: OneLayerCNN, kernel: Array, weight_decay: float = 0.0) -> float:
    """Return how far the loss's slope along the gradient, by a central difference, is from the gradient's length.

    In relative terms. It uses nothing but values of the loss.
    """
    gradient = net.gradient(kernel, weight_decay)
    length = float(np.linalg.norm(gradient))
    ahead = _STEP * float(np.linalg.norm(kernel)) * gradient / length
    high, low = (float(net.loss(kernel + sign * ahead, weight_decay)) for sign in (1.0, -1.0))
    return abs((high - low) / (2.0 * float(np.linalg.norm(ahead))) / length - 1.0)


def window_error(net: OneLayerCNN, kernel: Array) -> float:
    """Return |eq. 9 - eq. 8 cut to the window| over the former's length, for circular correlation.

    Eq. 8 is the gradient of a kernel as large as the image, here the same one with zeros around it.

    Raises:
        LastbitError: the correlation is not circular: others change their positions with the kernel's size.
    """
    if net.boundary != "circular":
        raise LastbitError(f"the window is that of a circular correlation, not of a {net.boundary} one")
    size = len(net.image)
    unlimited = np.zeros((size, size), net.dtype)
    unlimited[: net.kernel, : net.kernel] = kernel
    whole = replace(net, kernel=size).gradient(unlimited)
    return _relative(whole[: net.kernel, : net.kernel], net.gradient(kernel))


def _relative(value: Array, reference: Array) -> float:
    return float(np.linalg.norm(value - reference) / np.linalg.norm(reference))
