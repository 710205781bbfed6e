"""Which examples and classes flip, against counts by hand, scipy, and simulation with a known truth."""

from itertools import combinations, product

import numpy as np
import pytest
from scipy import stats

from lastbit.statistics.flips import MISSING_LABEL, _pearson3_below, churn_by_class, example_churn, most_flipped
from lastbit.statistics.spread import OVER_NOISES, OVER_SEEDS

SIMULATIONS = 200


def some_labels(seed=0, shape=(3, 4, 50), classes=5):
    return np.random.default_rng(seed).integers(0, classes, shape)


@pytest.mark.parametrize("axis", [OVER_NOISES, OVER_SEEDS])
def test_churn_of_examples_is_the_share_of_pairs_that_differ(axis):
    labels = some_labels()
    labels[1, 2] = MISSING_LABEL
    places = [place for place in product(range(3), range(4)) if place != (1, 2)]
    pairs = [(a, b) for a, b in combinations(places, 2) if a[1 - axis] == b[1 - axis]]
    by_hand = np.mean([100 * (labels[a] != labels[b]) for a, b in pairs], axis=0)
    np.testing.assert_allclose(example_churn(labels, axis=axis), by_hand)


def test_churn_without_two_runs_to_compare_is_not_a_number():
    assert np.isnan(example_churn(some_labels(shape=(1, 3, 5)), axis=OVER_NOISES)).all()


@pytest.mark.parametrize("shape", [(0.2, 2), (0.05, 1), (1, 1)])
def test_classes_are_tested_as_scipy_permutes_them(shape):
    """Beside 20,000 permutations, for churn that is as skewed as it is in practice."""
    rng = np.random.default_rng(1)
    targets, churn = rng.integers(0, 4, 400), rng.binomial(15, rng.beta(*shape, 400)) * 100 / 15
    churn[targets == 2] += 5 * churn.std() / np.sqrt(100)
    found = churn_by_class(churn, targets)
    for label, row in enumerate(found):
        inside = targets == label
        test = stats.permutation_test(
            (churn[inside], churn[~inside]), lambda a, b, axis: a.mean(axis) - b.mean(axis), n_resamples=20_000, rng=0
        )
        assert row.p == pytest.approx(test.pvalue, abs=4 * np.sqrt(test.pvalue / 20_000) + 0.002, rel=0.03)
        assert (row.churn, row.others) == pytest.approx((churn[inside].mean(), churn[~inside].mean()))
    adjusted = stats.false_discovery_control([row.p for row in found])
    np.testing.assert_allclose([row.p_adjusted for row in found], adjusted)
    assert found[2].p_adjusted < 0.02


def test_a_single_example_is_no_rarer_than_one_of_as_many():
    targets, churn = np.array([0, 0, 0, 1, 2, 2]), np.array([0.0, 5, 10, 90, 5, 0])
    assert churn_by_class(churn, targets)[1].p == pytest.approx(2 / 6)


def test_classes_alike_are_seldom_called_different():
    """With nothing to find, any finding is false: at most 5 % of the tables have one."""
    rng = np.random.default_rng(2)
    targets = np.arange(500) % 10
    false = sum(
        min(row.p_adjusted for row in churn_by_class(rng.binomial(15, rng.beta(0.2, 2, 500)) * 100 / 15, targets))
        <= 0.05
        for _ in range(SIMULATIONS)
    )
    assert false <= stats.binom(SIMULATIONS, 0.05).ppf(0.999)


def test_the_most_flipped_examples_come_first_with_their_votes():
    labels = np.array([[[1, 0, 2], [1, 0, 0], [1, 1, 1]]])  # (1, 3 seeds, 3 examples)
    found = most_flipped(labels, np.array([1, 0, 2]), example_churn(labels, axis=OVER_SEEDS), count=5)
    assert [(row.index, row.target) for row in found] == [(2, 2), (1, 0)]
    assert [row.churn for row in found] == pytest.approx([100, 200 / 3])
    assert found[1].votes == ((0, 2), (1, 1))


@pytest.mark.parametrize("skewness", [-2.5, -0.3, -1e-4, 0.0, 1e-6, 0.01, 0.8, 3.0])
def test_pearsons_type_three_is_scipys(skewness):
    scores = np.linspace(-4, 4, 33)
    ours = [_pearson3_below(score, skewness) for score in scores]
    np.testing.assert_allclose(ours, stats.pearson3.cdf(scores, skewness), rtol=1e-6, atol=1e-12)
