"""How well theory agrees with automatic differentiation (paper, theorems 5.1, 5.2, 5.7, appendices D.4 and F).

The network of L convolutions is implemented a second time, in torch. It shares the definition of the network and its
loss with `OneLayerCNN` and `MultiLayerCNN` but no formula, so its derivatives check theirs independently.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor
from torch.nn import functional

from lastbit.errors import LastbitError
from lastbit.pde.multilayer import MultiLayerCNN
from lastbit.pde.one_layer import OneLayerCNN

Array = NDArray[np.floating]


def as_layers(net: OneLayerCNN, kernel: Array) -> MultiLayerCNN:
    """Return the one-layer network at a kernel (W, W) as a network of one layer."""
    return MultiLayerCNN(net.image, [kernel], net.label, net.beta, net.pool, net.boundary, net.objective)


def automatic_gradients(net: MultiLayerCNN, weight_decay: float = 0.0) -> tuple[Array, ...]:
    """Return torch's ∂ℓ/∂K_1 ... ∂ℓ/∂K_L of the loss ℓ with weight decay, each (W_l, W_l)."""
    kernels = [torch.tensor(np.array(kernel), requires_grad=True) for kernel in net.kernels]
    decay = weight_decay / 2.0 * sum(kernel.square().sum() for kernel in kernels)
    loss = _data_loss(net, _pooled(net, kernels)) + decay
    return tuple(gradient.numpy() for gradient in torch.autograd.grad(loss, kernels))


def automatic_block(net: MultiLayerCNN, layer: int) -> Array:
    """Return a times the Hessian of the pooled response P in K_l, (W_l^2, W_l^2): the loss's Hessian with a frozen.

    Args:
        net: the network at its kernels.
        layer: l, from 1.
    """
    kernels = [torch.tensor(np.array(kernel)) for kernel in net.kernels]

    def pooled(kernel: Tensor) -> Tensor:
        """Return the pooled output P as a function of this layer's kernel."""
        return _pooled(net, [*kernels[: layer - 1], kernel, *kernels[layer:]])

    entries = kernels[layer - 1].numel()
    hessian: Tensor = torch.autograd.functional.hessian(pooled, kernels[layer - 1])  # type: ignore[no-untyped-call]
    return np.asarray(net.residual * hessian.reshape(entries, entries).numpy())


def _pooled(net: MultiLayerCNN, kernels: Sequence[Tensor]) -> Tensor:
    hidden = torch.tensor(np.array(net.image))[None, None]
    for kernel in kernels:
        z = functional.conv2d(_padded(hidden, len(kernel), net.boundary), kernel[None, None])
        hidden = z * torch.sigmoid(net.beta * z)
    return hidden.sum() if net.pool == "sum" else hidden.mean()


