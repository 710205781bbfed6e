"""Extreme eigenpairs against dense decompositions, degenerate and clustered spectra included."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lastbit.pde import spectrum as spectrum_module
from lastbit.pde.images import checkerboard, noise
from lastbit.pde.one_layer import OneLayerCNN
from lastbit.pde.spectrum import eigenvalue_extremes, symbol_extremes


def dense_eigenvalues(linear):
    side = linear.correlation.kernel
    matrix = linear.apply(np.eye(side**2).reshape(-1, side, side)).reshape(side**2, side**2)
    return np.linalg.eigvalsh(matrix)


IMAGES = {
    "noise": noise(24, 0),
    "smooth": np.cumsum(np.cumsum(noise(24, 0), axis=0), axis=1),
    "checkerboard": checkerboard(24),
    "constant": np.full((24, 24), 3.0),
    "one pixel": np.pad([[2.0]], (10, 13)),
    "zero": np.zeros((24, 24)),
}


@pytest.mark.parametrize("boundary", ["valid", "same", "circular"])
@pytest.mark.parametrize("image", IMAGES)
@pytest.mark.parametrize("kernel", [1, 5, 20])
def test_exact_spectrum_against_dense_eigenvalues(image, kernel, boundary):
    net = OneLayerCNN(IMAGES[image], kernel, boundary=boundary)
    linear = net.transitioning(-0.5 if boundary == "valid" else 0.5)
    found = linear.spectrum("exact")
    expected = dense_eigenvalues(linear)
    bound = linear.norm_bound()
    for mode, value in ((found.lowest, expected[0]), (found.highest, expected[-1])):
        assert mode.value == pytest.approx(value, rel=1e-9, abs=1e-10 * bound)
        # The certificate is true: an eigenvalue lies within the residual, and the pair satisfies its equation.
        assert np.abs(expected - mode.value).min() <= mode.residual + 1e-13 * bound
        assert mode.residual <= 1e-9 * bound
        assert mode.frequency is None
        assert np.linalg.norm(mode.vector) == pytest.approx(1.0, rel=1e-12)
        np.testing.assert_allclose(linear.apply(mode.vector), mode.value * mode.vector, atol=1e-9 * bound + 1e-300)
    assert np.abs(expected).max() <= bound * (1 + 1e-12)


def test_checkerboard_closed_form():
    """Every patch is plus or minus one pattern: lambda_max = 225^2 32^2, and 0 a thousandfold."""
    net = OneLayerCNN(checkerboard(256), 32)
    found = net.transitioning(-0.5).spectrum("exact")
    assert found.lowest.value == pytest.approx(-0.25 * 225**2 * 32**2, rel=1e-12)
    assert abs(found.highest.value) < 1e-9
    pattern = checkerboard(32) / 32
    assert abs(np.vdot(found.lowest.vector, pattern)) == pytest.approx(1.0, rel=1e-12)


def test_circular_full_window_is_the_largest_power():
    image = noise(20, 3)
    power = np.abs(np.fft.fft2(image)) ** 2
    found = OneLayerCNN(image, 20, boundary="circular").transitioning(0.5).spectrum("exact")
    assert found.highest.value == pytest.approx(0.25 * power.max(), rel=1e-12)
    assert found.lowest.value == pytest.approx(0.25 * power.min(), abs=1e-12 * power.max())


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 999), boundary=st.sampled_from(["valid", "same", "circular"]))
def test_windows_nest(seed, boundary):
    """The spectrum widens with the window, from one pixel to the Fourier range of the circular operator."""
    image = noise(16, seed)
    linears = [OneLayerCNN(image, w, boundary=boundary).transitioning(0.5) for w in (2, 6, 16)]
    ends = [linear.spectrum("exact") for linear in linears]
    if boundary == "circular":
        ends = [linears[0].spectrum("pixel"), *ends, linears[0].spectrum("infinite")]
        slack = 1e-9 * ends[-1].highest.value
        assert all(a.highest.value <= b.highest.value + slack for a, b in pairwise(ends))
        assert all(a.lowest.value >= b.lowest.value - slack for a, b in pairwise(ends))
    for linear in linears:
        assert linear.spectrum("exact").highest.value <= linear.norm_bound() * (1 + 1e-12)


def test_rank_one_part_is_included():
    net = OneLayerCNN(noise(18, 5) + 0.3, 12)
    linear = net.transitioning_moving_residual(0.4)
    expected = dense_eigenvalues(linear)
    found = linear.spectrum("exact")
    assert (found.lowest.value, found.highest.value) == pytest.approx((expected[0], expected[-1]), rel=1e-9)


def test_symbol_extremes_name_their_frequencies():
    symbol = np.zeros((4, 5))
    symbol[1, 2], symbol[3, 0] = -7.0, 9.0
    found = symbol_extremes(symbol)
    assert (found.lowest.value, found.lowest.frequency) == (-7.0, (1, 2))
    assert (found.highest.value, found.highest.frequency) == (9.0, (3, 0))
    assert found.highest.vector is None
    assert found.highest.residual == 0.0


def test_same_question_same_answer():
    linear = OneLayerCNN(noise(30, 1), 18).transitioning()
    first, second = linear.spectrum("exact"), linear.spectrum("exact")
    np.testing.assert_array_equal(first.lowest.vector, second.lowest.vector)
    assert first.products == second.products > 0


def test_a_good_start_saves_products():
    linear = OneLayerCNN(noise(30, 1), 18).transitioning()
    cold = linear.spectrum("exact")
    warm = eigenvalue_extremes(linear.apply, 18, linear.norm_bound(), start=cold)
    assert warm.products < cold.products
    assert warm.lowest.value == pytest.approx(cold.lowest.value, rel=1e-9)


def test_a_cluster_in_a_large_kernel_gets_a_looser_tolerance_and_says_so(monkeypatch):
    monkeypatch.setattr(spectrum_module, "DENSE_FALLBACK", 0)
    linear = OneLayerCNN(IMAGES["smooth"], 24, boundary="same").transitioning(0.5)
    found, expected, bound = linear.spectrum("exact"), dense_eigenvalues(linear), linear.norm_bound()
    assert found.highest.value == pytest.approx(expected[-1], rel=1e-9)
    assert abs(found.lowest.value - expected[0]) <= found.lowest.residual
    assert 1e-10 * bound < found.lowest.residual < 1e-3 * bound


def test_no_convergence_is_reported(monkeypatch):
    monkeypatch.setattr(spectrum_module, "DENSE_FALLBACK", 0)
    monkeypatch.setattr(spectrum_module, "TOLERANCES", (1e-30,))
    monkeypatch.setattr(spectrum_module, "RESTARTS", 1)
    with pytest.raises(ArithmeticError, match="no extreme eigenvalue of the operator on 18 x 18 kernels converged"):
        OneLayerCNN(noise(30, 1), 18).transitioning().spectrum("exact")


@pytest.mark.parametrize("value", [-3.0, 20.0])
def test_a_multiple_of_the_identity_has_one_eigenvalue(value):
    """The Hessian of a saturated network is weight decay alone; it comes after one that was not."""
    start = OneLayerCNN(noise(30, 1), 18).transitioning().spectrum("exact")
    found = eigenvalue_extremes(lambda kernels: value * kernels, 18, abs(value), start)
    assert (found.lowest.value, found.highest.value) == pytest.approx((value, value), rel=1e-12)
    assert found.highest.residual < 1e-10
