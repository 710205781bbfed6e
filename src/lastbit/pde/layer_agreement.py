"""How well one layer of a deep network is described as a one-layer network (paper, section 5.5 and appendix F)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from lastbit.pde.automatic import automatic_block, automatic_gradients
from lastbit.pde.multilayer import MultiLayerCNN


def block_error(net: MultiLayerCNN, layer: int) -> float:
    """Return how far the one-layer operator's extreme eigenvalues are from the layer's own.

    The layer's own are those of a times the Hessian of P in K_l, by autograd; the one-layer operator is
    (a g beta / 2) times the Gram operator of the layer's input, with the mean signal g (theorem 5.7).

    Args:
        net: the network at its kernels.
        layer: l, from 1.

    Returns:
        The larger of the two differences, over the largest eigenvalue's magnitude.
    """
    block = np.linalg.eigvalsh(automatic_block(net, layer))
    bounds = net.bounds(layer, lr=1.0, signal=net.mean_signal(layer, None))
    ends = np.array([bounds.lower_critical.value, bounds.upper_critical.value])
    return float(np.abs(block[[0, -1]] - ends).max() / np.abs(block).max())


def signal_change(net: MultiLayerCNN, layer: int, kernel: ArrayLike) -> float:
    """Return how much the signal g_l changes when K_l alone is replaced, over its size where all of r' is 1.

    Args:
        net: the network at its kernels.
        layer: l, from 1.
        kernel: what to replace K_l by, (W_l, W_l).
    """
    kernels = [*net.kernels[: layer - 1], np.asarray(kernel), *net.kernels[layer:]]
    before, after = (each.signals()[layer - 1] for each in (net, replace(net, kernels=kernels)))
    return float(np.linalg.norm(after - before) / np.linalg.norm(net.signals("activated")[layer - 1]))


def gradient_errors(net: MultiLayerCNN, weight_decay: float = 0.0) -> tuple[float, ...]:
    """Return |eq. 23 - autograd's gradient| over the latter's length, for K_1 ... K_L."""
    pairs = zip(net.gradients(weight_decay), automatic_gradients(net, weight_decay), strict=True)
    return tuple(float(np.linalg.norm(theorem - automatic) / np.linalg.norm(automatic)) for theorem, automatic in pairs)
