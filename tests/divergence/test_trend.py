"""Intervals of a slope: closed forms, and how often they hold the truth."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from lastbit.divergence import fit_trend
from lastbit.divergence.trend import _fit


def random_walk(rng, n):
    return rng.standard_normal(n).cumsum()


def walk_and_fluctuation(rng, n):
    return random_walk(rng, n) + rng.standard_normal(n)


def independent(rng, n):
    return rng.standard_normal(n)


@given(st.floats(-3, 3), st.floats(-100, 100), st.lists(st.integers(1, 50), min_size=2, max_size=30))
def test_finds_the_slope_of_a_line_whatever_the_steps(rate, level, gaps):
    steps = np.cumsum([0, *gaps]).astype(float)
    found = fit_trend(steps, level + rate * steps)
    assert found.rate == pytest.approx(rate, abs=1e-6)
    assert found.lower <= found.rate <= found.upper
    assert found.upper - found.lower < 1e-3


def test_a_pure_random_walk_is_the_t_interval_of_its_increments():
    values = random_walk(np.random.default_rng(0), 30)
    fit = _fit(np.ones(29), np.diff(values), 1.0)
    assert fit.rate == pytest.approx(np.diff(values).mean())
    assert fit.error == pytest.approx(stats.sem(np.diff(values)))


def test_independent_errors_are_the_least_squares_line():
    values = independent(np.random.default_rng(0), 30)
    fit = _fit(np.ones(29), np.diff(values), 1e-9)
    line = stats.linregress(np.arange(30), values)
    assert fit.rate == pytest.approx(line.slope, rel=1e-5)
    assert fit.error == pytest.approx(line.stderr, rel=1e-5)


def test_the_likelihood_is_that_of_the_increments_without_their_level():
    rng = np.random.default_rng(1)
    gaps, share = rng.uniform(0.5, 3, 12), 0.3
    increments = rng.standard_normal(12)
    difference = np.diff(np.eye(13), axis=0)
    covariance = share * np.diag(gaps) + (1 - share) * difference @ difference.T
    inverse = np.linalg.inv(covariance)
    rate = gaps @ inverse @ increments / (gaps @ inverse @ gaps)
    rest = increments - rate * gaps
    expected = -0.5 * (
        np.linalg.slogdet(covariance)[1] + np.log(gaps @ inverse @ gaps) + 11 * np.log(rest @ inverse @ rest)
    )
    fit = _fit(gaps, increments, share)
    assert fit.rate == pytest.approx(rate)
    assert fit.log_likelihood == pytest.approx(expected)


@pytest.mark.parametrize(
    ("make", "size", "least", "most"),
    [
        (random_walk, 10, 0.90, 1.0),
        (random_walk, 60, 0.90, 0.99),
        (walk_and_fluctuation, 30, 0.87, 1.0),
        (independent, 30, 0.95, 1.0),
    ],
)
def test_the_interval_holds_the_truth_about_as_often_as_it_says(make, size, least, most):
    """benchmarks/growth.py takes the many series that tell 95 from 93 %."""
    rng = np.random.default_rng(0)
    found = [fit_trend(np.arange(size, dtype=float), make(rng, size)) for _ in range(150)]
    assert least <= np.mean([trend.lower <= 0 <= trend.upper for trend in found]) <= most


def test_a_least_squares_interval_would_hold_it_far_too_seldom():
    rng = np.random.default_rng(0)
    lines = [stats.linregress(np.arange(60), random_walk(rng, 60)) for _ in range(200)]
    assert np.mean([abs(line.slope) <= stats.t.ppf(0.975, 58) * line.stderr for line in lines]) < 0.35


def test_independent_errors_have_a_far_shorter_interval_than_a_random_walk_would():
    values = independent(np.random.default_rng(0), 60)
    found, walk = fit_trend(np.arange(60.0), values), _fit(np.ones(59), np.diff(values), 1.0)
    assert found.upper - found.lower < 0.3 * 4 * walk.error


def test_two_values_are_too_few():
    with pytest.raises(ValueError, match="at least 3 values, got 2"):
        fit_trend(np.arange(2.0), np.arange(2.0))
