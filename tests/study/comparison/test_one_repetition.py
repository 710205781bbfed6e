"""Runs that are no repetitions: seeds without effect, single numbers, numbers in other clothes than a list."""

import numpy as np
import pytest
import torch
from scipy import stats

import lastbit as lb
from lastbit.study.metric import Metric

A = [0.9341, 0.9312, 0.9330, 0.9352, 0.9327]
B = [0.9310, 0.9301, 0.9333, 0.9316, 0.9305]


def study(place, name, *, uses_seed, gain=0.0, seeds=range(1, 7), weights=None):
    def train(run):
        seed = run.seed if uses_seed else 0
        bits = seed + run.noise.k / 2**20 + gain if weights is None else weights(run)
        run.snapshot(3, {"w": torch.tensor([bits])})
        run.log(3, acc=0.8 + seed / 100 + run.noise.k**2 / 1000 + gain)

    made = lb.Study(
        place / name, train, noises=[lb.Scale(1), lb.Scale(3)], seeds=seeds, name=name, settings={"name": name},
        metric=Metric("acc", "acc"), controlled=False,
    )  # fmt: skip
    made.run()
    return made


def test_seeds_without_effect_are_one_repetition(tmp_path):
    a, b = (study(tmp_path, name, uses_seed=False, gain=gain) for name, gain in (("a", 0.1), ("b", 0.0)))
    found = lb.compare(a, b)
    assert "a: The seeds gave bit-identical runs (seeds 1 to 6), so they count as one repetition" in found.verdict
    assert "b: The seeds gave bit-identical runs" in found.verdict
    assert found.a.lost == ("seeds 2 to 6 (bit-identical to seed 1)",)
    assert found.replicates.only_seed == 1
    np.testing.assert_allclose(found.replicates.a, [0.901, 0.909])
    assert found.p == pytest.approx(stats.ttest_ind([0.901, 0.909], [0.801, 0.809], equal_var=False).pvalue)
    content = found.as_json()
    assert (content["a"]["seeds"], content["a"]["runs"]) == ([1], 2)


def test_a_recipe_with_one_repetition_beside_six_has_none_to_spare(tmp_path):
    a = study(tmp_path, "a", uses_seed=False, seeds=(7, 8, 9))
    with pytest.raises(lb.LastbitError, match=r"a has one finished seed only.*a: The seeds gave bit-identical runs"):
        lb.compare(a, study(tmp_path, "b", uses_seed=True))


def test_recipes_that_are_the_same_training_are_said_to_be(tmp_path):
    a, b = (study(tmp_path, name, uses_seed=True, seeds=(1, 2, 3)) for name in "ab")
    found = lb.compare(a, b)
    assert "a and b trained the same weights, bit for bit, in each of the 6 runs that both have" in found.verdict
    assert (found.difference, found.interval, found.is_distinguishable) == (0, None, False)


def test_equal_numbers_look_like_one_run_and_have_no_interval():
    found = lb.compare([0.93] * 5, [0.92] * 5)
    assert found.interval is None
    assert not found.is_distinguishable
    assert found.verdict.startswith("All 5 runs of a gave 0.93: they look like one run counted 5 times")
    assert (found.runs_needed(), np.isnan(found.least_detectable_gain(10))) == (None, True)
    assert found.as_json()["interval"] is None
    assert found.as_json()["unpaired"]["lower"] is None


def test_equal_numbers_of_one_side_are_reported():
    found = lb.compare([0.93] * 5, B)
    assert "All 5 runs of a gave 0.93" in found.verdict
    assert found.interval is not None


@pytest.mark.parametrize(
    "a",
    [
        (value for value in A),
        [str(value) for value in A],
        np.ma.masked_invalid([*A, np.nan]),
        [*A, None],
        [*map(str, A), " "],
        {str(seed): value for seed, value in enumerate(A)},
    ],
)
def test_numbers_in_other_clothes(a):
    expected = stats.ttest_ind(A, B, equal_var=False)
    assert lb.compare(a, B).p == pytest.approx(expected.pvalue)


