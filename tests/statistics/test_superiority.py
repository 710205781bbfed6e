"""P(A > B) against Mann's and Whitney's U, published software, and the probability of normal runs."""

import numpy as np
import pytest
from scipy import special, stats

from lastbit.statistics.superiority import superiority

NEW = np.array([93.4, 93.1, 93.3, 93.6, 93.0])
OLD = np.array([93.0, 93.2, 92.9, 93.1, 93.0])


def test_it_is_mann_and_whitneys_statistic():
    assert superiority(NEW, OLD).value == pytest.approx(stats.mannwhitneyu(NEW, OLD).statistic / 25)
    assert superiority(OLD, NEW).value == pytest.approx(1 - superiority(NEW, OLD).value)


def test_it_is_mann_and_whitneys_statistic_of_runs_too_many_for_all_pairs():
    generator = np.random.default_rng(1)
    a, b = generator.integers(0, 1000, 200_000).astype(float), generator.integers(50, 900, 100_000).astype(float)
    assert superiority(a, b).value == pytest.approx(stats.mannwhitneyu(a, b).statistic / 2e10, rel=1e-12)


def test_it_is_rliables_probability_of_improvement():
    # rliable 1.2.0: metrics.probability_of_improvement(NEW[:, None], OLD[:, None])
    assert superiority(NEW, OLD).value == pytest.approx(0.82)


def test_the_bounds_are_where_newcombes_method_5_puts_them():
    found = superiority(NEW, OLD)
    for theta in (found.lower, found.upper):
        variance = theta * (1 - theta) / 25 * (1 + 4 * ((1 - theta) / (2 - theta) + theta / (1 + theta)))
        assert abs(theta - found.value) == pytest.approx(1.959964 * np.sqrt(variance), rel=1e-6)


def test_runs_that_are_all_larger_still_leave_doubt():
    found = superiority(np.array([3.0, 4.0, 5.0]), np.array([0.0, 1.0, 2.0]))
    assert (found.value, found.upper) == (1.0, 1.0)
    assert 0.4 < found.lower < 0.7
    assert superiority(np.ones(3), np.ones(3)).value == 0.5


@pytest.mark.parametrize(("runs", "shift", "std"), [((4, 4), 0.0, 1), ((5, 5), 1.0, 1), ((10, 6), 1.5, 2)])
def test_the_interval_covers(runs, shift, std):
    generator = np.random.default_rng(0)
    truth = special.ndtr(shift / np.hypot(1, std))
    found = [superiority(generator.normal(shift, 1, runs[0]), generator.normal(0, std, runs[1])) for _ in range(1200)]
    assert 0.93 <= np.mean([one.lower <= truth <= one.upper for one in found]) <= 1.0
