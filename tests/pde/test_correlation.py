"""Both correlations against a plain loop, and the adjoint against the forward map."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lastbit.pde.correlation import FourierCorrelation, PatchCorrelation, extended_image
from lastbit.pde.images import checkerboard, noise

cases = st.tuples(st.integers(1, 17), st.floats(0.0, 1.0), st.sampled_from(["valid", "same", "circular"]))


def loop(image, kernel_array, boundary):
    """z(x) = sum_y I(x + y) K(y), term by term."""
    n, w = image.shape[0], kernel_array.shape[0]
    side = n - w + 1 if boundary == "valid" else n
    shift = (w - 1) // 2 if boundary == "same" else 0
    z = np.zeros((side, side))
    for x1, x2, y1, y2 in np.ndindex(side, side, w, w):
        i, j = x1 + y1 - shift, x2 + y2 - shift
        if boundary == "circular":
            i, j = i % n, j % n
        if 0 <= i < n and 0 <= j < n:
            z[x1, x2] += image[i, j] * kernel_array[y1, y2]
    return z


@settings(deadline=None, max_examples=40)
@given(case=cases)
def test_fourier_is_the_defining_sum(case):
    size, share, boundary = case
    size = min(size, 9)
    w = max(1, round(share * size))
    image, kernel = noise(size, 1), noise(w, 2)
    correlation = FourierCorrelation(image, w, boundary)
    expected = loop(image, kernel, boundary)
    assert correlation.positions == expected.size
    np.testing.assert_allclose(correlation.forward(kernel), expected.ravel(), atol=1e-12)


@settings(deadline=None, max_examples=60)
@given(case=cases, seed=st.integers(0, 99))
def test_adjoint_is_the_adjoint(case, seed):
    size, share, boundary = case
    w = max(1, round(share * size))
    correlation = FourierCorrelation(noise(size, seed), w, boundary)
    rng = np.random.RandomState(seed)
    kernels, weights = rng.randn(2, 3, w, w), rng.randn(2, 3, correlation.positions)
    left = np.sum(correlation.forward(kernels) * weights, axis=-1)
    right = np.sum(kernels * correlation.adjoint(weights), axis=(-2, -1))
    np.testing.assert_allclose(left, right, rtol=1e-9, atol=1e-9)


@settings(deadline=None, max_examples=60)
@given(case=cases, seed=st.integers(0, 99), pattern=st.sampled_from(["noise", "checkerboard"]))
def test_patches_agree_with_fourier(case, seed, pattern):
    size, share, boundary = case
    w = max(1, round(share * size))
    image = noise(size, seed) if pattern == "noise" else checkerboard(size)
    fourier, patches = FourierCorrelation(image, w, boundary), PatchCorrelation(image, w, boundary)
    kernels = np.random.RandomState(seed).randn(4, w, w)
    assert patches.positions == fourier.positions
    for power in (1, 3):  # sums of any function of the responses must agree, however positions are merged
        merged = patches.total(patches.forward(kernels) ** power)
        spread = fourier.total(fourier.forward(kernels) ** power)
        np.testing.assert_allclose(merged, spread, rtol=1e-8, atol=1e-7 * w**3 * size**2)
    np.testing.assert_allclose(
        patches.adjoint(np.tanh(patches.forward(kernels))),
        fourier.adjoint(np.tanh(fourier.forward(kernels))),
        atol=1e-10 * size**2,
    )


@pytest.mark.parametrize("image", [noise(20, 0), checkerboard(20), np.ones((20, 20))])
def test_tiles_make_up_the_whole(image):
    for correlation in (PatchCorrelation(image, 5, "valid"), FourierCorrelation(image, 5, "valid")):
        kernels = np.random.RandomState(0).randn(3, 5, 5)
        total = sum(tile.total(np.tanh(tile.forward(kernels))) for tile in correlation.tiles)
        gathered = sum(tile.adjoint(np.tanh(tile.forward(kernels))) for tile in correlation.tiles)
        response = np.tanh(correlation.forward(kernels))
        np.testing.assert_allclose(total, correlation.total(response), rtol=1e-12)
        np.testing.assert_allclose(gathered, correlation.adjoint(response), atol=1e-11)
        assert correlation.total(np.ones(correlation.distinct)) == 16**2
        assert correlation.batch >= 1


@pytest.mark.parametrize("boundary", ["valid", "same", "circular"])
def test_extended_image_turns_every_boundary_into_valid(boundary):
    image, kernel = noise(7, 3), noise(4, 4)
    extended = extended_image(image, 4, boundary)
    np.testing.assert_allclose(
        FourierCorrelation(extended, 4, "valid").forward(kernel),
        FourierCorrelation(image, 4, boundary).forward(kernel),
        atol=1e-13,
    )


def test_single_precision_stays_single():
    image = noise(16, 0).astype(np.float32)
    for correlation in (FourierCorrelation(image, 5, "valid"), PatchCorrelation(image, 5, "valid")):
        z = correlation.forward(np.ones((5, 5), np.float32))
        assert z.dtype == np.float32
        assert correlation.adjoint(z).dtype == np.float32


def test_equal_patches_are_kept_once_with_their_number():
    correlation = PatchCorrelation(checkerboard(9), 4, "valid")
    assert correlation.distinct == 2
    np.testing.assert_array_equal(correlation.all_patches.multiplicity, [18, 18])
    np.testing.assert_array_equal(correlation.all_patches.patches[0], checkerboard(4).ravel())
    assert PatchCorrelation(noise(9, 0), 4, "valid").distinct == 36
