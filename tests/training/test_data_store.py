import gzip
import hashlib
import io
import json
import re
import struct
from pathlib import Path

import numpy as np
import platformdirs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image

from lastbit.training.data import store
from lastbit.training.data.catalogue import DamagedDataError
from lastbit.training.data.store import data_folder, digest, idx_header, mismatch, read, write

ARRAYS = {
    "train_images": np.arange(60, dtype=np.uint8).reshape(5, 3, 4),
    "train_labels": np.array([3, 1, 4, 1, 5], np.uint8),
}
EXPECTED = {name: digest(array) for name, array in ARRAYS.items()}


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    path = tmp_path_factory.mktemp("store") / "set.npz"
    write(path, ARRAYS)
    return path.read_bytes()


def refused(path: Path, raw: bytes) -> bool:
    """Whether a file of these bytes is refused; if it is not, its arrays must be the ones written."""
    path.write_bytes(raw)
    try:
        found = read(path, EXPECTED)
    except DamagedDataError:
        return True
    assert found.keys() == ARRAYS.keys()
    assert all(np.array_equal(found[name], ARRAYS[name]) and found[name].dtype == np.uint8 for name in ARRAYS)
    return False


def test_round_trip_without_compression(tmp_path, sound):
    assert not refused(tmp_path / "set.npz", sound)
    assert all(array.tobytes() in sound for array in ARRAYS.values())


@pytest.mark.parametrize("flip", [0x01, 0xFF])
def test_no_altered_byte_ever_gives_other_arrays(tmp_path, sound, flip):
    outcomes = []
    for place in range(len(sound)):
        altered = bytearray(sound)
        altered[place] ^= flip
        outcomes.append(refused(tmp_path / "set.npz", bytes(altered)))
    pixels = sound.index(ARRAYS["train_images"].tobytes())
    assert all(outcomes[pixels : pixels + 60])


@given(st.data())
def test_no_altered_stretch_ever_gives_other_arrays(tmp_path_factory, sound, data):
    start = data.draw(st.integers(0, len(sound) - 1))
    stretch = data.draw(st.binary(max_size=40))
    end = data.draw(st.integers(start, len(sound)))
    refused(tmp_path_factory.getbasetemp() / "stretch.npz", sound[:start] + stretch + sound[end:])


def test_what_is_refused_is_named_in_one_line(tmp_path, sound):
    path = tmp_path / "set.npz"
    path.write_bytes(sound[:-1])
    with pytest.raises(DamagedDataError, match=re.escape(f"{path} is damaged (")) as caught:
        read(path, EXPECTED)
    assert "\n" not in str(caught.value)


def test_every_truncation_is_refused(tmp_path, sound):
    assert all(refused(tmp_path / "set.npz", sound[:length]) for length in range(len(sound)))


def test_other_arrays_are_refused_and_named(tmp_path):
    path = tmp_path / "set.npz"
    write(path, ARRAYS | {"train_labels": ARRAYS["train_labels"][::-1]})
    with pytest.raises(DamagedDataError, match=re.escape(str(path)) + r" is damaged \(train_labels has SHA-256"):
        read(path, EXPECTED)


def test_nothing_is_unpickled(tmp_path):
    class Trap:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "sprung",))

    path = tmp_path / "set.npz"
    np.savez(path, train_images=np.array([Trap()], dtype=object), train_labels=ARRAYS["train_labels"])
    with pytest.raises(DamagedDataError, match="allow_pickle"):
        read(path, EXPECTED)
    assert not (tmp_path / "sprung").exists()


def test_objects_are_not_written(tmp_path):
    with pytest.raises(ValueError, match="allow_pickle"):
        write(tmp_path / "set.npz", {"train_images": np.array([{}], dtype=object)})
    assert list(tmp_path.iterdir()) == []


def test_a_missing_file_is_no_damaged_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "none.npz", EXPECTED)


def test_the_data_folder_is_the_argument_then_the_variable_then_the_cache(tmp_path, monkeypatch):
    monkeypatch.delenv("LASTBIT_DATA", raising=False)
    assert data_folder() == platformdirs.user_cache_path("lastbit") / "data"
    monkeypatch.setenv("LASTBIT_DATA", str(tmp_path / "variable"))
    assert data_folder() == tmp_path / "variable"
    assert data_folder(tmp_path / "argument") == tmp_path / "argument"
    monkeypatch.setenv("LASTBIT_DATA", "")
    assert data_folder() == platformdirs.user_cache_path("lastbit") / "data"


def test_a_file_is_no_data_folder(tmp_path):
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(ValueError, match=re.escape(f"data folder {file} is a file")):
        data_folder(file)


byte_arrays = arrays(np.uint8, array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=5))


@given(byte_arrays)
def test_digest_is_the_sha256_of_the_idx_file(array):
    header = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
    assert digest(array) == hashlib.sha256(header + array.tobytes(order="C")).hexdigest()


