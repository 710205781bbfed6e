"""The intervals against simulation and scipy, the point estimates against the paper's own tables."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from lastbit.statistics.spread import least_difference, noise_share, noise_spread, seed_spread, spread
from lastbit.statistics.variance import sampling_error

# Table 1 of the paper: ResNet-56 on CIFAR-10, rows k = 1, 3, 5, 7, 9, 11, columns seeds 1 to 6.
PAPER = np.array(
    [
        [93.36, 93.40, 93.10, 93.14, 93.34, 93.33],
        [93.49, 93.37, 93.08, 93.68, 93.16, 93.12],
        [93.64, 93.22, 93.39, 93.17, 93.26, 93.42],
        [93.36, 93.31, 93.12, 93.23, 93.14, 93.28],
        [93.87, 93.55, 93.08, 93.35, 93.42, 93.41],
        [92.99, 93.31, 93.49, 93.48, 93.14, 93.56],
    ]
)
PAPER_ROWS, PAPER_COLUMNS = [0.11, 0.22, 0.16, 0.09, 0.24, 0.21], [0.27, 0.10, 0.16, 0.19, 0.10, 0.13]


def test_the_papers_table_has_population_standard_deviations():
    """The published STDs are those of ddof 0; ours, with ddof 1, are √(6/5) larger."""
    shrink = np.sqrt(5 / 6)
    assert [spread(row).std * shrink for row in PAPER] == pytest.approx(PAPER_ROWS, abs=0.011)
    assert [spread(column).std * shrink for column in PAPER.T] == pytest.approx(PAPER_COLUMNS, abs=0.011)


def test_pooled_spreads_are_root_mean_variances():
    assert noise_spread(PAPER).std == pytest.approx(np.sqrt(PAPER.var(0, ddof=1).mean()))
    assert seed_spread(PAPER).std == pytest.approx(np.sqrt(PAPER.var(1, ddof=1).mean()))
    assert noise_share(PAPER).value == pytest.approx(noise_spread(PAPER).std / seed_spread(PAPER).std)


def coverage(interval_of, truth, draw, rounds=2000):
    generator = np.random.default_rng(0)
    hits = 0
    for _ in range(rounds):
        found = interval_of(draw(generator))
        hits += found.lower <= truth <= found.upper
    return hits / rounds


def test_the_chi_square_interval_covers_what_it_claims():
    assert coverage(spread, 2.0, lambda g: g.normal(0, 2, 6)) == pytest.approx(0.95, abs=0.015)


def test_a_bootstrap_of_six_values_covers_far_less_than_it_claims():
    def covers(generator):
        values = generator.normal(0, 2, 6)
        resampled = generator.choice(values, (400, 6)).std(1, ddof=1)
        low, high = np.quantile(resampled, [0.025, 0.975])
        return low <= 2 <= high

    generator = np.random.default_rng(0)
    assert np.mean([covers(generator) for _ in range(1000)]) == pytest.approx(0.7, abs=0.05)


def two_way(generator, seed_std, noise_std, noises=6, seeds=6):
    return generator.normal(0, seed_std, (1, seeds)) + generator.normal(0, noise_std, (noises, seeds))


@pytest.mark.parametrize(("seed_std", "noise_std"), [(1.0, 0.5), (0.5, 1.0), (3.0, 0.1)])
def test_pooled_intervals_and_the_share_cover_what_they_claim(seed_std, noise_std):
    def draw(generator):
        return two_way(generator, seed_std, noise_std)

    together = np.hypot(seed_std, noise_std)
    assert coverage(noise_spread, noise_std, draw) == pytest.approx(0.95, abs=0.015)
    assert coverage(noise_share, noise_std / together, draw) == pytest.approx(0.95, abs=0.015)
    assert coverage(seed_spread, together, draw) == pytest.approx(0.95, abs=0.02)


def test_the_share_reaches_one_where_the_seed_does_nothing():
    found = noise_share(two_way(np.random.default_rng(1), 0.0, 1.0))
    assert found.upper == 1.0
    assert 0 < found.lower < 1


def test_noise_that_changes_nothing_is_a_share_of_nothing():
    table = np.tile([90.0, 91.0, 92.0], (4, 1))
    assert noise_spread(table).std == 0
    assert noise_share(table).value == noise_share(table).lower == noise_share(table).upper == 0


@given(hnp.arrays(float, (4, 5), elements=st.floats(0, 100, width=32)), st.floats(-50, 50))
@settings(max_examples=50)
def test_spreads_ignore_an_offset(table, offset):
    for estimate in (noise_spread, seed_spread):
        assert estimate(table + offset).std == pytest.approx(estimate(table).std, rel=1e-6, abs=1e-9)


def test_missing_runs_are_left_out():
    table = PAPER.copy()
    table[2, 4] = np.nan
    without = np.delete(PAPER, 4, axis=1)
    assert seed_spread(table) == seed_spread(without)
    assert noise_share(table) == noise_share(without)
    assert noise_spread(table).dof == 5 * 5 + 4


@pytest.mark.parametrize("table", [np.full((1, 1), 1.0), np.full((2, 2), np.nan), np.full((1, 3), np.nan)])
def test_too_small_a_table_has_no_spread(table):
    assert noise_spread(table) is None
    assert seed_spread(table) is None
    assert noise_share(table) is None


def test_sampling_error_is_the_binomials():
    assert sampling_error(93.0, 10_000) == pytest.approx(100 * stats.binom(10_000, 0.93).std() / 10_000)


def test_least_difference_is_exceeded_by_chance_one_time_in_twenty():
    """Two single runs of the same recipe, the spread estimated from others."""
    generator = np.random.default_rng(2)
    exceeded = []
    for _ in range(4000):
        limit = least_difference(spread(generator.normal(0, 1, 6)))
        one, other = generator.normal(0, 1, 2)
        exceeded.append(abs(one - other) > limit)
    assert np.mean(exceeded) == pytest.approx(0.05, abs=0.012)


def test_equal_values_have_no_spread_whatever_their_mean_rounds_to():
    assert spread(np.array([0.1, 0.1, 0.1])).std == 0
    assert np.var([0.1] * 3, ddof=1) > 0
