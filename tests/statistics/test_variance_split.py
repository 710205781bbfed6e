"""The variance split against simulation, and against an analysis of variance written out."""

import numpy as np
import pytest
from scipy import special

from lastbit.statistics.examples import Correctness, sampling_variance
from lastbit.statistics.variance import variance_split


def simulated(generator, seed_std, noise_std, noises=6, seeds=6):
    return generator.normal(0, seed_std, (1, seeds)) + generator.normal(0, noise_std, (noises, seeds))


def test_the_parts_are_those_of_the_analysis_of_variance():
    table = 90 + simulated(np.random.default_rng(0), 1.0, 0.5, 3, 5)
    found = variance_split(table, None)
    means = table.mean(0)
    within = sum((table[i, j] - means[j]) ** 2 for i in range(3) for j in range(5)) / (5 * 2)
    between = 3 * sum((mean - table.mean()) ** 2 for mean in means) / 4
    assert found.last_bit.std**2 == pytest.approx(within)
    assert found.batch_order.std**2 == pytest.approx((between - within) / 3)
    assert found.test_set is None
    assert found.shares()["last_bit"] == pytest.approx(within / (within + (between - within) / 3))


@pytest.mark.parametrize(("seed_std", "noise_std", "noises"), [(1.0, 0.5, 6), (0.5, 1.0, 6), (0.3, 1.0, 2)])
def test_intervals_cover_what_they_claim(seed_std, noise_std, noises):
    generator = np.random.default_rng(0)
    splits = [variance_split(simulated(generator, seed_std, noise_std, noises), None) for _ in range(1500)]
    for truth, name in ((seed_std, "batch_order"), (noise_std, "last_bit")):
        parts = [getattr(split, name) for split in splits]
        assert np.mean([part.lower <= truth <= part.upper for part in parts]) == pytest.approx(0.95, abs=0.02)


def test_a_negative_estimate_is_put_as_nothing_and_reported():
    found = variance_split(np.array([[1.0, 2.5], [2.0, 1.0], [3.0, 3.5]]), None).batch_order
    assert (found.std, found.lower, found.truncated) == (0.0, 0.0, True)
    assert found.upper > 0
    assert not variance_split(np.array([[1.0, 5.0], [1.1, 5.1]]), None).batch_order.truncated


def test_a_seed_with_a_missing_run_still_tells_about_the_last_bit():
    table = simulated(np.random.default_rng(3), 1.0, 0.5, 3, 4)
    table[1, 2] = np.nan
    found, without = variance_split(table, None), variance_split(np.delete(table, 2, axis=1), None)
    assert found.batch_order == without.batch_order
    assert (found.dropped_seeds, without.dropped_seeds) == (1, 0)
    within = [np.var(column[~np.isnan(column)], ddof=1) for column in table.T]
    assert found.last_bit.std**2 == pytest.approx(np.average(within, weights=[2, 2, 1, 2]))


@pytest.mark.parametrize("table", [np.full((2, 3), np.nan), np.array([[90.0]])])
def test_what_so_few_runs_cannot_tell_is_none(table):
    found = variance_split(table, None)
    assert (found.batch_order, found.last_bit, found.test_set, found.shares()) == (None, None, None, {})


def test_nothing_varies_where_all_runs_agree():
    found = variance_split(np.full((3, 3), 90.0), None)
    assert (found.batch_order.std, found.batch_order.upper, found.last_bit.std, found.shares()) == (0, 0, 0, {})


def test_the_rounding_of_means_is_no_batch_order():
    """The seeds have the same runs in another order, so that sums round to other bits; or runs that are all alike."""
    runs = 90 + np.array([0.1, 0.37, 0.23, 0.71, 0.19, 0.43, 0.57])
    rolled = np.stack([np.roll(runs, at) for at in range(4)], axis=1)
    assert len(set(rolled.mean(0).tolist())) > 1
    found = variance_split(rolled, None).batch_order
    assert (found.std, found.lower, found.upper) == (0, 0, 0)
    alike = variance_split(np.tile(runs, (3, 1)), None)
    assert alike.batch_order.std == pytest.approx(runs.std(ddof=1), rel=1e-12)
    assert (alike.last_bit.std, alike.last_bit.upper) == (0, 0)


def right_or_wrong(generator, networks, examples):
    """Examples of different hardness, and chance in which network is right; the truth beside it, in points squared."""
    chance = special.expit(generator.normal(2, 2, examples))
    return 100.0 * (generator.random((networks, examples)) < chance)


@pytest.fixture(scope="module")
def sampling_truth():
    return 1e4 * np.var(special.expit(np.random.default_rng(9).normal(2, 2, 1_000_000)))


@pytest.mark.parametrize(("networks", "examples"), [(6, 1000), (2, 300)])
def test_the_test_sets_part_is_unbiased_and_its_interval_covers(sampling_truth, networks, examples):
    generator = np.random.default_rng(4)
    truth = sampling_truth / examples
    right = [right_or_wrong(generator, networks, examples) for _ in range(500)]
    assert np.mean([sampling_variance(one).variance for one in right]) == pytest.approx(truth, rel=0.02)
    table = np.zeros((1, networks))
    splits = [variance_split(table, Correctness(np.zeros(examples, int), one[None])) for one in right]
    covered = [split.test_set.lower <= np.sqrt(truth) <= split.test_set.upper for split in splits]
    assert all(split.by_example for split in splits)
    assert np.mean(covered) == pytest.approx(0.95, abs=0.025)


def test_a_single_network_has_the_binomials_part_with_its_interval():
    right = right_or_wrong(np.random.default_rng(5), 1, 2000)[None]
    table = right.mean(2)
    found = variance_split(table, Correctness(np.zeros(2000, int), right))
    p = table[0, 0] / 100
    assert not found.by_example
    assert found.test_set.std == pytest.approx(100 * np.sqrt(p * (1 - p) / 2000))
    assert found.test_set.lower < found.test_set.std < found.test_set.upper
    assert found.test_set == variance_split(table, None, examples=2000).test_set


@pytest.mark.parametrize(("accuracy", "lower", "upper"), [(100.0, 0.0, 1.01), (50.0, 2.9, 5.0), (0.0, 0.0, 1.01)])
def test_the_binomials_interval_at_its_ends_and_its_middle(accuracy, lower, upper):
    """The interval of the share itself is Clopper's and Pearson's: for 100 of 100 it begins at 0.9638."""
    found = variance_split(np.array([[accuracy]]), None, examples=100).test_set
    assert found.std == pytest.approx(np.sqrt(accuracy * (100 - accuracy) / 100))
    assert found.lower >= lower
    assert (
        found.upper <= upper
        if accuracy == 50.0
        else found.upper == pytest.approx(100 * np.sqrt(0.9638 * 0.0362 / 100), rel=1e-3)
    )


def test_two_noises_at_one_seed_count_as_two_networks():
    right = right_or_wrong(np.random.default_rng(6), 3, 500)[:, None]
    predicted = Correctness(np.zeros(500, int), right)
    assert predicted.per_seed.shape == (1, 500)
    found = variance_split(right.mean(2), predicted)
    assert found.by_example
    assert found.test_set.std**2 == pytest.approx(sampling_variance(right[:, 0]).variance)
