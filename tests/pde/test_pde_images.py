"""Images, kernels, and what is refused."""

import contextlib
import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from lastbit.pde.images import checked_image, checkerboard, noise, random_kernel, read_image, read_pixels


def test_checkerboard_is_minus_one_where_row_plus_column_is_even():
    board = checkerboard(3)
    np.testing.assert_array_equal(board, [[-1, 1, -1], [1, -1, 1], [-1, 1, -1]])


def test_noise_and_kernels_come_from_the_legacy_generator():
    np.testing.assert_array_equal(noise(5, 7), np.random.RandomState(7).randn(5, 5))
    np.testing.assert_array_equal(random_kernel(4, 7), np.random.RandomState(7).randn(4, 4))


def test_pictures_are_read_as_grey_levels(tmp_path):
    path = tmp_path / "picture.png"
    Image.fromarray(np.array([[0, 255], [51, 102]], np.uint8)).save(path)
    np.testing.assert_array_equal(read_image(path), [[0.0, 1.0], [0.2, 0.4]])


def test_pixels_of_any_shape_are_read_where_a_square_is_not_asked_for(tmp_path):
    path = tmp_path / "wide.png"
    Image.fromarray(np.array([[0, 255, 51]], np.uint8)).save(path)
    np.testing.assert_array_equal(read_pixels(path), [[0.0, 1.0, 0.2]])
    with pytest.raises(ValueError, match="square"):
        read_image(path)


def test_arrays_are_read_as_they_are(tmp_path):
    path = tmp_path / "image.npy"
    np.save(path, noise(6, 1).astype(np.float32))
    image = read_image(path)
    assert image.dtype == np.float32
    np.testing.assert_array_equal(image, noise(6, 1).astype(np.float32))


def test_checked_image_is_a_read_only_copy():
    original = np.ones((2, 2), int)
    image = checked_image(original)
    original[0, 0] = 5
    assert image[0, 0] == 1.0
    assert image.dtype == np.float64
    assert not image.flags.writeable


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((3, 4)), r"must be a square matrix .* not of shape \(3, 4\)"),
        (np.zeros((0, 0)), r"not of shape \(0, 0\)"),
        (np.zeros(4), "square matrix"),
        (np.full((2, 2), np.nan), "holds NaN or infinity"),
        (np.full((2, 2), -np.inf), "holds NaN or infinity"),
        (np.full((2, 2), 1j), "must hold real numbers, not complex128"),
    ],
)
def test_wrong_images_are_refused(image, message):
    with pytest.raises(ValueError, match=message):
        checked_image(image)


@pytest.mark.parametrize("name", ["missing.png", "missing.npy", "text.png", "text.npy", "objects.npy", "wide.npy"])
def test_unreadable_files_are_refused(tmp_path, name):
    (tmp_path / "text.png").write_text("no picture")
    (tmp_path / "text.npy").write_text("no array")
    np.save(tmp_path / "objects.npy", np.array([{}, []], object), allow_pickle=True)
    np.save(tmp_path / "wide.npy", np.zeros((2, 3)))
    with pytest.raises(ValueError, match=f"cannot read an image from .*{name}|square matrix"):
        read_image(tmp_path / name)


def test_wrong_sizes_and_seeds_are_named():
    with pytest.raises(ValueError, match="at least 1 pixel, not 0"):
        checkerboard(0)
    with pytest.raises(ValueError, match=r"0 \.\.\. 2\*\*32 - 1, not -1"):
        noise(4, -1)


def png_of(width, height):
    """A picture whose header promises so many pixels, and which holds none."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    data = b"IDAT" + zlib.compress(b"")
    chunks = (
        struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk)) for chunk in (header, data)
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


@pytest.mark.parametrize(("width", "height"), [(9000, 9000), (12_000, 12_000), (2**31 - 1, 2**31 - 1), (8193, 1)])
def test_a_picture_that_decompresses_to_very_much_is_refused_before_it_does(tmp_path, width, height):
    (tmp_path / "bomb.png").write_bytes(png_of(width, height))
    with pytest.raises(ValueError, match=r"bomb.png: .*(at most 8,192 pixels|decompression bomb|exceeds limit)"):
        read_image(tmp_path / "bomb.png")


@pytest.mark.parametrize("shape", ["(2305843009213693952, 1)", "(9000, 9000)", "(-1, 4)", "(1.5, 2)", "(" * 500])
def test_an_array_whose_header_lies_is_refused(tmp_path, shape):
    header = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    magic = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header))
    (tmp_path / "lies.npy").write_bytes(magic + header.encode() + bytes(64))
    with pytest.raises(ValueError, match=r"cannot read an image from .*lies\.npy"):
        read_image(tmp_path / "lies.npy")


def test_a_picture_in_a_language_that_another_program_runs_is_refused(tmp_path):
    (tmp_path / "postscript.png").write_bytes(
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n(x) run\n"
    )
    with pytest.raises(ValueError, match="cannot identify image file"):
        read_image(tmp_path / "postscript.png")


@given(position=st.integers(0, 2**16), value=st.integers(0, 255), cut=st.integers(0, 200))
def test_a_broken_picture_is_an_image_or_an_error(position, value, cut, tmp_path_factory):
    whole = io.BytesIO()
    Image.fromarray(np.arange(256, dtype=np.uint8).reshape(16, 16)).save(whole, "PNG")
    content = bytearray(whole.getvalue())
    content[position % len(content)] = value
    path = tmp_path_factory.getbasetemp() / "broken.png"
    path.write_bytes(bytes(content[: len(content) - cut % 3 * 50]))
    with contextlib.suppress(ValueError):
        assert read_image(path).shape == (16, 16)
