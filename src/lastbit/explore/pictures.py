"""The pictures to choose from, all of one size: made-up ones, bundled ones, and one's own."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lastbit.errors import LastbitError
from lastbit.explore.layer import SIDE
from lastbit.pde import checkerboard, noise
from lastbit.pde.images import checked_image, read_pixels
from lastbit.training.data.loading import load

Array = NDArray[np.floating]

# The first training images of these places, picked for being told apart at a glance.
_BUNDLED = {"sneaker": ("fashion-mini", 6), "shirt": ("fashion-mini", 0), "digit 0": ("mnist01", 0)}
OWN = "your own"


def _bundled(data: str, place: int) -> Array:
    return _resized(load(data).train_images[place, 0].numpy() / 255.0)


MADE: dict[str, Callable[[], Array]] = {
    "checkerboard": lambda: checkerboard(SIDE),
    "noise": lambda: noise(SIDE, 0),
    **{name: partial(_bundled, *place) for name, place in _BUNDLED.items()},
}


@dataclass(frozen=True, eq=False)
class Chosen:
    """The picture to show."""

    image: Array  # (SIDE, SIDE)
    complaint: str = ""  # why it is not the one that was asked for


def choose(name: str, given: Sequence[tuple[str, bytes]]) -> Chosen:
    """The picture of a name; the checkerboard in place of one's own that is not there or no picture.

    Args:
        name: one of `MADE`, or `OWN`.
        given: name and content of the files that a person gave; the last counts.
    """
    if name != OWN:
        return Chosen(MADE[name]())
    if not given:
        return Chosen(checkerboard(SIDE), "No file was given yet: this is the checkerboard.")
    try:
        return Chosen(own_picture(*given[-1]))
    except LastbitError as error:
        return Chosen(checkerboard(SIDE), f"{error}. This is the checkerboard.")


def own_picture(name: str, content: bytes) -> Array:
    """A picture or `.npy` that a person gave, cut to its middle square and scaled to SIDE x SIDE.

    Args:
        name: of the file; its suffix tells `.npy` from pictures, of which the content tells the format.
        content: its bytes.

    Raises:
        LastbitError: it is no picture, or holds what is no finite grey level; the message names it.
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
    """The middle square of a matrix; anything else as it is, to be refused."""
    if pixels.ndim != 2 or 0 in pixels.shape:
        return pixels
    side = min(pixels.shape)
    top, left = ((length - side) // 2 for length in pixels.shape)
    return pixels[top : top + side, left : left + side]


def _resized(image: Array) -> Array:
    with np.errstate(over="ignore"):  # what is then infinite is refused as such
        picture = Image.fromarray(np.asarray(image, np.float32))
    return np.asarray(picture.resize((SIDE, SIDE), Image.Resampling.BILINEAR), np.float64)
