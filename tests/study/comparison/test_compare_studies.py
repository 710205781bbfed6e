"""Comparisons of stored studies: pairs by seed, examples one by one, and what forbids or casts doubt on them."""

import json
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from scipy import stats

import lastbit as lb
from lastbit.statistics.examples import sampling_variance
from lastbit.storage.files import write_checksummed
from lastbit.study.open_study import open_study

NOISES = [lb.Scale(k) for k in (1, 3)]
EXAMPLES = 200


@dataclass(frozen=True)
class Recipe:
    """Guesses well with a chance of its own; nothing is trained."""

    name: str
    skill: float
    examples: int = EXAMPLES
    diverges_at_seed: int = 0
    data: str = "coins"
    taste: float = 0.3  # how much better it is at the last examples than at the first

    @property
    def settings(self):
        return {"name": self.name, "skill": self.skill, "data": {"name": self.data}}

    def __call__(self, run):
        if run.seed == self.diverges_at_seed and run.noise.k == 3:
            run.mark_diverged(7)
            return
        targets = torch.arange(self.examples) % 10
        number = 0 if run.noise.is_exact else run.noise.k
        generator = torch.Generator().manual_seed(1000 * run.seed + 10 * number + len(self.name))
        easy = self.taste * torch.linspace(-1, 1, self.examples)
        right = torch.rand(self.examples, generator=generator) < self.skill + easy
        labels = torch.where(right, targets, (targets + 1) % 10)
        run.log(1, test_accuracy=100 * float((labels == targets).double().mean()), loss=1 - self.skill)
        run.log_predictions(labels, targets)


def study(directory, recipe, *, seeds=(1, 2, 3, 4), noises=NOISES, **options):
    made = lb.Study(directory, recipe, noises=noises, seeds=seeds, **options)
    made.run()
    return made


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    root = tmp_path_factory.mktemp("pair")
    return study(root / "good", Recipe("good", 0.65)), study(root / "fair", Recipe("fair ", 0.6, taste=-0.3))


@pytest.fixture(scope="module")
def found(pair):
    return lb.compare(*pair)


def test_studies_with_the_same_seeds_are_paired_on_the_means_over_their_noises(pair, found):
    a, b = (one.grid().values("test_accuracy").mean(0) for one in pair)
    expected = stats.ttest_rel(a, b)
    assert (found.test.kind, found.test.dof) == ("paired t", 3)
    assert found.p == pytest.approx(expected.pvalue)
    assert found.unpaired.p == pytest.approx(stats.ttest_ind(a, b, equal_var=False).pvalue)
    assert found.unit == "points"
    assert "with 4 seeds (8 runs) of each" in found.verdict


def test_a_study_its_directory_and_its_results_compare_alike(pair, found):
    a, b = pair
    for one, other in ((a.store.root, str(b.store.root)), (a.results(), b.results()), (a, b.store.root)):
        assert lb.compare(one, other).as_json() == found.as_json()


def test_a_study_opened_again_is_the_same_but_cannot_run(pair):
    again = open_study(pair[0].store.root)
    assert again.results().as_json() == pair[0].results().as_json()
    assert not hasattr(again, "run")


def test_who_was_right_is_counted_example_by_example(pair, found):
    right = [one.grid().correctness().right for one in pair]
    for one, values in zip(pair, right, strict=True):
        assert np.allclose(values.mean(2), one.grid().values("test_accuracy"))
    assert len(found.examples.pairs) == 8
    for pairing in found.examples.pairs:
        i, j = [noise.label for noise in NOISES].index(pairing.noise), pairing.seed - 1
        a, b = right[0][i, j] > 0, right[1][i, j] > 0
        only_a, only_b = int((a & ~b).sum()), int((b & ~a).sum())
        assert (pairing.only_a, pairing.only_b) == (only_a, only_b)
        tail = stats.binom.cdf(min(only_a, only_b), only_a + only_b, 0.5)
        assert pairing.p == pytest.approx(min(1.0, 2 * tail))
    assert found.examples.pairs_that_differ == sum(each.p <= 0.05 for each in found.examples.pairs)


def test_what_the_new_recipe_breaks_is_counted_over_all_pairs_of_runs(pair, found):
    """Runs of seeds and noises in any pair, since every seed has as many noises."""
    new, old = (one.grid().correctness().right.reshape(-1, EXAMPLES) > 0 for one in pair)
    broken = np.mean([np.mean(b & ~a) for a in new for b in old])
    mended = np.mean([np.mean(a & ~b) for a in new for b in old])
    assert found.moves.right_to_wrong.percent == pytest.approx(100 * broken)
    assert found.moves.wrong_to_right.percent == pytest.approx(100 * mended)
    assert found.difference == pytest.approx(100 * (mended - broken))
    assert [row.label for row in found.moves.classes] == list(range(10))
    means = [(new[:, d::10].mean() - old[:, d::10].mean()) * 100 for d in range(10)]
    assert [row.difference for row in found.moves.classes] == pytest.approx(means)
    assert f"breaks {100 * broken:.2f} % of the predictions" in found.verdict


