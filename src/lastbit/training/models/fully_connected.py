"""Fully connected networks of any depth and width."""

from collections.abc import Callable
from itertools import pairwise

from torch import Tensor, nn


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

    def __init__(
        self, pixels: int, classes: int, *, depth: int, width: int, activation: Callable[[], nn.Module]
    ) -> None:
        super().__init__()
        widths = (pixels, *[width] * depth)
        self.hidden = nn.Sequential(*(nn.Sequential(nn.Linear(a, b), activation()) for a, b in pairwise(widths)))
        self.linear = nn.Linear(width, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Map images (n, channels, height, width) to logits (n, classes)."""
        logits: Tensor = self.linear(self.hidden(images.flatten(1)))
        return logits
