"""What the page's controls choose: one convolution layer on one picture, and a descent; and what there is to choose."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from lastbit.pde import Linearisation, Momentum, OneLayerCNN, random_kernel

Array = NDArray[np.floating]

SIDE = 64  # pixels of every picture
SEED = 7  # of the initial kernel, that of `lastbit pde cnn`


def _geometric(low: float, high: float, count: int) -> tuple[float, ...]:
    """Values of equal ratios, in three digits, as a slider shows them."""
    return tuple(float(f"{value:.3g}") for value in np.geomspace(low, high, count))


KERNELS = (4, 6, 8, 10, 12)  # sides in pixels; with wider ones a move would take more than half a second to redraw
BETAS = _geometric(0.1, 10.0, 21)
LEARNING_RATES = _geometric(1e-3, 10.0, 81)
WEIGHT_DECAYS = _geometric(1e-2, 100.0, 81)
MOMENTA = tuple(round(0.05 * i, 2) for i in range(20))


@dataclass(frozen=True, eq=False)
class Layer:
    """The network of one kernel on one picture, pooled by the mean, and what the theory needs of it."""

    image: Array  # (SIDE, SIDE)
    kernel: int  # side in pixels
    beta: float  # Swish's
    label: int  # 0 or 1

    @cached_property
    def net(self) -> OneLayerCNN:
        """The network of the paper's section 5."""
        # For kernels as small as these as fast as FFTs on any picture, and much faster on a checkerboard.
        return OneLayerCNN(
            self.image, kernel=self.kernel, label=self.label, beta=self.beta, pool="mean", method="direct"
        )

    @cached_property
    def linear(self) -> Linearisation:
        """Its linear PDE around an untrained network (theorem 5.2); kept, so that its spectrum is computed once."""
        return self.net.transitioning()

    @cached_property
    def symbol(self) -> Array:
        """The linear PDE's Fourier symbol (SIDE, SIDE) (theorem 5.3)."""
        return self.linear.symbol()

    @cached_property
    def start(self) -> Array:
        """The initial kernel, (kernel, kernel)."""
        return random_kernel(self.kernel, SEED)


@dataclass(frozen=True)
class Descent:
    """Gradient descent with weight decay and heavy-ball momentum."""

    lr: float
    weight_decay: float
    momentum: float = 0.0

    @property
    def scheme(self) -> Momentum:
        """The momentum, with its edge of stability."""
        return Momentum(self.momentum)
