"""What the page's controls choose: the settings of a descent, and one convolution layer on one picture."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lastbit.errors import LastbitError
from lastbit.pde import Linearisation, Momentum, OneLayerCNN, checkerboard, noise, random_kernel
from lastbit.pde.images import checked_image, read_pixels
from lastbit.training.data.loading import load

Array = NDArray[np.floating]

SIDE = 64  # pixels of every picture
SEED = 7  # of the initial kernel, that of `lastbit pde cnn`


def _geometric(low: float, high: float, count: int) -> tuple[float, ...]:
    """Values with a constant ratio, in three digits, as a slider shows them."""
    return tuple(float(f"{value:.3g}") for value in np.geomspace(low, high, count))


KERNELS = (4, 6, 8, 10, 12)  # sides in pixels; wider kernels would take more than half a second to redraw
BETAS = _geometric(0.1, 10.0, 21)
LEARNING_RATES = _geometric(1e-3, 10.0, 81)
WEIGHT_DECAYS = _geometric(1e-2, 100.0, 81)
MOMENTA = tuple(round(0.05 * i, 2) for i in range(20))


@dataclass(frozen=True, eq=False)
class Layer:
    """A network with one kernel on one picture, pooled by the mean, and what the theory needs of it."""

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
        """The linear PDE around an untrained network (theorem 5.2); kept, so that its spectrum is computed once."""
        return self.net.transitioning()

    @cached_property
    def symbol(self) -> Array:
        """The Fourier symbol of the linear PDE, (SIDE, SIDE) (theorem 5.3)."""
        return self.linear.symbol()

    @cached_property
    def start(self) -> Array:
        """The initial kernel, (kernel, kernel)."""
        return random_kernel(self.kernel, SEED)


@dataclass(frozen=True)
class DescentSettings:
    """Gradient descent with weight decay and heavy-ball momentum."""

    lr: float
    weight_decay: float
    momentum: float = 0.0

    @property
    def scheme(self) -> Momentum:
        """The momentum scheme, which has an edge of stability."""
        return Momentum(self.momentum)


# Training images that are easy to tell apart: data set and place in it.
_BUNDLED = {"sneaker": ("fashion-mini", 6), "shirt": ("fashion-mini", 0), "digit 0": ("mnist01", 0)}
OWN = "your own"


def _bundled(data: str, place: int) -> Array:
    return _resized(load(data).train_images[place, 0].numpy() / 255.0)


PICTURES: dict[str, Callable[[], Array]] = {
    "checkerboard": lambda: checkerboard(SIDE),
    "noise": lambda: noise(SIDE, 0),
    **{name: partial(_bundled, *place) for name, place in _BUNDLED.items()},
}


@dataclass(frozen=True, eq=False)
class Picture:
    """The picture to show."""

    image: Array  # (SIDE, SIDE)
    complaint: str = ""  # why it is not the picture that was asked for


def choose_picture(name: str, files: Sequence[tuple[str, bytes]]) -> Picture:
    """The picture of a name; the checkerboard if the uploaded file is missing or no picture.

    Args:
        name: a key of `PICTURES`, or `OWN`.
        files: name and content of each uploaded file; the last one counts.
    """
    if name != OWN:
        return Picture(PICTURES[name]())
    if not files:
        return Picture(checkerboard(SIDE), "No file was given yet: this is the checkerboard.")
    try:
        return Picture(own_picture(*files[-1]))
    except LastbitError as error:
        return Picture(checkerboard(SIDE), f"{error}. This is the checkerboard.")


def own_picture(name: str, content: bytes) -> Array:
    """An uploaded picture or `.npy`, cut to its middle square and scaled to SIDE x SIDE.

    Args:
        name: of the file. The suffix `.npy` marks an array; the format of a picture is read from its content.
        content: its bytes.

    Raises:
        LastbitError: it is no picture, or a grey level is not finite; the message names the file.
    """
    with tempfile.TemporaryDirectory(prefix="lastbit-picture-") as directory:
        path = Path(directory) / f"given{Path(name).suffix.lower()}"
        path.write_bytes(content)
        try:
            pixels = read_pixels(path)
            return checked_image(_resized(checked_image(_middle(pixels))))
        except LastbitError as error:
            raise LastbitError(str(error).replace(str(path), name)) from None


def _middle(pixels: NDArray[np.generic]) -> NDArray[np.generic]:
    """The middle square of a matrix; anything else unchanged, for `checked_image` to refuse."""
    if pixels.ndim != 2 or 0 in pixels.shape:
        return pixels
    side = min(pixels.shape)
    top, left = ((length - side) // 2 for length in pixels.shape)
    return pixels[top : top + side, left : left + side]


def _resized(image: Array) -> Array:
    with np.errstate(over="ignore"):  # infinite values are refused later
        picture = Image.fromarray(np.asarray(image, np.float32))
    return np.asarray(picture.resize((SIDE, SIDE), Image.Resampling.BILINEAR), np.float64)
