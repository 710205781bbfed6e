"""The winner's correction against the authors' idea in other software, and against simulation."""

import numpy as np
import pytest

from lastbit.errors import LastbitError
from lastbit.statistics.winner import winner

MANY = 1e9  # degrees of freedom


def test_it_is_multiple_inferences_hybrid_estimate():
    # multiple-inference 1.2.0: RankCondition([93.0, 93.5, 93.9, 94.1], 0.04 I).fit(beta=0.005), the last column. Its
    # projection is simulated, which moves the lower bound.
    found = winner(np.array([93.0, 93.5, 93.9, 94.1]), np.full(4, 0.2), MANY)
    assert (found.index, found.mean) == (3, 94.1)
    assert found.corrected == pytest.approx(94.03751, abs=2e-4)
    assert (found.lower, found.upper) == (pytest.approx(93.4801, abs=0.01), pytest.approx(94.4954, abs=1e-3))


def test_a_clear_winner_is_hardly_corrected_and_a_close_one_is():
    clear = winner(np.array([90.0, 95.0]), np.full(2, 0.2), MANY)
    assert clear.overstatement < 1e-6
    assert (clear.lower, clear.upper) == (pytest.approx(95 - 0.4, abs=0.02), pytest.approx(95 + 0.4, abs=0.02))
    close = winner(np.array([94.99, 95.0]), np.full(2, 0.2), MANY)
    assert close.overstatement > 0.15
    assert close.lower < clear.lower


def test_the_smallest_wins_where_less_is_better():
    up, down = winner(np.array([1.0, 2.0, 2.1]), np.full(3, 0.1), 20), None
    down = winner(-np.array([1.0, 2.0, 2.1]), np.full(3, 0.1), 20, lower_is_better=True)
    assert (down.index, down.corrected) == (up.index, pytest.approx(-up.corrected))
    assert (down.lower, down.upper) == (pytest.approx(-up.upper), pytest.approx(-up.lower))
    assert down.overstatement == pytest.approx(up.overstatement)


def test_a_single_recipe_wins_nothing():
    with pytest.raises(LastbitError, match="at least two"):
        winner(np.array([1.0]), np.array([1.0]), 3)


@pytest.mark.parametrize("apart", [0.0, 0.5, 2.0])
def test_the_interval_covers_and_the_correction_is_right_in_the_median(apart):
    generator, truth, dof = np.random.default_rng(0), np.linspace(0, apart, 10), 40
    covered, above, naive = [], [], []
    for _ in range(2000):
        errors = np.full(10, np.sqrt(generator.chisquare(dof) / dof))
        found = winner(truth + generator.normal(0, 1, 10), errors, dof)
        covered.append(found.lower <= truth[found.index] <= found.upper)
        above.append(found.corrected > truth[found.index])
        naive.append(found.mean > truth[found.index])
    assert np.mean(covered) == pytest.approx(0.95, abs=0.02)
    assert np.mean(above) == pytest.approx(0.5, abs=0.05)
    assert np.mean(naive) > 0.75
