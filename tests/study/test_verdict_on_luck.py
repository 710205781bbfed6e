"""What a study says of the spread on its test set, of its luck, and of an unlimited test set."""

import numpy as np
import pytest
import torch

import lastbit as lb
from lastbit.report.study.page import write_report
from lastbit.statistics.luck import Luck
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


def unlimited(observed, luck, examples=1000):
    """The spread of quality by K. Jordan's theorem 2."""
    return np.sqrt(examples / (examples - 1) * (observed**2 - luck**2))


def test_the_verdict_says_where_no_difference_in_quality_is_shown(tmp_path):
    results = run(tmp_path, wrong=alike)
    variance = results.as_json()["variance"]
    # On 220 examples one of a seed's three runs parts from the two others, which is a variance of 1/3.
    assert variance["luck"]["last_bit"]["std"] == pytest.approx(100 * np.sqrt(220 / 3) / 1000)
    assert results.noise.std == pytest.approx(np.std([90, 89.9, 90], ddof=1))
    found = variance["quality"]["last_bit"]
    assert (found["std"], found["lower"]) == (0, 0)
    assert found["luck"] == pytest.approx(variance["luck"]["last_bit"]["std"])
    assert found["variance"] == pytest.approx(1000 / 999 * (results.noise.std**2 - found["luck"] ** 2))
    assert (
        "On an unlimited test set last-bit noise would move test accuracy by 0.00 points (standard deviation, 95 % "
        f"interval 0.00 to {found['upper']:.2f}): the runs show no difference in quality. On these 1,000 examples it "
        "moves it by 0.06 points (0.03 to 0.17), where independent errors alone would give 0.86, and changes 15 % of "
        "the predictions. Runs vary by less than that: what a run loses on some examples, it gains on others. "
        "Between two single runs, differences below the noise floor of 0.23 points mean nothing."
    ) in results.verdict


def test_and_where_it_is(tmp_path):
    results = run(tmp_path, wrong=grows_better)
    # Of two neighbours 80 examples part, of the outer two 160: the mean of √(m/2) squared is 160/3 examples.
    assert results.noise_luck.std == pytest.approx(100 * np.sqrt(160 / 3) / 1000)
    found = results.as_json()["variance"]["quality"]["last_bit"]
    assert found["std"] == pytest.approx(unlimited(8, results.noise_luck.std))
    assert 0 < found["lower"] < found["std"] < found["upper"]
    assert (
        f"would move test accuracy by {found['std']:.2f} points (standard deviation, 95 % interval "
        f"{found['lower']:.2f} to {found['upper']:.2f}). On these 1,000 examples it moves it by 8.00 points"
    ) in results.verdict
    assert "where independent errors alone would give 0.73, and changes 11 % of the predictions." in results.verdict
    assert "no difference in quality" not in results.verdict
    assert "less than that" not in results.verdict
    assert "set the runs apart" not in results.verdict  # as 160 of 1,000 do


def test_few_examples_that_set_runs_apart_are_named(tmp_path):
    results = run(tmp_path, wrong=lambda seed, k: range(20 * seed + k))
    assert results.noise_quality.contested == 8  # the runs of seed s are wrong on 20 s + 1 to 20 s + 5 examples
    assert "Only 8 examples set the runs apart: the interval may be too short." in results.verdict


def test_both_sources_are_in_the_verdict_where_seeds_differ(tmp_path):
    """The second seed is wrong on 100 examples more than the first, which are 10 points, and no run on fewer."""
    results = run(tmp_path, wrong=lambda seed, k: range(100 * seed + 10 * k))
    found = results.as_json()["variance"]["quality"]["batch_order"]
    # Over the seeds, 100 examples part at each noise, which is a variance of 1/2 each.
    assert found["std"] == pytest.approx(unlimited(10 / np.sqrt(2), 100 * np.sqrt(100 / 2) / 1000))
    assert (
        f"on an unlimited test set the seed would move it by {found['std']:.2f} points ({found['lower']:.2f} to "
        f"{found['upper']:.2f}). Between"
    ) in results.verdict


