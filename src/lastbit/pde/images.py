"""Input images and initial kernels for the one-layer network."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from lastbit.errors import LastbitError

MOST_SIDE = 8192  # pixels: 512 MiB as float64
# Formats that Pillow decodes itself. For EPS, which any suffix may hide, it would start Ghostscript.
_FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM")


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
    """Read a square image, of shape (N, N): ``.npy`` unchanged, a picture as grey levels in [0, 1].

    Raises:
        LastbitError: the file cannot be read as an image, or it is not square, finite and of at most `MOST_SIDE`.
    """
    return checked_image(read_pixels(path))


def read_pixels(path: str | Path) -> NDArray[np.generic]:
    """Read a ``.npy`` of any shape unchanged, and a picture as grey levels in [0, 1], of shape (height, width).

    Raises:
        LastbitError: the file cannot be read as either, or has more than `MOST_SIDE` pixels on a side.
    """
    try:
        return _read_pixels(Path(path))
    except Exception as error:
        # Pillow and NumPy raise a dozen kinds of errors on broken or hostile files, from SyntaxError to MemoryError.
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise LastbitError(f"cannot read an image from {path}: {reason}") from error


def _read_pixels(path: Path) -> NDArray[np.generic]:
    if not path.is_file():
        raise LastbitError("there is no such file, or it is a directory, a pipe or a device")
    if path.suffix == ".npy":
        # Memory-mapped, so that a header that claims more than the file holds allocates nothing.
        mapped = np.load(path, mmap_mode="r", allow_pickle=False)
        _check_side(mapped.shape)
        return np.array(mapped)
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        with Image.open(path, formats=_FORMATS) as picture:
            _check_side(picture.size)
            return np.asarray(picture.convert("L"), dtype=np.float64) / 255.0


def _check_side(shape: tuple[int, ...]) -> None:
    if max(shape, default=0) > MOST_SIDE:
        raise LastbitError(
            f"it is {' x '.join(map(str, shape))}; images of at most {MOST_SIDE:,} pixels on a side are read"
        )


def checked_image(image: ArrayLike) -> NDArray[np.floating]:
    """Return the image as a read-only float32 or float64 copy.

    Raises:
        LastbitError: the image is not a square matrix of finite real numbers.
    """
    array = np.array(image)
    if array.dtype.kind not in "biuf":
        raise LastbitError(f"the image must hold real numbers, not {array.dtype}")
    if array.ndim != 2 or array.shape[0] != array.shape[1] or array.size == 0:
        raise LastbitError(f"the image must be a square matrix (N x N, N >= 1), not of shape {array.shape}")
    if array.dtype != np.float32:
        array = array.astype(np.float64)
    if not np.isfinite(array).all():
        raise LastbitError("the image must be finite; it holds NaN or infinity")
    array.setflags(write=False)
    return array


def _legacy_normal(size: int, seed: int) -> NDArray[np.float64]:
    # NumPy's legacy generator, because the published figures start from its numbers.
    if not 0 <= seed < 2**32:
        raise LastbitError(f"a seed must lie in 0 ... 2**32 - 1, not {seed}")
    return np.random.RandomState(seed).randn(size, size)


def _check_size(size: int) -> None:
    if size < 1:
        raise LastbitError(f"a size must be at least 1 pixel, not {size}")
