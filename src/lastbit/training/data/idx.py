"""The IDX format of MNIST and Fashion-MNIST: a header of type and sizes, then the bytes in C order."""

from __future__ import annotations

import gzip
import io
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from lastbit.errors import LastbitError

Bytes = NDArray[np.uint8]

UINT8 = 0x08
LARGEST = 256 * 2**20  # bytes one decompressed file may have; MNIST's largest has 47 MB

FILES = {
    "train_images": "train-images-idx3-ubyte.gz",
    "train_labels": "train-labels-idx1-ubyte.gz",
    "test_images": "t10k-images-idx3-ubyte.gz",
    "test_labels": "t10k-labels-idx1-ubyte.gz",
}


def header(array: Bytes) -> bytes:
    """Return the IDX header of an array: two zeros, type code, rank, then each size as a big-endian uint32.

    Raises:
        TypeError: if the array is not of uint8.
    """
    if array.dtype != np.uint8:
        raise TypeError(f"arrays of data sets are uint8, got {array.dtype}")
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    return bytes([0, 0, UINT8, array.ndim]) + sizes


def parse(raw: bytes) -> Bytes:
    """Return the array that IDX bytes describe.

    Raises:
        LastbitError: if they are not IDX bytes of uint8, or fewer or more than their header says.
    """
    if len(raw) < 4 or raw[:3] != bytes([0, 0, UINT8]):
        raise LastbitError(f"not an IDX file of uint8: it begins with {raw[:4].hex()}")
    start = 4 + 4 * raw[3]
    shape = [int.from_bytes(raw[i : i + 4], "big") for i in range(4, start, 4)]
    return np.frombuffer(raw, np.uint8, offset=start).reshape(shape)


def gunzip(raw: bytes) -> bytes:
    """Return decompressed bytes.

    Raises:
        LastbitError: if they are more than `LARGEST`.
    """
    with gzip.open(io.BytesIO(raw)) as handle:
        plain = handle.read(LARGEST + 1)
    if len(plain) > LARGEST:
        raise LastbitError(f"decompresses to more than {LARGEST} bytes")
    return plain


def decode(files: Mapping[str, bytes]) -> dict[str, Bytes]:
    """Return the four arrays of an MNIST-like set from its four gzipped IDX files, by file name."""
    return {name: parse(gunzip(files[file])) for name, file in FILES.items()}