def test_percent_in_words():
    found = lb.compare(["93%", "95 %", "94%"], ["92%", "91%", "93%"])
    assert found.difference == pytest.approx(2)


def test_dictionaries_of_the_same_seeds_are_pairs():
    a, b = {1: 0.93, 2: 0.95, 3: 0.935}, {3: 0.93, 1: 0.92, 2: 0.925}
    expected = stats.ttest_rel([0.93, 0.95, 0.935], [0.92, 0.925, 0.93])
    assert lb.compare(a, b).p == pytest.approx(expected.pvalue)
    assert lb.compare(a, b, paired=False).paired is None
    lost = lb.compare({1: 0.93, 2: None, 3: 0.94}, {1: 0.92, 2: 0.93, 3: 0.95})
    assert lost.a.lost == ("seed 2 (nan)",)
    with pytest.raises(lb.LastbitError, match="the keys acc, loss: its keys are seeds"):
        lb.compare({"acc": 0.9, "loss": 0.1}, B)


@pytest.mark.parametrize(
    ("a", "b", "complaint"),
    [
        ([100 * value for value in A], B, r"a looks like percent and b like fractions \(means 93.32 and 0.9313\)"),
        (A, ["93%", "92%"], "b looks like percent and a like fractions"),
        (A, [92.0, 93.0, *B[2:]], "2 of the 10 values of a and b look like percents and the others like fractions"),
        ([0.034, 0.035, 0.033], [3.4, 3.5, 3.3], r"b looks like percent and a like fractions \(means 3.4 and 0.034\)"),
        (A, 0.930, r"b has one finished run only.*the mean of a is 0.93324 \(95 % interval 0.93137 to 0.93511"),
        ([0.9, "high"], B, "a is neither a study nor numbers.*'high' is no number"),
    ],
)
def test_what_is_refused_says_what_is_missing(a, b, complaint):
    with pytest.raises(lb.LastbitError, match=complaint):
        lb.compare(a, b)


def test_numbers_a_hundred_times_as_large_are_one_unit_where_they_are_no_percents():
    small, large = (
        [0.021, 0.024, 0.020],
        [2.1, 2.3, 1.9],
    )  # losses of a net that knows its data by heart, and of another
    found = lb.compare(large, small, metric="val_loss")
    assert found.difference == pytest.approx(np.mean(large) - np.mean(small))
    with pytest.raises(lb.LastbitError, match="of a loss say so by metric='loss'"):
        lb.compare(large, small)
    with pytest.raises(lb.LastbitError, match="looks like percent"):
        lb.compare(large, small, metric="error")


def test_one_value_in_another_unit_may_be_an_outlier_and_is_said():
    a, b = [0.30, 0.31, 0.29, 30], [0.31, 0.30, 0.28, 0.3]
    found = lb.compare(a, b)
    assert found.difference == pytest.approx(np.mean(a) - np.mean(b))
    assert "One of the 8 values of a and b looks like percent" in found.verdict
    assert "looks like" not in lb.compare([*a[:3], 0.3], b).verdict


def test_the_mean_beside_a_published_number_is_scipys():
    low, high = stats.ttest_1samp(A, 0).confidence_interval()
    with pytest.raises(lb.LastbitError, match=f"{low:.5g} to {high:.5g}, 5 seeds"):
        lb.compare([0.93], A)


def test_metrics_taken_for_seeds_and_a_run_far_off_are_noticed():
    table = [[0.9, 2.1], [0.91, 2.0], [0.92, 1.9]]
    assert "columns of a are taken for seeds" in lb.compare(table, np.add(table, 0.01)).verdict
    assert "A run of a gave 0.1, far from the others (median 0.933)" in lb.compare(
        [0.93, 0.94, 0.10, 0.935, 0.931], [0.92, 0.925, 0.93, 0.921, 0.922]
    ).verdict  # fmt: skip
    assert lb.compare(A, B).doubts == ()
