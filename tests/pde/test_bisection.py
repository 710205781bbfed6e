"""Empirical bounds against the exact ones."""

import numpy as np
import pytest

from lastbit.pde.bisection import empirical_bounds
from lastbit.pde.images import checkerboard, noise, random_kernel
from lastbit.pde.one_layer import OneLayerCNN

NOISE = OneLayerCNN(noise(32, 3), 6)


@pytest.mark.parametrize(
    ("net", "lr", "scheme"),
    [
        (OneLayerCNN(checkerboard(48), 12), 1e-6, {}),
        (NOISE, 1e-3, {}),
        (NOISE, 1e-3, {"momentum": 0.9}),
        (NOISE, 1e-3, {"momentum": 0.9, "nesterov": True}),
        (OneLayerCNN(noise(32, 3), 6, boundary="circular", pool="mean"), 1.0, {}),
    ],
)
def test_both_bounds_within_one_per_cent(net, lr, scheme):
    exact = net.bounds(lr=lr, **scheme)
    found = empirical_bounds(
        net.transitioning(), random_kernel(net.kernel, 7), lr=lr, steps=600, tolerance=3e-3, **scheme
    )
    assert not exact.empty
    assert not found.empty
    assert found.lower == pytest.approx(exact.lower, rel=0.01)
    assert found.upper == pytest.approx(exact.upper, rel=0.01)
    # Stable weight decays were found, so they lie inside, but for what a finite run misses.
    assert found.simulations < 60


@pytest.mark.parametrize("image", [noise(32, 3), checkerboard(32)])
def test_positive_residual_needs_no_weight_decay(image):
    net = OneLayerCNN(image, 6, label=0)
    lr = net.bounds(weight_decay=0.0).upper / 2
    found = empirical_bounds(net.transitioning(), random_kernel(6, 7), lr=lr, steps=500)
    assert found.lower == 0.0
    assert found.upper == pytest.approx(net.bounds(lr=lr).upper, rel=0.01)


def test_weight_decay_alone_is_bounded_by_the_edge():
    """At lr alpha = 1 the kernel vanishes in one step, which is stable too."""
    found = empirical_bounds(NOISE.not_activated(), random_kernel(6, 7), lr=0.5, steps=50)
    assert found.lower == 0.0
    assert found.upper == pytest.approx(4.0, rel=2e-3)


def test_an_empty_band_is_found_empty():
    exact = NOISE.bounds(lr=0.1)
    assert exact.empty
    found = empirical_bounds(NOISE.transitioning(), random_kernel(6, 7), lr=0.1, steps=200)
    assert found.empty
    assert np.isnan(found.upper)


def test_a_band_as_narrow_as_a_few_per_cent_is_found():
    spectrum = NOISE.transitioning().spectrum("exact")
    lr = 2.0 / (1.04 * (spectrum.highest.value - spectrum.lowest.value))
    exact = NOISE.bounds(lr=lr)
    found = empirical_bounds(NOISE.transitioning(), random_kernel(6, 7), lr=lr, steps=800, tolerance=3e-3)
    assert (found.lower, found.upper) == pytest.approx((exact.lower, exact.upper), rel=0.01)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lr": 0.0}, "learning rate must be positive"),
        ({"steps": 0}, "at least 1 step"),
        ({"tolerance": 0.0}, "tolerance must lie between 0 and 1, not 0.0"),
        ({"kernel": np.zeros((6, 6))}, "must not be zero"),
        ({"momentum": -1.0}, "momentum must lie"),
    ],
)
def test_wrong_input_is_named(options, message):
    with pytest.raises(ValueError, match=message):
        empirical_bounds(NOISE.transitioning(), **{"kernel": np.ones((6, 6)), "lr": 0.1, **options})
