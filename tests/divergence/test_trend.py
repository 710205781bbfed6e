"""Intervals of a slope: closed forms, and how often they hold the truth."""

import chaotic_maps as maps
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import fft, stats

from lastbit.divergence import fit_trend


def random_walk(rng, n):
    return rng.standard_normal(n).cumsum()


def walk_and_fluctuation(rng, n):
    return random_walk(rng, n) + rng.standard_normal(n)


def independent(rng, n):
    return rng.standard_normal(n)


def tangent(rng, n):
    """Tangent vectors of Henon's map, less their mean growth."""
    return maps.tangent_henon(rng, n) - maps.HENON * np.arange(n)


@given(st.floats(-3, 3), st.floats(-100, 100), st.lists(st.integers(1, 50), min_size=2, max_size=30))
def test_finds_the_slope_of_a_line_whatever_the_steps(rate, level, gaps):
    steps = np.cumsum([0, *gaps]).astype(float)
    found = fit_trend(steps, level + rate * steps)
    assert found.rate == pytest.approx(rate, abs=1e-6)
    assert found.lower <= found.rate <= found.upper
    assert found.upper - found.lower < 1e-3


@pytest.mark.parametrize(("size", "cosines"), [(3, 1), (4, 2), (10, 2), (30, 4), (100, 9), (1001, 40)])
def test_the_interval_is_students_with_the_slowest_cosines_of_the_increments(size, cosines):
    """Scipy's discrete cosine transform is the oracle."""
    values = walk_and_fluctuation(np.random.default_rng(0), size)
    coefficients = fft.dct(np.diff(values), norm="ortho")[1 : 1 + cosines]
    error = np.sqrt(np.mean(coefficients**2) / (size - 1))
    found = fit_trend(np.arange(size, dtype=float), values)
    assert found.rate == pytest.approx((values[-1] - values[0]) / (size - 1))
    assert found.upper - found.rate == pytest.approx(stats.t.ppf(0.975, cosines) * error)
    assert found.rate - found.lower == pytest.approx(found.upper - found.rate)


def test_of_a_random_walk_seen_at_uneven_steps_the_interval_is_exact():
    """As a study's snapshots are; 2,000 series tell 95 from 93 %."""
    rng, steps = np.random.default_rng(0), np.unique(np.geomspace(1, 300, 24).round())
    gaps = np.diff(steps)
    walks = np.cumsum(rng.standard_normal((2000, len(gaps))) * np.sqrt(gaps), axis=1)
    found = [fit_trend(steps, np.concatenate([[0.0], walk])) for walk in walks]
    held = np.mean([trend.lower <= 0 <= trend.upper for trend in found])
    assert abs(held - 0.95) < 4 * np.sqrt(0.95 * 0.05 / 2000)


@pytest.mark.parametrize(
    ("make", "size", "least", "most"),
    [
        (random_walk, 10, 0.93, 0.97),
        (random_walk, 60, 0.93, 0.97),
        (walk_and_fluctuation, 30, 0.93, 0.98),
        (walk_and_fluctuation, 100, 0.93, 0.97),
        (tangent, 30, 0.92, 0.98),
        (independent, 30, 0.97, 1.0),
    ],
)
def test_the_interval_holds_the_truth_about_as_often_as_it_says(make, size, least, most):
    rng = np.random.default_rng(0)
    found = [fit_trend(np.arange(size, dtype=float), make(rng, size)) for _ in range(1500)]
    assert least <= np.mean([trend.lower <= 0 <= trend.upper for trend in found]) <= most


def test_a_least_squares_interval_would_hold_it_far_too_seldom():
    rng = np.random.default_rng(0)
    lines = [stats.linregress(np.arange(60), random_walk(rng, 60)) for _ in range(200)]
    assert np.mean([abs(line.slope) <= stats.t.ppf(0.975, 58) * line.stderr for line in lines]) < 0.35


def test_two_values_are_too_few():
    with pytest.raises(ValueError, match="at least 3 values, got 2"):
        fit_trend(np.arange(2.0), np.arange(2.0))
