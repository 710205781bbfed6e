"""The winner's correction: its distribution is the likeliest one, and simulated winners are what it says."""

import numpy as np
import pytest
from scipy import special, stats

from lastbit.errors import LastbitError
from lastbit.statistics.winner import distribution_of_means, winner

MANY = 1e9  # degrees of freedom


@pytest.mark.parametrize("spread", [0.0, 1.0, 4.0])
def test_no_other_distribution_of_the_true_means_is_likelier(spread):
    # Lindsay's (1983) condition: the derivative of the log-likelihood towards a point mass is nowhere positive.
    generator = np.random.default_rng(0)
    means, errors = generator.normal(0, spread, 12) + generator.normal(0, 1, 12), np.full(12, 1.0)
    places, masses = distribution_of_means(means, errors)
    assert masses.sum() == pytest.approx(1)
    densities = stats.norm.pdf(means[:, None], places, errors[:, None])
    derivative = (densities / (densities @ masses)[:, None]).mean(0) - 1
    assert derivative.max() < 0.01
    assert np.sum(derivative * masses) == pytest.approx(0, abs=1e-9)


def test_two_equals_share_their_mean_and_a_clear_winner_keeps_its_own():
    close = winner(np.array([94.9, 95.0]), np.full(2, 0.2), MANY)
    assert close.corrected == pytest.approx(94.95, abs=1e-3)
    clear = winner(np.array([90.0, 90.1, 95.0]), np.full(3, 0.2), MANY)
    assert (clear.index, clear.mean) == (2, 95.0)
    assert clear.overstatement < 1e-6


def test_the_interval_reaches_upwards_as_for_one_and_downwards_as_for_the_largest_of_all():
    found = winner(np.array([1.0, 2.0, 3.0]), np.full(3, 0.5), 12)
    assert found.upper == pytest.approx(3 + 0.5 * stats.t.ppf(0.975, 12))
    assert stats.t.cdf((3 - found.lower) / 0.5, 12) ** 3 == pytest.approx(0.975)


def test_the_smallest_wins_where_less_is_better():
    up = winner(np.array([1.0, 2.0, 2.1]), np.full(3, 0.1), 20)
    down = winner(-np.array([1.0, 2.0, 2.1]), np.full(3, 0.1), 20, lower_is_better=True)
    assert (down.index, down.corrected) == (up.index, pytest.approx(-up.corrected))
    assert (down.lower, down.upper) == (pytest.approx(-up.upper), pytest.approx(-up.lower))
    assert down.overstatement == pytest.approx(up.overstatement)


def test_means_that_lie_a_million_errors_apart_underflow_nothing():
    found = winner(np.array([0.0, 1e6, -1e6]), np.full(3, 1.0), MANY)
    assert (found.index, found.corrected) == (1, pytest.approx(1e6))


def test_a_single_recipe_wins_nothing():
    with pytest.raises(LastbitError, match="at least two"):
        winner(np.array([1.0]), np.array([1.0]), 3)


@pytest.mark.parametrize(
    "truth", [np.zeros(10), special.ndtri((np.arange(10) + 0.5) / 10), np.append(np.zeros(9), 6.0)]
)
def test_the_interval_covers_and_the_correction_is_about_what_winners_overstate(truth):
    generator, dof = np.random.default_rng(0), 40
    covered, corrections, overstated = [], [], []
    for _ in range(150):
        errors = np.full(10, np.sqrt(generator.chisquare(dof) / dof))
        found = winner(truth + generator.normal(0, 1, 10), errors, dof)
        covered.append(found.lower <= truth[found.index] <= found.upper)
        corrections.append(found.overstatement)
        overstated.append(found.mean - truth[found.index])
    assert np.mean(covered) >= 0.92
    assert np.mean(corrections) == pytest.approx(np.mean(overstated), abs=0.4)