def _padded(hidden: Tensor, side: int, boundary: str) -> Tensor:
    if boundary == "valid":
        return hidden
    if boundary == "circular":
        return functional.pad(hidden, (0, side - 1) * 2, mode="circular")
    return functional.pad(hidden, ((side - 1) // 2, side // 2) * 2)


def _data_loss(net: MultiLayerCNN, pooled: Tensor) -> Tensor:
    label = torch.tensor(float(net.label), dtype=pooled.dtype)
    if net.objective == "squared":
        return (torch.sigmoid(pooled) - label).square()
    return functional.binary_cross_entropy_with_logits(pooled, label)


# Relative to the kernel. The error of a central difference is of the order of step^2 plus rounding / step.
_STEP = 1e-5


def autograd_error(net: OneLayerCNN, kernel: Array, weight_decay: float = 0.0) -> float:
    """Return the relative error of eq. 8 against autograd's gradient, at a kernel (W, W)."""
    (automatic,) = automatic_gradients(as_layers(net, kernel), weight_decay)
    return _relative(net.gradient(kernel, weight_decay), automatic)


def difference_error(net: OneLayerCNN, kernel: Array, weight_decay: float = 0.0) -> float:
    """Return the relative error of the gradient's length against a central difference of the loss along it."""
    gradient = net.gradient(kernel, weight_decay)
    length = float(np.linalg.norm(gradient))
    ahead = _STEP * float(np.linalg.norm(kernel)) * gradient / length
    high, low = (float(net.loss(kernel + sign * ahead, weight_decay)) for sign in (1.0, -1.0))
    return abs((high - low) / (2.0 * float(np.linalg.norm(ahead))) / length - 1.0)


def window_error(net: OneLayerCNN, kernel: Array) -> float:
    """Return the relative error of eq. 9 against eq. 8 cut to the window, for circular correlation.

    Eq. 8 is the gradient in a kernel as large as the image; here that kernel is the given one, padded by zeros.

    Raises:
        LastbitError: the correlation is not circular; the positions of the others depend on the kernel's size.
    """
    if net.boundary != "circular":
        raise LastbitError(f"the window is that of a circular correlation, not of a {net.boundary} one")
    size = len(net.image)
    unlimited = np.zeros((size, size), net.dtype)
    unlimited[: net.kernel, : net.kernel] = kernel
    gradient = replace(net, kernel=size).gradient(unlimited)
    return _relative(gradient[: net.kernel, : net.kernel], net.gradient(kernel))


def _relative(value: Array, reference: Array) -> float:
    return float(np.linalg.norm(value - reference) / np.linalg.norm(reference))


def block_error(net: MultiLayerCNN, layer: int) -> float:
    """Return the error of the one-layer operator's extreme eigenvalues against those of the layer's Hessian block.

    The block is a times the Hessian of P in K_l, by autograd. The one-layer operator is (a g beta / 2) times the Gram
    operator of the layer's input, with the mean signal g (theorem 5.7).

    Args:
        net: the network at its kernels.
        layer: l, from 1.

    Returns:
        The larger of the two errors, relative to the largest magnitude of an eigenvalue.
    """
    block = np.linalg.eigvalsh(automatic_block(net, layer))
    bounds = net.bounds(layer, lr=1.0, signal=net.mean_signal(layer, None))
    ends = np.array([bounds.lower_critical.value, bounds.upper_critical.value])
    return float(np.abs(block[[0, -1]] - ends).max() / np.abs(block).max())


def signal_change(net: MultiLayerCNN, layer: int, kernel: ArrayLike) -> float:
    """Return the change of the signal g_l when K_l alone is replaced, relative to the signal with r' = 1 everywhere.

    Args:
        net: the network at its kernels.
        layer: l, from 1.
        kernel: the replacement of K_l, (W_l, W_l).
    """
    kernels = [*net.kernels[: layer - 1], np.asarray(kernel), *net.kernels[layer:]]
    before, after = (state.signals()[layer - 1] for state in (net, replace(net, kernels=kernels)))
    return float(np.linalg.norm(after - before) / np.linalg.norm(net.signals("activated")[layer - 1]))


def layer_gradient_errors(net: MultiLayerCNN, weight_decay: float = 0.0) -> tuple[float, ...]:
    """Return the relative errors of eq. 23 against autograd's gradients in K_1 ... K_L."""
    pairs = zip(net.gradients(weight_decay), automatic_gradients(net, weight_decay), strict=True)
    return tuple(float(np.linalg.norm(theorem - automatic) / np.linalg.norm(automatic)) for theorem, automatic in pairs)


@dataclass(frozen=True, eq=False)
class LinearisationErrors:
    """|gradient - linear gradient| at kernels factor x direction, without weight decay, which is linear anyway."""

    size: Array  # (n,): the largest |beta z| over the output positions
    constant_residual: Array  # (n,): eq. 10 against the gradient with its residual a held at a(0) too
    moving_residual: Array  # (n,): eq. 10 against the gradient itself, whose a moves with K
    tangent: Array  # (n,): appendix D.4, in which a is linear in K, against the gradient itself


def linearisation_errors(net: OneLayerCNN, direction: ArrayLike, factors: ArrayLike) -> LinearisationErrors:
    """Compare gradient and linearisations at the kernels factor x direction.

    Args:
        net: the network.
        direction: (W, W).
        factors: (n,), multiples of the direction; errors below the rounding of float64 carry no information.
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
