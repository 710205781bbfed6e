"""Bounds against published values, the definition of stability, and dense spectra."""

from math import inf

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from momentum_roots import largest_root

from lastbit.pde.images import checkerboard, noise
from lastbit.pde.momentum import Momentum
from lastbit.pde.one_layer import OneLayerCNN

BOARD = OneLayerCNN(checkerboard(256), 32)


def dense_eigenvalues(linear):
    side = linear.correlation.kernel
    return np.linalg.eigvalsh(linear.apply(np.eye(side**2).reshape(-1, side, side)).reshape(side**2, side**2))


def test_figure_4_bounds():
    """Sections 5.3: alpha between 1.3e7 (1.296e7) and 2e8 at lr = 1e-8, a = -1/2, beta = 1."""
    bounds = BOARD.bounds(lr=1e-8, residual=-0.5)
    assert bounds.lower == pytest.approx(0.25 * 225**2 * 32**2, rel=1e-10)
    assert bounds.lower == pytest.approx(1.296e7, rel=1e-12)
    assert bounds.upper == pytest.approx(2e8, rel=1e-12)
    assert not bounds.empty
    assert 1.3e7 in bounds
    assert 1.2e7 not in bounds
    assert (bounds.quantity, bounds.regime, bounds.window) == ("weight_decay", "transitioning", "exact")


def test_infinite_window_names_the_frequency_that_goes_first():
    bounds = BOARD.bounds(lr=1e-8, window="infinite")
    assert bounds.lower == pytest.approx(0.25 * 256**4, rel=1e-12)
    assert bounds.lower_critical.frequency == (128, 128)
    assert bounds.upper == pytest.approx(2e8, rel=1e-12)
    assert bounds.empty
    assert not BOARD.bounds(lr=1e-9, window="infinite").empty


def test_empty_band_is_stated():
    bounds = BOARD.bounds(lr=1e-6)
    assert bounds.empty
    assert bounds.lower > bounds.upper
    assert bounds.lower == pytest.approx(1.296e7)
    assert bounds.upper == pytest.approx(2e6)


def test_pixel_is_the_mean_of_the_power_spectrum():
    """Eq. 19, by Parseval."""
    image = noise(12, 1)
    bounds = OneLayerCNN(image, 5, beta=3.0).bounds(lr=1e-3, window="pixel", residual=-0.25)
    mean_power = np.mean(np.abs(np.fft.fft2(image)) ** 2)
    assert bounds.lower == pytest.approx(0.375 * mean_power, rel=1e-12)
    assert bounds.upper == pytest.approx(2e3 + 0.375 * mean_power, rel=1e-12)
    np.testing.assert_array_equal(bounds.lower_critical.vector, [[1.0]])


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 99),
    residual=st.floats(-1, 1).filter(lambda a: abs(a) > 1e-3),
    window=st.sampled_from(["infinite", "exact"]),
    scheme=st.sampled_from([Momentum(), Momentum(0.9), Momentum(0.5, nesterov=True)]),
    rate=st.floats(-4, 0),
    pool=st.sampled_from(["sum", "mean"]),
)
def test_every_mode_is_stable_inside_and_one_is_not_outside(seed, residual, window, scheme, rate, pool):
    """Both kinds of bounds, both signs of a, by the eigenvalues of the scheme's step for every mode."""
    net = OneLayerCNN(noise(9, seed), 4, pool=pool)
    linear = net.transitioning(residual)
    modes = linear.symbol().ravel() if window == "infinite" else dense_eigenvalues(linear)
    lr = 10.0**rate

    def largest_factor(lr, alpha):
        return max(largest_root(scheme, lr * (alpha + z)) for z in modes)

    options = {"window": window, "residual": residual, "momentum": scheme.mu, "nesterov": scheme.nesterov}
    decays = net.bounds(lr=lr, **options)
    if not decays.empty:
        width = decays.upper - decays.lower
        for share in (0.001, 0.5, 0.999):
            assert largest_factor(lr, decays.lower + share * width) < 1 + 1e-9
        assert largest_factor(lr, decays.upper + 0.01 * width) > 1
        if decays.lower > 0:
            assert largest_factor(lr, decays.lower - 0.01 * width) > 1
            assert largest_factor(lr, decays.lower) == pytest.approx(1.0, abs=1e-6)
        alpha = decays.lower + 0.3 * width
        rates = net.bounds(weight_decay=alpha, **options)
        assert lr in rates
        assert largest_factor(0.999 * rates.upper, alpha) < 1
        assert largest_factor(1.01 * rates.upper, alpha) > 1


