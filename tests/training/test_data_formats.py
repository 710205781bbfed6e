import gzip
import io
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image

from lastbit.training.data import formats
from lastbit.training.data.store import idx_header

BATCHES = [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]
PER_BATCH = 3


@given(arrays(np.uint8, array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=6)))
def test_parse_inverts_header_and_bytes(array):
    found = formats.parse_idx(idx_header(array) + array.tobytes())
    assert found.shape == array.shape
    assert np.array_equal(found, array)


def test_parse_reads_the_format_as_published():
    # Two images of 1 x 3 pixels: magic number 2051, sizes 2, 1, 3, then the rows.
    raw = bytes.fromhex("00000803 00000002 00000001 00000003 01 02 03 fd fe ff".replace(" ", ""))
    assert formats.parse_idx(raw).tolist() == [[[1, 2, 3]], [[253, 254, 255]]]


@given(st.binary(max_size=40))
def test_parse_refuses_what_is_not_exactly_an_idx_file(raw):
    try:
        array = formats.parse_idx(raw)
    except ValueError:
        return
    assert idx_header(array) + array.tobytes() == raw


def test_decode_reads_the_four_files_by_name():
    arrays = {
        name: np.arange(n, n + 4, dtype=np.uint8).reshape(shape)
        for n, (name, shape) in enumerate(
            {"train_images": (1, 2, 2), "train_labels": 4, "test_images": (2, 2, 1)}.items()
        )
    } | {"test_labels": np.array([9], np.uint8)}
    files = {
        formats.IDX_FILES[name]: gzip.compress(idx_header(array) + array.tobytes()) for name, array in arrays.items()
    }
    found = formats.decode_idx(files)
    assert {name: array.tolist() for name, array in found.items()} == {n: a.tolist() for n, a in arrays.items()}


def test_decompression_is_bounded(monkeypatch):
    monkeypatch.setattr(formats, "LARGEST", 1000)
    assert formats.gunzip(gzip.compress(bytes(1000))) == bytes(1000)
    with pytest.raises(ValueError, match="more than 1000 bytes"):
        formats.gunzip(gzip.compress(bytes(1001)))


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
    assert tuple(files) == formats.FORMATS["cifar-binary"].files
    check(formats.decode_cifar_binary(files), images, labels)


def test_the_picture_version(images, labels):
    files = {f"{batch}.png": picture_batch(batch_images) for batch, batch_images in zip(BATCHES, images, strict=True)}
    files["train_lables.json"] = json.dumps(labels[:5].reshape(-1).tolist()).encode()
    files["test_lables.json"] = json.dumps(labels[5].tolist()).encode()
    assert tuple(files) == formats.FORMATS["cifar-pictures"].files
    check(formats.decode_cifar_pictures(files), images, labels)


def test_a_batch_cut_short_is_refused(images, labels):
    files = {f"{batch}.bin": binary_batch(*pair) for batch, *pair in zip(BATCHES, images, labels, strict=True)}
    files["test_batch.bin"] = files["test_batch.bin"][:-1]
    with pytest.raises(ValueError, match="reshape"):
        formats.decode_cifar_binary(files)


@pytest.fixture(scope="module")
def digits():
    """Seven zeros, eight ones, and so on."""
    generator = np.random.default_rng(1)
    return [generator.integers(0, 256, (7 + n, 28, 28), dtype=np.uint8) for n in range(10)]


def test_rounded_intensities_give_the_bytes_back(digits, monkeypatch):
    monkeypatch.setattr(formats, "TEST_PER_CLASS", 4)
    # The package keeps three to four decimals: its intensities times 255 are up to 0.13 off.
    files = {
        f"{n}.json": json.dumps({"data": np.round(images.reshape(-1) / 255, 3).tolist()}).encode()
        for n, images in enumerate(digits)
    }
    found = formats.decode_digit_lists(files)
    assert np.array_equal(found["train_images"], np.concatenate([images[: 3 + n] for n, images in enumerate(digits)]))
    assert np.array_equal(found["test_images"], np.concatenate([images[3 + n :] for n, images in enumerate(digits)]))
    assert found["train_labels"].tolist() == [n for n in range(10) for _ in range(3 + n)]
    assert found["test_labels"].tolist() == [n for n in range(10) for _ in range(4)]
