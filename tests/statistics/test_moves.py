"""What a new recipe breaks and mends, against counts by hand and simulation with a known truth."""

import numpy as np
import pytest
from scipy import stats

from lastbit.statistics.moves import moves

SIMULATIONS = 200


def test_moves_are_the_mean_over_all_pairs_of_runs():
    rng = np.random.default_rng(3)
    old, new = 100.0 * rng.integers(0, 2, (3, 40)), 100.0 * rng.integers(0, 2, (4, 40))
    found = moves(old, new, np.zeros(40, dtype=int), paired=False)
    broken = [np.mean((a == 100) & (b == 0)) for a in old for b in new]
    mended = [np.mean((a == 0) & (b == 100)) for a in old for b in new]
    again = [np.mean((a == 100) & (b == 0)) for i, a in enumerate(old) for j, b in enumerate(old) if i != j]
    assert found.right_to_wrong.percent == pytest.approx(100 * np.mean(broken))
    assert found.wrong_to_right.percent == pytest.approx(100 * np.mean(mended))
    assert found.retrained == pytest.approx(100 * np.mean(again))
    gain = found.wrong_to_right.percent - found.right_to_wrong.percent
    assert gain == pytest.approx(new.mean() - old.mean())


def simulated(rng, examples=400, runs=5, harm=0.0, classes=4):
    """Old and new runs on a test set drawn anew; `harm` is taken from the new recipe's probabilities in class 0."""
    targets = np.arange(examples) % classes
    p = rng.beta(4, 1, examples)
    q = np.where(targets == 0, np.maximum(0, p - harm), p)
    draw = [100.0 * (rng.random((runs, examples)) < share) for share in (p, q)]
    return draw[0], draw[1], targets


def test_intervals_of_moves_hold_over_runs_and_test_sets():
    """The truth is E[p (1 - p)] of the Beta distribution; at least 95 % of the intervals contain it."""
    rng, a, b = np.random.default_rng(4), 4, 1
    truth = 100 * a * b / ((a + b) * (a + b + 1))
    rates = [moves(*simulated(rng), paired=False).right_to_wrong for _ in range(SIMULATIONS)]
    inside = sum(rate.lower <= truth <= rate.upper for rate in rates)
    assert inside >= stats.binom(SIMULATIONS, 0.95).ppf(0.001)
    mean = np.mean([rate.percent for rate in rates])
    error = np.std([rate.percent for rate in rates]) / np.sqrt(SIMULATIONS)
    assert abs(mean - truth) < 4 * error


@pytest.mark.parametrize("paired", [True, False])
def test_only_the_class_that_is_hurt_is_named(paired):
    rng = np.random.default_rng(5)
    found = [moves(*simulated(rng, harm=0.3), paired=paired).classes for _ in range(60)]
    named = np.mean([[row.p_adjusted <= 0.05 for row in classes] for classes in found], axis=0)
    assert named[0] > 0.95
    assert named[1:].max() < 0.15
    truth = -100 * (0.8 - np.maximum(0, np.random.default_rng(6).beta(4, 1, 10**6) - 0.3).mean())
    assert np.mean([classes[0].difference for classes in found]) == pytest.approx(truth, abs=1)


def test_equal_runs_move_nothing():
    runs = np.tile(100.0 * (np.arange(20) % 2), (3, 1))
    found = moves(runs, runs, np.arange(20) // 10, paired=True)
    assert (found.right_to_wrong.percent, found.right_to_wrong.lower, found.retrained) == (0, 0, 0)
    assert [row.p for row in found.classes] == [1, 1]


@pytest.mark.parametrize("examples", [2, 20, 200])
def test_what_no_example_shows_may_be_in_others(examples):
    right, wrong = np.full((3, examples), 100.0), np.zeros((3, examples))
    reach = 100 * stats.binomtest(0, examples).proportion_ci(0.95, "exact").high
    same = moves(right, right, np.zeros(examples, int), paired=True)
    assert (same.right_to_wrong.percent, same.right_to_wrong.lower) == (0, 0)
    assert same.right_to_wrong.upper == pytest.approx(reach)
    assert [(row.difference, row.p) for row in same.classes] == [(0, 1)]
    assert (same.classes[0].lower, same.classes[0].upper) == pytest.approx((-reach, reach))
    broken = moves(right, wrong, np.zeros(examples, int), paired=True)
    assert (broken.right_to_wrong.percent, broken.right_to_wrong.upper) == (100, 100)
    assert broken.right_to_wrong.lower == pytest.approx(100 - reach)
    assert broken.classes[0].p == pytest.approx(stats.binomtest(0, examples).pvalue)
    assert (broken.classes[0].lower, broken.classes[0].upper) == pytest.approx((-100, -100 + 2 * reach))


@pytest.mark.parametrize("runs", [3, 6])
@pytest.mark.parametrize("spread", [0.0, 0.06])
def test_recipes_alike_are_seldom_said_to_differ_in_a_class(runs, spread):
    """With runs whose accuracy varies class by class too, where a few runs tell badly by how much."""
    rng, targets = np.random.default_rng(7), np.arange(600) % 10

    def side(share):
        shares = share + rng.normal(0, spread, (runs, 10))[:, targets]
        return 100.0 * (rng.random((runs, 600)) < shares.clip(0, 1))

    false = 0
    for _ in range(SIMULATIONS):
        share = rng.beta(4, 1, 600)
        classes = moves(side(share), side(share), targets, paired=True).classes
        false += min(row.p_adjusted for row in classes) <= 0.05
    assert false <= stats.binom(SIMULATIONS, 0.05).ppf(0.999)
