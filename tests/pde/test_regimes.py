"""Shares of positions, and the bounds of table 3."""

import numpy as np
import pytest

from lastbit.pde.bisection import regime_bounds
from lastbit.pde.correlation import FourierCorrelation, PatchCorrelation
from lastbit.pde.head import ACTIVATIONS, regime_shares
from lastbit.pde.images import checkerboard, noise, random_kernel
from lastbit.pde.one_layer import OneLayerCNN


def test_shares_count_positions():
    correlation = FourierCorrelation(noise(2, 0), 1, "valid")
    response = np.array([[0.6, -0.6, 0.5, -0.5], [2.0, 2.0, 2.0, 0.0]])
    np.testing.assert_array_equal(regime_shares(response, 2.0, correlation), [[0.25, 0.5, 0.25], [0.75, 0.25, 0.0]])
    assert ACTIVATIONS == ("activated", "transitioning", "not activated")


def test_shares_weigh_equal_patches():
    board, kernel = checkerboard(9), random_kernel(2, 1)
    shares = []
    for kind in (FourierCorrelation, PatchCorrelation):
        correlation = kind(board, 2, "valid")
        shares.append(regime_shares(correlation.forward(kernel), 3.0, correlation))
    np.testing.assert_allclose(shares[0], shares[1], rtol=1e-12)
    assert shares[0].sum() == pytest.approx(1.0, rel=1e-12)


def test_the_rule_is_where_the_tangent_of_the_slope_ends():
    beta = 2.0
    for z, slope in ((1 / beta, 1.0), (-1 / beta, 0.0)):
        assert 0.5 + beta * z / 2 == slope


def test_table_3():
    """The paper's stability column: transitioning as eq. 14, activated lr (alpha + sigma' I-bar^2), lr alpha < 2."""
    image = np.abs(noise(10, 0))
    net = OneLayerCNN(image, 10, boundary="circular")
    transitioning, activated, not_activated = regime_bounds(net, lr=1e-6, window="infinite")
    power = np.abs(np.fft.fft2(image)) ** 2
    assert transitioning.lower == pytest.approx(power.max() / 4)
    assert activated.lower == 0.0
    assert activated.upper == pytest.approx(2e6 - 0.25 * 100 * image.sum() ** 2)
    assert activated.upper_critical.frequency == (0, 0)
    assert (not_activated.lower, not_activated.upper) == (0.0, 2e6)
    assert [b.regime for b in (transitioning, activated, not_activated)] == [
        "transitioning",
        "activated",
        "not activated",
    ]


def test_exact_window_of_the_activated_regime_is_the_image_sum():
    net = OneLayerCNN(np.abs(noise(12, 0)), 3, pool="mean")
    activated = regime_bounds(net, lr=0.1, pooled=1.5)[1]
    windows = np.lib.stride_tricks.sliding_window_view(net.image, (10, 10))
    image_sum = windows.mean(axis=(-2, -1))
    sigma = 1 / (1 + np.exp(-1.5))
    assert activated.upper == pytest.approx(20.0 - sigma * (1 - sigma) * np.sum(image_sum**2), rel=1e-9)
    critical = activated.upper_critical.vector
    np.testing.assert_allclose(critical, image_sum / np.linalg.norm(image_sum), atol=1e-9)


def test_given_weight_decay_and_momentum():
    net = OneLayerCNN(noise(12, 0), 3)
    bounds = regime_bounds(net, weight_decay=500.0, momentum=0.9, nesterov=True, residual=-0.2)
    assert bounds[0].upper == net.bounds(weight_decay=500.0, momentum=0.9, nesterov=True, residual=-0.2).upper
    assert bounds[2].upper == pytest.approx(3.8 / 2.8 / 500.0)


def test_wrong_window_is_named():
    with pytest.raises(ValueError, match="window must be one of infinite, pixel, exact, not 'wide'"):
        regime_bounds(OneLayerCNN(noise(4, 0), 2), lr=1.0, window="wide")
