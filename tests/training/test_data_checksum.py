import hashlib
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from lastbit.training.data.checksum import digest, mismatch

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
