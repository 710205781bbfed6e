"""What independent errors on a finite test set give, against closed forms and simulations of known truth."""

import numpy as np
import pytest

from lastbit.statistics.examples import Correctness
from lastbit.statistics.luck import Luck, independent_errors, luck, luck_at_most
from lastbit.statistics.spread import OVER_NOISES, OVER_SEEDS, noise_spread, seed_spread

NOISES, SEEDS, EXAMPLES = 4, 3, 400


def simulated(generator, probabilities, quality=0.0):
    """Runs that are right on example i with its own probability, independently; `quality` moves whole runs."""
    moved = probabilities + quality * generator.standard_normal((NOISES, SEEDS, 1))
    return 100.0 * (generator.random((NOISES, SEEDS, EXAMPLES)) < moved)


def test_two_runs_that_part_on_m_examples():
    """Each of m examples has one run right: variance 1/2 of each, so √(m/2) examples of n."""
    right = np.full((2, 1, 1000), 100.0)
    right[1, 0, :18] = 0
    assert np.sqrt(independent_errors(right, axis=OVER_NOISES)) == pytest.approx(100 * np.sqrt(18 / 2) / 1000)


@pytest.mark.parametrize("axis", [OVER_NOISES, OVER_SEEDS])
def test_independent_errors_are_estimated_without_bias_and_are_what_is_seen(axis):
    """The truth is Σ p (1 - p) / n²; estimate and spread both average it, within four standard errors."""
    generator = np.random.default_rng(1)
    probabilities = generator.beta(8, 2, EXAMPLES)
    truth = 100**2 * np.sum(probabilities * (1 - probabilities)) / EXAMPLES**2
    estimates, seen = [], []
    for _ in range(1500):
        right = simulated(generator, probabilities)
        estimates.append(independent_errors(right, axis=axis))
        table = right.mean(-1)
        seen.append((noise_spread(table) if axis == OVER_NOISES else seed_spread(table)).std ** 2)
    for found in (estimates, seen):
        assert abs(np.mean(found) - truth) < 4 * np.std(found) / np.sqrt(len(found))


def test_what_is_seen_beyond_them_is_the_spread_of_quality():
    """Quality of standard deviation 2 points, on examples whose probability leaves room for it."""
    generator = np.random.default_rng(2)
    probabilities = np.full(EXAMPLES, 0.8)
    beyond = []
    for _ in range(1500):
        right = simulated(generator, probabilities, quality=0.02)
        beyond.append(noise_spread(right.mean(-1)).std ** 2 - independent_errors(right, axis=OVER_NOISES))
    # Theorem 2 of arXiv 2304.01910: the quality's part is short by 1/n, which is nothing here.
    assert abs(np.mean(beyond) - 4.0) < 4 * np.std(beyond) / np.sqrt(len(beyond))


def test_missing_runs_are_left_out():
    right = np.full((3, 2, 100), 100.0)
    right[1, 0, :8] = 0
    right[2, 0] = np.nan
    right[:, 1] = np.nan
    assert independent_errors(right, axis=OVER_NOISES) == pytest.approx(4)  # √(8/2) of 100 examples
    assert independent_errors(right, axis=OVER_SEEDS) is None


def test_labels_alone_bound_it():
    """Runs that disagree on 4 % of 100 labels: at most √(4/2) examples, were one of the two right each time."""
    assert luck_at_most(4.0, 100) == Luck(np.sqrt(2.0), 100, at_most=True, by="churn")
    assert luck_at_most(None, 100) is None
    assert luck_at_most(4.0, None) is None


@pytest.mark.parametrize(("unit", "decimals"), [(1, 2), (1, 1), (100, 4), (100, 2)])
def test_it_is_in_the_metrics_own_unit(unit, decimals):
    right = simulated(np.random.default_rng(3), np.full(EXAMPLES, 0.9))
    found = luck(Correctness(np.zeros(EXAMPLES), right), np.round(right.mean(-1) / unit, decimals), axis=OVER_NOISES)
    assert found.std == pytest.approx(np.sqrt(independent_errors(right, axis=OVER_NOISES)) / unit)


def test_a_metric_that_is_not_the_accuracy_of_the_predictions_has_none():
    right = simulated(np.random.default_rng(3), np.full(EXAMPLES, 0.9))
    assert luck(Correctness(np.zeros(EXAMPLES), right), right.mean(-1) + 1, axis=OVER_NOISES) is None
    assert luck(None, right.mean(-1), axis=OVER_NOISES) is None
