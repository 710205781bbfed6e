"""Input images and initial kernels for the one-layer network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, UnidentifiedImageError


def checkerboard(size: int) -> NDArray[np.float64]:
    """Return the size x size checkerboard of the paper's section 5.3: -1 where row + column is even, else 1."""
    _check_size(size)
    row, column = np.indices((size, size))
    return np.where((row + column) % 2 == 0, -1.0, 1.0)


def noise(size: int, seed: int) -> NDArray[np.float64]:
    """Return size x size white Gaussian noise, ``numpy.random.RandomState(seed).randn(size, size)``."""
    _check_size(size)
    return _legacy_normal(size, seed)


def random_kernel(size: int, seed: int) -> NDArray[np.float64]:
    """Return the size x size initial kernel of the paper's scripts, drawn from N(0, 1) like `noise`."""
    _check_size(size)
    return _legacy_normal(size, seed)


def read_image(path: str | Path) -> NDArray[np.floating]:
    """Read a square image: ``.npy`` as it is, any picture Pillow knows as grey levels in [0, 1].

    Raises:
        ValueError: the file cannot be read as an image, or the image is not square and finite.
    """
    try:
        pixels = _read_pixels(Path(path))
    except (OSError, EOFError, ValueError, UnidentifiedImageError) as error:
        raise ValueError(f"cannot read an image from {path}: {error}") from error
    return checked_image(pixels)


def _read_pixels(path: Path) -> NDArray[np.generic]:
    if path.suffix == ".npy":
        return np.asarray(np.load(path, allow_pickle=False))
    with Image.open(path) as picture:
        return np.asarray(picture.convert("L"), dtype=np.float64) / 255.0


def checked_image(image: ArrayLike) -> NDArray[np.floating]:
    """Return the image as a read-only float32 or float64 copy.

    Raises:
        ValueError: the image is not a square matrix of finite real numbers.
    """
    array = np.array(image)
    if array.dtype.kind not in "biuf":
        raise ValueError(f"the image must hold real numbers, not {array.dtype}")
    if array.ndim != 2 or array.shape[0] != array.shape[1] or array.size == 0:
        raise ValueError(f"the image must be a square matrix (N x N, N >= 1), not of shape {array.shape}")
    if array.dtype != np.float32:
        array = array.astype(np.float64)
    if not np.isfinite(array).all():
        raise ValueError("the image must be finite; it holds NaN or infinity")
    array.setflags(write=False)
    return array


def _legacy_normal(size: int, seed: int) -> NDArray[np.float64]:
    # The legacy generator, because the published figures start from its numbers.
    if not 0 <= seed < 2**32:
        raise ValueError(f"a seed must lie in 0 ... 2**32 - 1, not {seed}")
    return np.random.RandomState(seed).randn(size, size)


def _check_size(size: int) -> None:
    if size < 1:
        raise ValueError(f"a size must be at least 1 pixel, not {size}")
