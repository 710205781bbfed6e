"""What a study says of the spread that independent errors on its test set would give."""

import numpy as np
import pytest
import torch

import lastbit as lb
from lastbit.statistics.examples import Luck
from lastbit.study.metric import Metric


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
        "difference in quality. Between two single runs, differences below the noise floor of 0.23 points mean nothing."
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


def test_without_predictions_luck_is_unknown_and_says_so(tmp_path):
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