@given(byte_arrays)
def test_digest_depends_on_values_and_not_on_memory_layout(array):
    assert digest(np.asfortranarray(array)) == digest(array)


@given(byte_arrays, st.data())
def test_any_changed_byte_or_shape_is_a_mismatch(array, data):
    expected = {"images": digest(array)}
    assert mismatch({"images": array}, expected) is None
    assert mismatch({"images": array[None]}, expected) is not None
    if array.size:
        other = array.copy()
        other.flat[data.draw(st.integers(0, array.size - 1))] ^= data.draw(st.integers(1, 255))
        assert "images has SHA-256" in mismatch({"images": other}, expected)


def test_names_and_element_types_count():
    array = np.arange(6, dtype=np.uint8)
    expected = {"images": digest(array)}
    assert "labels" in mismatch({"images": array, "labels": array}, expected)
    assert "[]" in mismatch({}, expected)
    assert mismatch({"images": array.astype(np.int8)}, expected) == "images is int8, not uint8"


def test_only_bytes_have_a_digest():
    with pytest.raises(TypeError, match="uint8, got float32"):
        digest(np.zeros(3, np.float32))


BATCHES = [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]
PER_BATCH = 3


@given(arrays(np.uint8, array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=6)))
def test_parse_inverts_header_and_bytes(array):
    found = store.parse_idx(idx_header(array) + array.tobytes())
    assert found.shape == array.shape
    assert np.array_equal(found, array)


def test_parse_reads_the_format_as_published():
    # Two images of 1 x 3 pixels: magic number 2051, sizes 2, 1, 3, then the rows.
    raw = bytes.fromhex("00000803 00000002 00000001 00000003 01 02 03 fd fe ff".replace(" ", ""))
    assert store.parse_idx(raw).tolist() == [[[1, 2, 3]], [[253, 254, 255]]]


@given(st.binary(max_size=40))
def test_parse_refuses_what_is_not_exactly_an_idx_file(raw):
    try:
        array = store.parse_idx(raw)
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
        store.IDX_FILES[name]: gzip.compress(idx_header(array) + array.tobytes()) for name, array in arrays.items()
    }
    found = store.decode_idx(files)
    assert {name: array.tolist() for name, array in found.items()} == {n: a.tolist() for n, a in arrays.items()}


def test_decompression_is_bounded(monkeypatch):
    monkeypatch.setattr(store, "LARGEST", 1000)
    assert store.gunzip(gzip.compress(bytes(1000))) == bytes(1000)
    with pytest.raises(ValueError, match="more than 1000 bytes"):
        store.gunzip(gzip.compress(bytes(1001)))


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
    assert tuple(files) == store.FORMATS["cifar-binary"].files
    check(store.decode_cifar_binary(files), images, labels)


def test_the_picture_version(images, labels):
    files = {f"{batch}.png": picture_batch(batch_images) for batch, batch_images in zip(BATCHES, images, strict=True)}
    files["train_lables.json"] = json.dumps(labels[:5].reshape(-1).tolist()).encode()
    files["test_lables.json"] = json.dumps(labels[5].tolist()).encode()
    assert tuple(files) == store.FORMATS["cifar-pictures"].files
    check(store.decode_cifar_pictures(files), images, labels)


def test_a_batch_cut_short_is_refused(images, labels):
    files = {f"{batch}.bin": binary_batch(*pair) for batch, *pair in zip(BATCHES, images, labels, strict=True)}
    files["test_batch.bin"] = files["test_batch.bin"][:-1]
    with pytest.raises(ValueError, match="reshape"):
        store.decode_cifar_binary(files)


@pytest.fixture(scope="module")
def digits():
    """Seven zeros, eight ones, and so on."""
    generator = np.random.default_rng(1)
    return [generator.integers(0, 256, (7 + n, 28, 28), dtype=np.uint8) for n in range(10)]


def test_rounded_intensities_give_the_bytes_back(digits, monkeypatch):
    monkeypatch.setattr(store, "TEST_PER_CLASS", 4)
    # The package keeps three to four decimals: its intensities times 255 are up to 0.13 off.
    files = {
        f"{n}.json": json.dumps({"data": np.round(images.reshape(-1) / 255, 3).tolist()}).encode()
        for n, images in enumerate(digits)
    }
    found = store.decode_digit_lists(files)
    assert np.array_equal(found["train_images"], np.concatenate([images[: 3 + n] for n, images in enumerate(digits)]))
    assert np.array_equal(found["test_images"], np.concatenate([images[3 + n :] for n, images in enumerate(digits)]))
    assert found["train_labels"].tolist() == [n for n in range(10) for _ in range(3 + n)]
    assert found["test_labels"].tolist() == [n for n in range(10) for _ in range(4)]