def test_another_test_set_widens_the_interval(pair, found):
    seeds = [one.grid().correctness().right.mean(0) for one in pair]
    difference = seeds[0] - seeds[1]
    extra = sampling_variance(difference).variance
    assert extra > 0
    assert found.examples.standard_error == pytest.approx(np.sqrt(extra))
    both = found.examples.any_test_set
    assert both.standard_error == pytest.approx(np.hypot(found.standard_error, np.sqrt(extra)))
    # Hillis's degrees of freedom from mean squares, of runs, examples and their interaction.
    rows, columns = difference.shape
    runs = columns * np.var(difference.mean(1), ddof=1)
    examples = rows * np.var(difference.mean(0), ddof=1)
    residual = difference - difference.mean(0) - difference.mean(1, keepdims=True) + difference.mean()
    interaction = (residual**2).sum() / ((rows - 1) * (columns - 1))
    total = runs + max(0, examples - interaction)
    assert both.standard_error == pytest.approx(np.sqrt(total / (rows * columns)))
    assert both.dof == pytest.approx(total**2 / (runs**2 / (rows - 1)))


@pytest.mark.parametrize(("paired", "seeds"), [(True, 5), (False, 5), (True, 3), (True, 2)])
def test_the_interval_over_test_sets_covers_what_it_claims(paired, seeds):
    """New runs and new examples every time: two recipes of one skill, examples and runs that differ in luck.

    With three pairs Hillis's degrees of freedom alone would cover about 92 %, and with two 88 %.
    """
    from lastbit.statistics.examples import example_test
    from lastbit.statistics.means import paired_t, welch_t

    generator, covered = np.random.default_rng(0), []
    for _ in range(800):
        # Thresholds with an effect of the recipe on each example, of each run, and chance for each run and example.
        hardness, taste = generator.normal(0.8, 1, 250), generator.normal(0, 0.5, (2, 1, 250))
        runs = generator.normal(0, 0.25, (2, seeds, 1))
        right = 100.0 * (hardness + taste + runs + generator.normal(0, 0.4, (2, seeds, 250)) > 0)
        a, b = right
        test = (paired_t if paired else welch_t)(a.mean(1), b.mean(1))
        both = example_test(test, a, b, paired=paired, pairs=()).any_test_set
        covered.append(both.lower <= 0 <= both.upper)
        assert (both.lower <= test.lower and test.upper <= both.upper and test.p <= both.p) or np.isnan(test.lower)
    assert np.mean(covered) == pytest.approx(0.95, abs=0.025)


def test_the_results_of_a_study_hold_its_variance_floor_and_least_gains(pair):
    results = json.loads(json.dumps(pair[0].results().as_json()))
    table = pair[0].grid().values("test_accuracy")
    within = table.var(0, ddof=1).mean()
    assert results["variance"]["last_bit"]["std"] == pytest.approx(np.sqrt(within))
    assert results["variance"]["test_set_by"] == "examples"
    assert sum(results["variance"][name]["share"] for name in ("test_set", "batch_order", "last_bit")) == pytest.approx(
        1
    )
    assert results["noise_floor"] == pytest.approx(stats.t.ppf(0.975, 4) * np.sqrt(2 * within))
    gain, std = results["least_detectable_gain"]["6"], results["std"]["seed"]["pooled"]["std"]
    one, other = np.random.default_rng(0).normal(0, std, (2, 40_000, 6))
    shown = stats.ttest_ind(one + gain, other, axis=1, equal_var=False).pvalue < 0.05
    assert np.mean(shown) == pytest.approx(0.8, abs=0.008)


def test_the_json_of_a_comparison_is_plain_and_complete(found):
    content = json.loads(json.dumps(found.as_json()))
    assert content["difference"] == pytest.approx(content["a"]["mean"] - content["b"]["mean"])
    assert content["interval"] == [found.test.lower, found.test.upper]
    assert [row["seed"] for row in content["a"]["values"]] == [1, 1, 2, 2, 3, 3, 4, 4]
    assert content["a"]["runs"] == 8
    assert content["verdict"] == found.verdict


def test_other_seeds_are_compared_without_pairs(pair, tmp_path):
    other = study(tmp_path / "other", Recipe("other", 0.6), seeds=(4, 5, 6))
    found = lb.compare(pair[0], other)
    assert found.paired is None
    assert found.test.kind == "Welch t"
    assert [(each.seed, each.noise) for each in found.examples.pairs] == [(4, "k=1"), (4, "k=3")]
    assert "with 4 and 3 seeds (8 and 6 runs) of each" in found.verdict
    with pytest.raises(ValueError, match="pairs need the same seeds on both sides: good has 1, 2, 3, 4, other has 4"):
        lb.compare(pair[0], other, paired=True)


