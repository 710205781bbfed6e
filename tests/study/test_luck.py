"""What independent errors on a finite test set give, against closed forms and simulations of known truth."""

import numpy as np
import pytest
import torch

import lastbit as lb
from lastbit.study.correctness import Correctness
from lastbit.study.distances import Churn
from lastbit.study.luck import OVER_NOISES, OVER_SEEDS, Luck, independent_errors, luck, luck_at_most
from lastbit.study.metric import Metric
from lastbit.study.spread import Spread, noise_spread, seed_spread

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
    assert luck_at_most(Churn(4.0, 4.0, 1), 100) == Luck(np.sqrt(2.0), 100, at_most=True)
    assert luck_at_most(None, 100) is None
    assert luck_at_most(Churn(4.0, 4.0, 1), None) is None


@pytest.mark.parametrize(("unit", "decimals"), [(1, 2), (1, 1), (100, 4), (100, 2)])
def test_it_is_in_the_metrics_own_unit(unit, decimals):
    right = simulated(np.random.default_rng(3), np.full(EXAMPLES, 0.9))
    found = luck(Correctness(np.zeros(EXAMPLES), right), np.round(right.mean(-1) / unit, decimals), axis=OVER_NOISES)
    assert found.std == pytest.approx(np.sqrt(independent_errors(right, axis=OVER_NOISES)) / unit)


def test_a_metric_that_is_not_the_accuracy_of_the_predictions_has_none():
    right = simulated(np.random.default_rng(3), np.full(EXAMPLES, 0.9))
    assert luck(Correctness(np.zeros(EXAMPLES), right), right.mean(-1) + 1, axis=OVER_NOISES) is None
    assert luck(None, right.mean(-1), axis=OVER_NOISES) is None


def run(tmp_path, *, wrong, targets=True, metric="test_accuracy", unit=1.0, predictions=True):
    """A study of which run k at seed s is wrong on the examples `wrong(s, k)` of 1,000."""
    truth = torch.zeros(1000, dtype=torch.int64)

    def train(run):
        labels = truth.clone()
        labels[list(wrong(run.seed, run.noise.k))] = 1
        run.log(1, **{metric: 100 * float((labels == 0).double().mean()) / unit})
        if predictions:
            run.log_predictions(labels, truth if targets else None)

    named = {} if metric == "test_accuracy" else {"metric": Metric(metric, metric)}
    noises = [lb.Scale(k) for k in (1, 3, 5)]
    return lb.Study(tmp_path, train, noises=noises, seeds=(1, 2), controlled=False, **named).run()


def alike(seed, k):
    """Each run is wrong on 100 examples of its own: no accuracy differs much, and each prediction might."""
    return range(200 * seed + 30 * k, 200 * seed + 30 * k + 100 + (k == 3))


def grows_better(seed, k):
    """Run k is right wherever a lower one is: all of the spread is a difference in quality."""
    return range(300 - 40 * k)


def test_the_verdict_says_where_a_spread_is_no_evidence(tmp_path):
    results = run(tmp_path, wrong=alike)
    # On 220 examples one of a seed's three runs parts from the two others, which is a variance of 1/3.
    assert results.as_json()["variance"]["luck"]["last_bit"]["std"] == pytest.approx(100 * np.sqrt(220 / 3) / 1000)
    assert results.noise.std == pytest.approx(np.std([90, 89.9, 90], ddof=1))
    assert (
        "Last-bit noise moves test accuracy by 0.06 points (standard deviation, 95 % interval 0.03 to 0.17); "
        "independent errors on the 1,000 test examples alone would give 0.86 points, so this is no evidence of a "
        "difference in quality. Between two single runs, differences below 0.23 points mean nothing."
    ) in results.verdict


def test_and_where_the_rest_is_a_difference_in_quality(tmp_path):
    results = run(tmp_path, wrong=grows_better)
    # Of two neighbours 80 examples part, of the outer two 160: the mean of √(m/2) squared is 160/3 examples.
    assert results.noise_luck.std == pytest.approx(100 * np.sqrt(160 / 3) / 1000)
    assert "alone would give 0.73 points, and what exceeds it is more than independent errors give." in results.verdict


def test_labels_without_targets_say_at_most(tmp_path):
    results = run(tmp_path / "one", wrong=grows_better, targets=False)
    assert results.noise_luck == Luck(pytest.approx(100 * np.sqrt(160 / 3) / 1000), 1000, at_most=True)
    assert (
        "alone would give 0.73 points at most, and what exceeds it is more than independent errors give."
        in results.verdict
    )
    assert "up to" in run(tmp_path / "other", wrong=alike, targets=False).verdict


def test_without_predictions_it_is_not_known_and_said(tmp_path):
    results = run(tmp_path, wrong=alike, predictions=False)
    assert results.as_json()["variance"]["luck"] == {"last_bit": None, "batch_order": None}
    assert results.verdict.endswith("mean nothing. What the finite test set alone would give is not known.")


def test_an_accuracy_of_a_script_as_a_fraction_has_it_too(tmp_path):
    results = run(tmp_path, wrong=grows_better, metric="acc", unit=100)
    assert results.noise_luck.std == pytest.approx(np.sqrt(160 / 3) / 1000)
    assert "alone would give 0.007, and what exceeds it is more than independent errors give." in results.verdict


def test_a_loss_says_nothing_of_the_test_set(tmp_path):
    results = run(tmp_path, wrong=alike, metric="loss", predictions=False)
    assert "test set" not in results.verdict


def test_near_the_edge_there_is_no_clear_evidence():
    found = Spread(0.3, 0.1, 0.9, 2)
    assert (Luck(0.3, 9).explains(found), Luck(0.29, 9).explains(found)) == (True, False)
    assert (Luck(0.1, 9).may_explain(found), Luck(0.09, 9).may_explain(found)) == (True, False)
