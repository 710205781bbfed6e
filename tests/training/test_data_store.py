import hashlib
import re
import struct
from pathlib import Path

import numpy as np
import platformdirs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from lastbit.training.data.catalogue import DamagedDataError
from lastbit.training.data.store import data_folder, digest, mismatch, read, write

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