def test_a_diverged_run_is_named_and_the_others_of_its_seed_count(pair, tmp_path):
    shaky = study(tmp_path / "shaky", Recipe("shaky", 0.6, diverges_at_seed=2))
    found = lb.compare(shaky, pair[0])
    table, whole = (one.grid().values("test_accuracy") for one in (shaky, pair[0]))
    assert np.isnan(table).sum() == 1
    assert found.difference == pytest.approx(np.mean(np.nanmean(table, 0) - whole.mean(0)))
    assert found.verdict.endswith("Not counted in shaky: seed 2, k=3 (diverged at step 7).")
    assert found.examples is not None


def test_an_unfinished_run_is_named(pair, tmp_path):
    begun = study(tmp_path / "begun", Recipe("begun", 0.6), seeds=(1, 2))
    longer = lb.Study(begun.store.root, begun.training, noises=NOISES, seeds=(1, 2, 3))
    found = lb.compare(longer, pair[0])
    assert "Not counted in begun: seed 3, k=1 (not finished); seed 3, k=3 (not finished)." in found.verdict


def test_doubts_come_first(pair, tmp_path, monkeypatch):
    with monkeypatch.context() as other_machine:
        other_machine.setattr("torch.__version__", "1.0")
        again = study(tmp_path / "again", Recipe("good", 0.65), seeds=(5, 6, 7, 8), controlled=False)
    found = lb.compare(pair[0], again)
    assert found.verdict.startswith(
        "again has no controls: other sources of noise are not ruled out. The runs come from different numerics "
        "(torch), so part of the difference may be the machine's or the library's. Both studies train the same recipe: "
        "whatever differs is noise. good − again: "
    )


def test_failed_controls_are_reported_before_anything(pair, tmp_path):
    bad = lb.Study(tmp_path / "bad", treats_powers_of_two_apart, noises=NOISES, seeds=(1, 2))
    with pytest.raises(lb.study.ControlsFailedError):
        bad.run()
    reopened = lb.Study(bad.store.root, bad.training, noises=NOISES, seeds=(1, 2), controlled=False)
    reopened.run()
    found = lb.compare(bad, pair[0])
    assert found.verdict.startswith(
        "test_compare_studies.treats_powers_of_two_apart is not to be trusted: the controls failed"
    )


def test_a_gain_on_this_test_set_alone_is_said_to_be_one(tmp_path):
    """Forty examples: runs agree on the difference, and another forty examples could show another."""
    a = study(tmp_path / "a", Recipe("sharp", 0.9, examples=40), seeds=range(1, 9))
    b = study(tmp_path / "b", Recipe("blunt", 0.8, examples=40), seeds=range(1, 9))
    found = lb.compare(a, b)
    assert found.is_distinguishable == (found.p <= 0.05)
    only = found.is_distinguishable and found.examples.any_test_set.p > 0.05
    assert ("That holds for this test set alone" in found.verdict) == only
    assert "other test sets of 40 examples" in found.verdict


def test_another_metric_has_no_points_and_no_examples(pair):
    found = lb.compare(*pair, metric="loss")
    assert found.difference == pytest.approx(-0.05)
    assert (found.unit, found.examples, found.standard_error) == ("", None, 0)


def test_what_cannot_be_compared_is_refused_with_its_reason(pair, tmp_path):
    a, b = pair
    with pytest.raises(ValueError, match="the study good has no metric 'f1': it has loss, test_accuracy"):
        lb.compare(a, b, metric="f1")
    with pytest.raises(ValueError, match="are the same study"):
        lb.compare(a, b, b)
    with pytest.raises(ValueError, match="are the same study"):
        lb.compare(a, a.store.root)
    small = study(tmp_path / "small", Recipe("small", 0.6, examples=50))
    with pytest.raises(ValueError, match=r"test sets have different labels \(200 and 50 examples\)"):
        lb.compare(a, small)
    one = study(tmp_path / "one", Recipe("one", 0.6), seeds=(1,), noises=NOISES[:1])
    with pytest.raises(ValueError, match="one has one finished run only"):
        lb.compare(a, one)
    write_checksummed(tmp_path / "odd" / "study.json", {"name": "odd"})
    with pytest.raises(ValueError, match="does not describe a study"):
        lb.compare(a, tmp_path / "odd")


def treats_powers_of_two_apart(run):
    run.log(1, test_accuracy=50.0 + run.seed + (run.noise.k == 2))


def logs_only(run):
    run.log(1, test_accuracy=50.0 + run.seed + run.noise.k / 10)


def test_without_predictions_the_recorded_data_set_decides(tmp_path):
    def made(name, data):
        settings = {"name": name, "data": data}
        return study(tmp_path / name, logs_only, seeds=(1, 2), settings=settings, controlled=False)

    coins = made("coins", {"name": "coins", "test": 100})
    assert lb.compare(coins, made("alike", {"name": "coins", "test": 100})).examples is None
    with pytest.raises(ValueError, match=r"tested on different data \(data.name = coins and dice\)"):
        lb.compare(coins, made("dice", {"name": "dice", "test": 100}))
    assert lb.compare(coins, made("unknown", None)).difference == 0
    with pytest.raises(ValueError, match=r"data.test = 100 and 50"):
        lb.compare(coins, made("fewer", {"name": "coins", "test": 50}))
