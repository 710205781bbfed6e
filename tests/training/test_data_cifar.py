import io
import json

import numpy as np
import pytest
from PIL import Image

from lastbit.training.data import cifar

BATCHES = [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]
PER_BATCH = 3


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(1).integers(0, 256, (len(BATCHES), PER_BATCH, 3, 32, 32), dtype=np.uint8)


@pytest.fixture(scope="module")
def labels():
    return np.random.default_rng(2).integers(0, 10, (len(BATCHES), PER_BATCH), dtype=np.uint8)


def binary_batch(images, labels):
    """As its page describes it: <1 x label><3072 x pixel>, reds first, then greens, then blues, row by row."""
    return b"".join(
        bytes([label]) + b"".join(c.tobytes() for c in image) for image, label in zip(images, labels, strict=True)
    )


def picture_batch(images):
    """One image a row: 1024 pixels of red, green and blue."""
    picture = Image.new("RGB", (1024, len(images)))
    for y, image in enumerate(images):
        for x in range(1024):
            picture.putpixel((x, y), tuple(int(image[c, x // 32, x % 32]) for c in range(3)))
    handle = io.BytesIO()
    picture.save(handle, "PNG")
    return handle.getvalue()


def check(found, images, labels):
    assert np.array_equal(found["train_images"], images[:5].reshape(-1, 3, 32, 32))
    assert np.array_equal(found["train_labels"], labels[:5].reshape(-1))
    assert np.array_equal(found["test_images"], images[5])
    assert np.array_equal(found["test_labels"], labels[5])
    assert {array.dtype for array in found.values()} == {np.dtype(np.uint8)}


def test_the_binary_version(images, labels):
    files = {f"{batch}.bin": binary_batch(*pair) for batch, *pair in zip(BATCHES, images, labels, strict=True)}
    assert tuple(files) == cifar.BINARY_FILES
    check(cifar.decode_binary(files), images, labels)


def test_the_picture_version(images, labels):
    files = {f"{batch}.png": picture_batch(batch_images) for batch, batch_images in zip(BATCHES, images, strict=True)}
    files["train_lables.json"] = json.dumps(labels[:5].reshape(-1).tolist()).encode()
    files["test_lables.json"] = json.dumps(labels[5].tolist()).encode()
    assert tuple(files) == cifar.PICTURE_FILES
    check(cifar.decode_pictures(files), images, labels)


def test_a_batch_cut_short_is_refused(images, labels):
    files = {f"{batch}.bin": binary_batch(*pair) for batch, *pair in zip(BATCHES, images, labels, strict=True)}
    files["test_batch.bin"] = files["test_batch.bin"][:-1]
    with pytest.raises(ValueError, match="reshape"):
        cifar.decode_binary(files)
