"""Power against published tables, scipy's own noncentral t, and simulated comparisons."""

from math import ceil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.power import TTestIndPower, TTestPower

from lastbit.statistics.power import RUNS, Design, between_recipes, least_noncentrality
from lastbit.statistics.spread import spread


@pytest.mark.parametrize(("effect", "published"), [(0.2, 394), (0.5, 64), (0.8, 26), (1.0, 17)])
def test_runs_needed_for_two_samples_are_the_published_ones(effect, published):
    """Cohen's effects at 80 %, two-sided 5 %, as R's power.t.test has them: 393.4, 63.77, 25.52, 16.71, rounded up."""
    assert Design(np.sqrt(2), 0.5).runs_needed(effect) == published


@pytest.mark.parametrize(("effect", "published"), [(0.5, 34), (0.8, 15), (1.0, 10)])
def test_runs_needed_for_pairs_are_the_published_ones(effect, published):
    """R's power.t.test(type = "paired"): 33.37, 14.30, 9.938, rounded up."""
    assert Design(1.0).runs_needed(effect) == published


@pytest.mark.parametrize("level", [0.05, 0.01, 0.002])
@pytest.mark.parametrize("effect", [0.3, 1.0])  # of 3, statsmodels' power is NaN, and what it solves is wrong
def test_a_smaller_level_takes_the_runs_of_statsmodels(level, effect):
    pairs = TTestPower().solve_power(effect, power=0.8, alpha=level)
    samples = TTestIndPower().solve_power(effect, power=0.8, alpha=level)
    assert Design(1.0, level=level).runs_needed(effect) == ceil(pairs)
    # statsmodels pools the variances, which shows a little more than Welch's test.
    assert Design(np.sqrt(2), 0.5, level).runs_needed(effect) in (ceil(samples), ceil(samples) + 1)
    assert Design(1.0, level=level).power(effect, 9) == pytest.approx(TTestPower().power(effect, 9, level), abs=1e-6)


@pytest.mark.parametrize("dof", [1, 1.3, 2, 5, 10, 100])
def test_the_noncentrality_gives_80_percent_by_scipys_distribution(dof):
    limit = stats.t.ppf(0.975, dof)
    assert stats.nct.sf(limit, dof, least_noncentrality(dof)) == pytest.approx(0.8, abs=1e-6)


@pytest.mark.parametrize(("runs", "gain"), [(3, 1.0), (6, 0.0), (6, 1.0), (12, 0.8)])
def test_power_is_the_share_of_simulated_comparisons_that_find_the_gain(runs, gain):
    generator = np.random.default_rng(1)
    a, b = generator.normal(gain, 0.7, (20_000, runs)), generator.normal(0, 0.7, (20_000, runs))
    found = np.mean(stats.ttest_ind(a, b, axis=1, equal_var=False).pvalue < 0.05)
    design = between_recipes(spread(np.array([0.0, 0.7 * np.sqrt(2)])))
    assert design.std == pytest.approx(0.7 * np.sqrt(2))
    assert design.power(gain, runs) == pytest.approx(found, abs=0.01)


def test_the_normal_approximation_would_promise_too_much():
    z = stats.norm.ppf(0.975) + stats.norm.ppf(0.8)
    assert Design(1.0).least_gain(4) == pytest.approx(1.52 * z / 2, rel=0.01)


@given(st.floats(1e-3, 1e3), st.sampled_from([None, 0.1, 0.5, 1.0]), st.floats(1e-3, 1e3))
def test_runs_needed_are_the_fewest_that_show_the_gain(std, share, gain):
    design = Design(std, share)
    runs = design.runs_needed(gain)
    if runs is None:
        assert design.least_gain(1_000_000) > gain
        return
    assert design.least_gain(runs) <= gain * (1 + 1e-9)
    assert runs == 2 or design.least_gain(runs - 1) > gain
    assert runs == design.runs_needed(-gain)
    assert design.power(gain, runs) >= 0.8 - 1e-6


def test_more_runs_show_smaller_gains():
    gains = Design(1.0, 0.5).least_gains()
    assert tuple(gains) == RUNS
    assert sorted(gains.values(), reverse=True) == list(gains.values())


def test_what_does_not_spread_is_seen_at_once_and_nothing_is_never_seen():
    still = Design(0.0, 0.5)
    assert (still.runs_needed(0.1), still.least_gain(2), still.power(0.1, 2), still.power(0, 2)) == (2, 0, 1, 0)
    assert Design(1.0, 0.5).runs_needed(0) is None
    assert Design(1.0, 0.5).runs_needed(1e-4) is None
    assert Design(1.0, 0.5).power(1e9, 6) == 1.0


def test_one_run_tells_nothing():
    with pytest.raises(ValueError, match="runs = 1: at least 2"):
        Design(1.0, 0.5).least_gain(1)


@pytest.mark.parametrize(("runs", "share"), [(2, 0.5), (3, 0.5), (3, 0.8), (6, 0.95), (12, 0.3)])
def test_welchs_least_gain_is_found_in_80_percent_of_simulations(runs, share):
    generator = np.random.default_rng(runs)
    gain = Design(1.0, share).least_gain(runs)
    a = generator.normal(gain, np.sqrt(share), (40_000, runs))
    b = generator.normal(0, np.sqrt(1 - share), (40_000, runs))
    found = np.mean(stats.ttest_ind(a, b, axis=1, equal_var=False).pvalue < 0.05)
    assert found == pytest.approx(0.8, abs=0.008)


def test_welch_with_all_spread_on_one_side_is_the_test_of_that_side():
    for runs in (2, 5, 20):
        assert Design(1.0, 1.0).least_gain(runs) == pytest.approx(Design(1.0).least_gain(runs), rel=1e-5)
        assert Design(1.0, 0.3).least_gain(runs) == pytest.approx(Design(1.0, 0.7).least_gain(runs), rel=1e-5)


def test_many_runs_know_their_degrees_of_freedom():
    assert Design(1.0, 0.3).least_gain(101) == pytest.approx(Design(1.0, 0.3).least_gain(100), rel=0.01)
