"""CIFAR-10 (Krizhevsky, 2009) decoded from its binary batches, or from batches drawn as PNG pictures."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping

import numpy as np
from PIL import Image

from lastbit.training.data.idx import Bytes

SIDE = 32
PIXELS = SIDE * SIDE
TRAIN_BATCHES = tuple(f"data_batch_{i}" for i in range(1, 6))
TEST_BATCHES = ("test_batch",)

BINARY_FILES = tuple(f"{batch}.bin" for batch in TRAIN_BATCHES + TEST_BATCHES)
# The second spelling is the package's own.
PICTURE_FILES = (
    *(f"{batch}.png" for batch in TRAIN_BATCHES + TEST_BATCHES),
    "train_lables.json",
    "test_lables.json",
)


def decode_binary(files: Mapping[str, bytes]) -> dict[str, Bytes]:
    """Return the arrays of the binary version: records of one label byte and 3 x 32 x 32 colour bytes."""
    train, test = (_records(files, batches) for batches in (TRAIN_BATCHES, TEST_BATCHES))
    return {
        "train_images": train[:, 1:].reshape(-1, 3, SIDE, SIDE),
        "train_labels": train[:, 0],
        "test_images": test[:, 1:].reshape(-1, 3, SIDE, SIDE),
        "test_labels": test[:, 0],
    }


def decode_pictures(files: Mapping[str, bytes]) -> dict[str, Bytes]:
    """Return the arrays of the npm version: a PNG a batch, one image a row of 1024 RGB pixels, labels as JSON."""
    return {
        "train_images": np.concatenate([_picture(files[f"{batch}.png"]) for batch in TRAIN_BATCHES]),
        "train_labels": np.array(json.loads(files["train_lables.json"]), np.uint8),
        "test_images": np.concatenate([_picture(files[f"{batch}.png"]) for batch in TEST_BATCHES]),
        "test_labels": np.array(json.loads(files["test_lables.json"]), np.uint8),
    }


def _records(files: Mapping[str, bytes], batches: tuple[str, ...]) -> Bytes:
    raw = b"".join(files[f"{batch}.bin"] for batch in batches)
    return np.frombuffer(raw, np.uint8).reshape(-1, 1 + 3 * PIXELS)


def _picture(raw: bytes) -> Bytes:
    """Return the images of a PNG picture, with the colours first, as the binary version has them."""
    with Image.open(io.BytesIO(raw), formats=["PNG"]) as picture:
        rows = np.asarray(picture.convert("RGB"))  # (images, 1024, 3)
    return np.ascontiguousarray(rows.reshape(-1, SIDE, SIDE, 3).transpose(0, 3, 1, 2))
