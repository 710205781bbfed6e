"""The network of L convolutions written in torch, and its derivatives by automatic differentiation.

An oracle for theorems 5.1 and 5.7: it shares no formula with `OneLayerCNN` and `MultiLayerCNN`, only the definition of
the network and its loss.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

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
    """Return a times the Hessian of the pooled response P in K_l, (W_l^2, W_l^2): that of a loss with a frozen.

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
