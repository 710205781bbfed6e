"""The small network of the demo."""

from collections.abc import Callable
from itertools import pairwise

from torch import Tensor, nn


class SmallCNN(nn.Module):
    """Three stride-2 3x3 convolution, BatchNorm, activation blocks of widths 16, 32, 64; mean pool; linear.

    Args:
        channels: channels of the input image.
        classes: number of labels.
        activation: makes a fresh activation module for each block.
    """

    def __init__(self, channels: int, classes: int, activation: Callable[[], nn.Module]) -> None:
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
        # mean over positions rather than adaptive pooling, whose CUDA backward is not deterministic
        logits: Tensor = self.linear(self.blocks(images).mean((2, 3)))
        return logits