def test_labels_without_targets_give_a_bound_and_say_by_what(tmp_path):
    results = run(tmp_path / "one", wrong=grows_better, targets=False)
    assert results.noise_luck == Luck(pytest.approx(100 * np.sqrt(160 / 3) / 1000), 1000, at_most=True, by="churn")
    found = results.as_json()["variance"]["quality"]["last_bit"]
    assert found["lower"] == pytest.approx(unlimited(results.noise.lower, results.noise_luck.std))
    assert found["upper"] == pytest.approx(unlimited(results.noise.upper, 0))
    assert (
        f"would move test accuracy by {found['lower']:.2f} to {found['upper']:.2f} points (95 % interval; what "
        "independent errors give is only bounded, by the churn)."
    ) in results.verdict
    assert "where independent errors alone would give at most 0.73" in results.verdict


def test_an_accuracy_of_a_script_as_a_fraction_has_it_too(tmp_path):
    results = run(tmp_path, wrong=grows_better, metric="acc", unit=100)
    assert results.noise_luck.std == pytest.approx(np.sqrt(160 / 3) / 1000)
    assert results.noise_quality.std == pytest.approx(unlimited(0.08, results.noise_luck.std))
    assert "On an unlimited test set last-bit noise would move acc by 0.080 (" in results.verdict


@pytest.mark.parametrize("targets", [True, False])
@pytest.mark.parametrize("scale", [1.0, 3.0])
def test_a_percentage_that_is_no_accuracy_has_no_accuracys_bounds(tmp_path, targets, scale):
    """A word error rate is no mean over the labelled examples, and may exceed 100: no binomial, no churn, no NaN."""

    def train(run):
        labels = torch.zeros(100, dtype=torch.int64)
        labels[: run.seed + run.noise.k] = 1
        run.log(1, wer=scale * (40 + run.noise.k + run.seed))
        run.log_predictions(labels, torch.zeros_like(labels) if targets else None)

    metric = Metric("wer", "word error rate", is_percentage=True)
    noises = [lb.Scale(k) for k in (1, 3, 5)]
    results = lb.Study(tmp_path, train, noises=noises, seeds=(1, 2), controlled=False, metric=metric).run()
    stored = results.as_json()
    assert stored["variance"]["luck"] == stored["variance"]["quality"] == {"last_bit": None, "batch_order": None}
    assert stored["variance"]["test_set"] is stored["sampling_error"] is None
    assert f"Last-bit noise moves word error rate by {2 * scale:.2f} points (standard deviation" in results.verdict
    assert results.verdict.endswith("What the finite test set alone would give is not known.")
    write_report([stored], tmp_path / "study.html")
    page = (tmp_path / "study.html").read_text()
    assert "word error rate" in page
    for words in ("standard error of the test set", "Test-set sampling", "n unlimited test set", "independent errors"):
        assert words not in page


def test_test_accuracies_above_100_have_no_bound(tmp_path):
    """They are an error of the script, and the root of p (1 − p) would be no number."""
    results = run(tmp_path, wrong=alike, targets=False, unit=0.5)
    assert results.noise_luck is results.sampling_error is None


def test_an_accuracy_of_other_predictions_than_those_stored_has_none(tmp_path):
    results = run(tmp_path, wrong=alike, unit=2.0)
    assert results.noise_luck is results.sampling_error is None


def test_without_predictions_luck_is_unknown_and_says_so(tmp_path):
    results = run(tmp_path, wrong=alike, predictions=False)
    variance = results.as_json()["variance"]
    assert variance["luck"] == variance["quality"] == {"last_bit": None, "batch_order": None}
    assert results.verdict.endswith("mean nothing. What the finite test set alone would give is not known.")


def test_a_loss_says_nothing_of_the_test_set(tmp_path):
    results = run(tmp_path, wrong=alike, metric="loss", predictions=False)
    assert "test set" not in results.verdict


def test_where_no_run_differed_there_is_neither_interval_nor_floor(tmp_path):
    verdict = run(tmp_path, wrong=lambda seed, k: range(90)).verdict
    assert "left the test accuracy of every run as it was" in verdict
    assert "0.00" not in verdict.replace("91.00", "")
    assert "floor" not in verdict
