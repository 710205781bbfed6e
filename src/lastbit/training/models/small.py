"""Small networks: the demo's convolutions, fully connected layers, and the paper's convolutions of one channel."""

import functools
import math
from itertools import pairwise, product

import torch
from torch import Tensor, nn

from lastbit.errors import LastbitError
from lastbit.training.models.activation import Activation


class SmallCNN(nn.Module):
    """Three stride-2 3x3 convolution, BatchNorm, activation blocks of widths 16, 32, 64; mean pool; linear.

    Args:
        channels: channels of the input image.
        classes: number of labels.
        activation: makes a fresh activation module for each block.
    """

    def __init__(self, channels: int, classes: int, activation: Activation) -> None:
        super().__init__()
        widths = (channels, 16, 32, 64)
        blocks = []
        for width_in, width_out in pairwise(widths):
            convolution = nn.Conv2d(width_in, width_out, 3, stride=2, padding=1, bias=False)
            blocks.append(nn.Sequential(convolution, nn.BatchNorm2d(width_out), activation()))
        self.blocks = nn.Sequential(*blocks)
        self.linear = nn.Linear(widths[-1], classes)

    def forward(self, images: Tensor) -> Tensor:
        """Map images (n, channels, height, width) to logits (n, classes)."""
        # The mean over positions replaces adaptive pooling, whose backward pass on CUDA is not deterministic.
        logits: Tensor = self.linear(self.blocks(images).mean((2, 3)))
        return logits


class FullyConnected(nn.Module):
    """Linear layers of one width, each followed by an activation, and a linear layer to the logits.

    With tanh, width 200 and two hidden layers it is the network of Cohen et al. (2021), figure 5, and of the paper's
    figure 8. Weights and biases start from torch's own initialisation, as theirs do.

    Args:
        pixels: numbers of an input image, channels times height times width.
        classes: number of labels.
        depth: hidden layers.
        width: units of each.
        activation: makes a fresh activation module for each hidden layer.
    """

    def __init__(self, pixels: int, classes: int, *, depth: int, width: int, activation: Activation) -> None:
        super().__init__()
        widths = (pixels, *[width] * depth)
        self.hidden = nn.Sequential(*(nn.Sequential(nn.Linear(a, b), activation()) for a, b in pairwise(widths)))
        self.linear = nn.Linear(width, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Map images (n, channels, height, width) to logits (n, classes)."""
        logits: Tensor = self.linear(self.hidden(images.flatten(1)))
        return logits


class OneChannelConv(nn.Module):
    """3x3 convolutions of one channel, each followed by an activation; the mean over positions is the only logit.

    Its output for label 1 is f = σ(P), P the mean over positions of h_L, h_l = r(h_(l-1) ⋆ K_l), h_0 the image (paper,
    section 5.5; figures 7 and 9). It returns the two logits (0, P), whose softmax is (1 − f, f): cross-entropy of them
    is the binary cross-entropy of f, and the larger one is the prediction. Convolutions have neither bias nor padding.
    The paper does not say how its kernels start; these start as torch's own, uniform in ±1/3.

    Args:
        depth: convolutions; each takes two pixels off height and width.
        activation: makes a fresh activation module for each convolution.
    """

    def __init__(self, depth: int, activation: Activation) -> None:
        super().__init__()
        self.layers = nn.Sequential(*(nn.Sequential(_Convolution(), activation()) for _ in range(depth)))

    def forward(self, images: Tensor) -> Tensor:
        """Map images (n, 1, height, width) to logits (n, 2)."""
        pooled = self.layers(images).mean((2, 3))
        return torch.cat([torch.zeros_like(pooled), pooled], dim=1)


class _Convolution(nn.Conv2d):
    """A 3x3 convolution of one channel, as nine multiples of shifted images.

    With one channel there is nothing to gather for a matrix product. This takes about a third of the time of torch's
    own convolution, forwards and backwards (one thread, 2,128 images of 28 x 28).
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


def small_cnn(shape: tuple[int, int, int], classes: int, activation: Activation) -> nn.Module:
    """Make the demo's network for images of any size."""
    return SmallCNN(shape[0], classes, activation)


def fully_connected(
    shape: tuple[int, int, int], classes: int, activation: Activation, *, depth: int, width: int
) -> nn.Module:
    """Make a fully connected network for images of any size."""
    return FullyConnected(math.prod(shape), classes, depth=depth, width=width, activation=activation)


def one_channel_conv(shape: tuple[int, int, int], classes: int, activation: Activation, *, depth: int) -> nn.Module:
    """Make the paper's network.

    Raises:
        LastbitError: more than one channel, not two classes, or images that are too small for the depth.
    """
    channels, *sides = shape
    if (channels, classes) != (1, 2):
        raise LastbitError(
            f"model.name = one-channel-conv tells 2 classes apart in images of 1 channel; these are {classes} classes "
            f"and {channels} channel(s)"
        )
    if depth > (most := (min(sides) - 1) // 2):
        raise LastbitError(f"model.depth = {depth}: images of {min(sides)} pixels leave room for {most} at most")
    return OneChannelConv(depth, activation)