def test_too_little_weight_decay_is_unstable_at_every_learning_rate():
    bounds = BOARD.bounds(weight_decay=1e7)
    assert bounds.empty
    assert (bounds.lower, bounds.upper) == (0.0, 0.0)
    assert BOARD.bounds(weight_decay=2e7).upper == pytest.approx(1e-7, rel=1e-9)


def test_positive_residual_needs_no_weight_decay():
    net = OneLayerCNN(checkerboard(16), 4, label=0)
    assert net.bounds(lr=1e-6).lower == 0.0
    bounds = net.bounds(weight_decay=0.0)
    assert bounds.upper == pytest.approx(2 / (0.25 * 13**2 * 4**2), rel=1e-9)


def test_constant_image_is_bounded_at_frequency_zero_and_by_weight_decay_alone():
    net = OneLayerCNN(np.full((16, 16), 2.0), 4)
    infinite = net.bounds(lr=1e-5, window="infinite")
    assert infinite.lower == pytest.approx(0.25 * (2 * 256) ** 2, rel=1e-12)
    assert infinite.lower_critical.frequency == (0, 0)
    assert infinite.upper == pytest.approx(2e5, rel=1e-12)
    assert infinite.upper_critical.frequency != (0, 0)
    exact = net.bounds(lr=1e-5)
    assert exact.lower == pytest.approx(0.25 * 13**2 * 4 * 16, rel=1e-12)
    np.testing.assert_allclose(exact.lower_critical.vector, np.full((4, 4), 0.25), atol=1e-9)


def test_zero_image_leaves_weight_decay_alone():
    net = OneLayerCNN(np.zeros((32, 32)), 16)
    bounds = net.bounds(lr=0.1)
    assert (bounds.lower, bounds.upper) == (0.0, 20.0)
    assert net.bounds(weight_decay=0.0).upper == inf


def test_mean_pooling_divides_the_operator():
    summed, averaged = (OneLayerCNN(checkerboard(32), 8, pool=pool).bounds(lr=1e-6) for pool in ("sum", "mean"))
    assert averaged.lower == pytest.approx(summed.lower / 25**2, rel=1e-9)


def test_damping_free_bound_is_the_papers():
    """Theorem 5.6: alpha < 4 / (3 dt^2) with dt^2 = 2 lr / (1 + mu)."""
    bounds = BOARD.bounds(lr=1e-9, momentum=0.9, nesterov=True, damping_free=True)
    assert bounds.upper == pytest.approx(4 / (3 * 2 * 1e-9 / 1.9), rel=1e-9)
    assert bounds.upper < BOARD.bounds(lr=1e-9, momentum=0.9, nesterov=True).upper


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "exactly one of lr and weight_decay"),
        ({"lr": 1.0, "weight_decay": 1.0}, "exactly one of lr and weight_decay"),
        ({"lr": 0.0}, "learning rate must be positive and finite, not 0.0"),
        ({"lr": inf}, "learning rate must be positive and finite, not inf"),
        ({"weight_decay": -1.0}, "weight decay must be finite and at least 0, not -1.0"),
        ({"lr": 1.0, "window": "wide"}, "window must be one of infinite, pixel, exact, not 'wide'"),
        ({"lr": 1.0, "momentum": 1.5}, r"momentum must lie in \[0, 1\), not 1.5"),
        ({"lr": 1.0, "damping_free": True}, "for Nesterov momentum only"),
    ],
)
def test_wrong_input_is_named(options, message):
    with pytest.raises(ValueError, match=message):
        OneLayerCNN(checkerboard(8), 3).bounds(**options)
