import io

import numpy as np
import pytest
from PIL import Image

from lastbit.explore.layer import OWN, PICTURES, SIDE, choose_picture, own_picture
from lastbit.pde import checkerboard


def as_png(pixels):
    written = io.BytesIO()
    Image.fromarray(np.asarray(pixels, np.uint8)).save(written, "PNG")
    return written.getvalue()


def as_npy(array):
    written = io.BytesIO()
    np.save(written, array)
    return written.getvalue()


def test_a_wide_picture_is_cut_to_its_middle_square_and_scaled_to_grey_levels_from_0_to_1():
    pixels = np.zeros((128, 300))
    pixels[:, 86:214] = 255
    np.testing.assert_array_equal(own_picture("wide.png", as_png(pixels)), np.ones((SIDE, SIDE)))
    tall = own_picture("tall.png", as_png(pixels.T[:128]))
    assert tall[0].max() == 0.0
    assert tall[-1].min() == 1.0


def test_a_picture_of_the_right_size_is_kept_as_it_is():
    pixels = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE))
    np.testing.assert_allclose(own_picture("a.png", as_png(pixels)), pixels / 255, rtol=1e-6)
    np.testing.assert_allclose(own_picture("a.npy", as_npy(pixels - 7.0)), pixels - 7.0)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("letter.txt", b"Dear picture,"),
        ("letter.png", b"Dear picture,"),
        ("empty.png", b""),
        ("cut.png", as_png(np.zeros((90, 90)))[:40]),
        ("nan.npy", as_npy(np.full((70, 70), np.nan))),
        ("large.npy", as_npy(np.full((70, 70), 1e300))),
        ("volume.npy", as_npy(np.zeros((4, 70, 70)))),
        ("nothing.npy", as_npy(np.zeros((0, 5)))),
        ("words.npy", as_npy(np.array([["a"]]))),
        ("objects.npy", as_npy(np.array([[None]], dtype=object))),
        ("..", b"x"),
    ],
)
def test_what_is_no_picture_is_reported_in_one_line_and_the_checkerboard_shown(name, content):
    chosen = choose_picture(OWN, [(name, content)])
    assert chosen.complaint.endswith("This is the checkerboard.")
    assert "\n" not in chosen.complaint
    assert "/tmp" not in chosen.complaint
    np.testing.assert_array_equal(chosen.image, checkerboard(SIDE))


def test_the_last_of_several_files_counts_and_a_name_decides_between_them_and_the_bundled_ones():
    white = as_png(np.full((80, 80), 255))
    assert choose_picture(OWN, [("a.txt", b"x"), ("b.png", white)]).image.min() == 1.0
    assert choose_picture(OWN, []).complaint
    assert choose_picture("noise", [("b.png", white)]).complaint == ""
    np.testing.assert_array_equal(choose_picture("noise", []).image, PICTURES["noise"]())


def test_bundled_pictures_are_grey_levels_and_differ():
    pictures = [PICTURES[name]() for name in ("sneaker", "shirt", "digit 0")]
    assert all(0.0 <= image.min() < 0.1 and 0.5 < image.max() <= 1.0 for image in pictures)
    assert len({image.tobytes() for image in pictures}) == 3
