"""Churn and its interval: the mean over pairs by hand, the jackknife by leaving out, and coverage in simulations."""

from itertools import combinations
from statistics import fmean

import numpy as np
import pytest
from scipy import stats

from lastbit.statistics.churn import churn_by_batch_order, churn_by_last_bit, churn_interval
from lastbit.statistics.flips import MISSING_LABEL


def predictions(generator, noises=3, seeds=4, examples=50, classes=3):
    return generator.integers(0, classes, (noises, seeds, examples))


def test_of_the_last_bit_a_seed_has_the_mean_over_its_pairs_of_runs():
    labels = predictions(np.random.default_rng(1))
    for seed in range(4):
        pairs = [100 * np.mean(labels[i, seed] != labels[j, seed]) for i, j in combinations(range(3), 2)]
        assert churn_by_last_bit(labels)[seed] == pytest.approx(fmean(pairs))


def between_seeds(labels):
    """The mean over all pairs of runs of one noise, written out."""
    noises, seeds, _ = labels.shape
    return fmean(
        100 * np.mean(labels[k, s] != labels[k, t]) for k in range(noises) for s, t in combinations(range(seeds), 2)
    )


def test_of_batch_order_pseudo_values_are_those_of_leaving_seeds_out():
    labels = predictions(np.random.default_rng(2), seeds=5)
    values = churn_by_batch_order(labels)
    assert values.mean() == pytest.approx(between_seeds(labels))
    for seed in range(5):
        without = between_seeds(np.delete(labels, seed, axis=1))
        assert values[seed] == pytest.approx(5 * between_seeds(labels) - 4 * without)


def test_two_seeds_have_one_pair_and_no_interval():
    labels = predictions(np.random.default_rng(3), seeds=2)
    values = churn_by_batch_order(labels)
    assert values == pytest.approx([between_seeds(labels)] * 2)
    assert churn_interval(values) is None


def test_missing_runs_count_nowhere():
    labels = predictions(np.random.default_rng(4), noises=2)
    whole_last_bit, whole_order = churn_by_last_bit(labels), churn_by_batch_order(np.delete(labels, 1, axis=1))
    labels[1, 1] = MISSING_LABEL
    assert np.isnan(churn_by_last_bit(labels)[1])
    assert np.delete(churn_by_last_bit(labels), 1) == pytest.approx(np.delete(whole_last_bit, 1))
    assert np.isnan(churn_by_batch_order(labels)[1])
    assert np.delete(churn_by_batch_order(labels), 1) == pytest.approx(whole_order)
    assert np.isnan(churn_by_last_bit(labels[:1])).all()
    assert np.isnan(churn_by_batch_order(labels[:, :1])).all()


def test_the_interval_is_students_within_what_percents_can_be():
    values = np.array([3.0, 4.0, 8.0])
    low, high = stats.t.interval(0.95, 2, values.mean(), stats.sem(values))
    assert low < 0
    assert churn_interval(values) == (0.0, pytest.approx(high))
    assert churn_interval(values + 90)[1] == 100.0
    assert churn_interval(np.array([5.0])) is None
    assert churn_interval(np.zeros(4)) is None


def coverage(by_seed, draw, truth, times=400):
    generator, hits = np.random.default_rng(5), 0
    for _ in range(times):
        low, high = churn_interval(by_seed(draw(generator)))
        hits += low <= truth <= high
    return hits / times


def drawn(generator, seeds):
    """Each seed has its own share of examples on which its runs flip a coin, Beta(4, 12), mean 1/4."""
    share = generator.beta(4, 12, (1, seeds, 1))
    unsure = generator.random((1, seeds, 400)) < share
    return np.where(unsure, generator.integers(0, 2, (2, seeds, 400)), 0)


# The shares are skewed, as churn is: of normal ones it would be 95 %.
@pytest.mark.parametrize("seeds", [3, 6])
def test_simulated_intervals_cover_the_churn_by_the_last_bit(seeds):
    assert 0.88 < coverage(churn_by_last_bit, lambda generator: drawn(generator, seeds), 100 * 0.25 / 2) < 0.98


@pytest.mark.parametrize("seeds", [3, 6])
def test_simulated_intervals_cover_the_churn_by_batch_order(seeds):
    one = 0.25 / 2  # the probability of label 1, of either run and on average over seeds
    covered = coverage(churn_by_batch_order, lambda generator: drawn(generator, seeds), 200 * one * (1 - one))
    assert 0.88 < covered < 0.98
