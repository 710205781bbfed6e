"""The paper's convolutional networks of one channel and no biases."""

import functools
from collections.abc import Callable
from itertools import product

import torch
from torch import Tensor, nn


class _Convolution(nn.Conv2d):
    """A 3x3 convolution of one channel, as nine multiples of shifted images.

    With one channel there is nothing to gather for a matrix product: this takes about a third of the time of torch's
    own, forwards and backwards (one thread, 2,128 images of 28 x 28).
    """

    def __init__(self) -> None:
        super().__init__(1, 1, 3, bias=False)

    def forward(self, images: Tensor) -> Tensor:
        """Return the valid 3 x 3 correlation of images (batch, 1, H, W): (batch, 1, H − 2, W − 2)."""
        height, width = images.shape[2] - 2, images.shape[3] - 2
        kernel = self.weight[0, 0]
        shifted = (
            kernel[row, column] * images[:, :, row : row + height, column : column + width]
            for row, column in product(range(3), repeat=2)
        )
        return functools.reduce(torch.add, shifted)


class OneChannelConv(nn.Module):
    """3x3 convolutions of one channel, each followed by an activation; the mean over positions is the only logit.

    Its output for label 1 is f = σ(P), P the mean over positions of h_L, h_l = r(h_(l-1) ⋆ K_l), h_0 the image (paper,
    section 5.5; figures 7 and 9). It returns the two logits (0, P), whose softmax is (1 − f, f): cross-entropy of them
    is the binary cross-entropy of f, and the larger one is the prediction. Convolutions have neither bias nor padding;
    the paper does not say how its kernels start, these are torch's own, uniform in ±1/3.

    Args:
        depth: convolutions; each takes two pixels off height and width.
        activation: makes a fresh activation module for each convolution.
    """

    def __init__(self, depth: int, activation: Callable[[], nn.Module]) -> None:
        super().__init__()
        self.layers = nn.Sequential(*(nn.Sequential(_Convolution(), activation()) for _ in range(depth)))

    def forward(self, images: Tensor) -> Tensor:
        """Map images (n, 1, height, width) to logits (n, 2)."""
        pooled = self.layers(images).mean((2, 3))
        return torch.cat([torch.zeros_like(pooled), pooled], dim=1)
