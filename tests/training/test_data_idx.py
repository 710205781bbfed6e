import gzip

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from lastbit.training.data import idx


@given(arrays(np.uint8, array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=6)))
def test_parse_inverts_header_and_bytes(array):
    found = idx.parse(idx.header(array) + array.tobytes())
    assert found.shape == array.shape
    assert np.array_equal(found, array)


def test_parse_reads_the_format_as_published():
    # Two images of 1 x 3 pixels: magic number 2051, sizes 2, 1, 3, then the rows.
    raw = bytes.fromhex("00000803 00000002 00000001 00000003 01 02 03 fd fe ff".replace(" ", ""))
    assert idx.parse(raw).tolist() == [[[1, 2, 3]], [[253, 254, 255]]]


@given(st.binary(max_size=40))
def test_parse_refuses_what_is_not_exactly_an_idx_file(raw):
    try:
        array = idx.parse(raw)
    except ValueError:
        return
    assert idx.header(array) + array.tobytes() == raw


def test_decode_reads_the_four_files_by_name():
    arrays = {
        name: np.arange(n, n + 4, dtype=np.uint8).reshape(shape)
        for n, (name, shape) in enumerate(
            {"train_images": (1, 2, 2), "train_labels": 4, "test_images": (2, 2, 1)}.items()
        )
    } | {"test_labels": np.array([9], np.uint8)}
    files = {idx.FILES[name]: gzip.compress(idx.header(array) + array.tobytes()) for name, array in arrays.items()}
    found = idx.decode(files)
    assert {name: array.tolist() for name, array in found.items()} == {n: a.tolist() for n, a in arrays.items()}


def test_decompression_is_bounded(monkeypatch):
    monkeypatch.setattr(idx, "LARGEST", 1000)
    assert idx.gunzip(gzip.compress(bytes(1000))) == bytes(1000)
    with pytest.raises(ValueError, match="more than 1000 bytes"):
        idx.gunzip(gzip.compress(bytes(1001)))
