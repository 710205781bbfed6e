"""A study's results against numbers computed here from its files alone."""

import json
from dataclasses import replace
from itertools import combinations
from statistics import median

import numpy as np
import pytest
import torch
import toy_training
from safetensors.torch import load_file

import lastbit as lb
from lastbit.divergence import rel_l1
from lastbit.study.collect import collect
from lastbit.study.metric import Metric

NOISES = [lb.Scale(k) for k in (1, 3, 5)]
SEEDS = (1, 2, 3)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    study = lb.Study(tmp_path_factory.mktemp("results"), toy_training.train, noises=NOISES, seeds=SEEDS)
    study.run()
    return study


@pytest.fixture(scope="module")
def found(study):
    return json.loads(json.dumps(study.results().as_json()))


def directory(study, seed, k):
    for file in (study.store.root / "trials").glob("*/trial.json"):
        trial = json.loads(file.read_text())
        if (trial["seed"], trial["noise"]["k"], trial["replica"]) == (seed, k, 0):
            return file.parent
    raise LookupError((seed, k))


def test_trials_carry_their_final_metrics(study, found):
    assert [(row["seed"], row["k"]) for row in found["trials"]] == [(s, n.k) for s in SEEDS for n in NOISES]
    for row in found["trials"]:
        last = json.loads((directory(study, row["seed"], row["k"]) / "metrics.jsonl").read_text().splitlines()[-1])
        assert row["test_accuracy"] == last["test_accuracy"]
        assert row["status"] == "finished"
        assert row["noise"] == f"k={row['k']}"


COLUMNS = ("id", "seed", "noise", "noise_seed", "kind", "k", "p", "status", "diverged_at", "failure", "metrics")


def test_metrics_called_as_the_columns_of_a_trial_leave_them_alone(tmp_path):
    def train(run):
        run.log(1, test_accuracy=51.0, epoch=1, **dict.fromkeys(COLUMNS, 99.0))

    noises = [lb.Ulp(None), lb.Ulp(1)]
    rows = lb.Study(tmp_path, train, noises=noises, seeds=(4,), controlled=False).run().as_json()["trials"]
    for row, noise in zip(rows, noises, strict=True):
        assert row["metrics"] == {"test_accuracy": 51.0, "epoch": 1, **dict.fromkeys(COLUMNS, 99.0)}
        assert (row["seed"], row["noise"], row["status"]) == (4, noise.label, "finished")
        assert (row["kind"], row["diverged_at"], row["failure"]) == ("ulp", None, None)
        assert row["noise_seed"] == noise.as_json()["seed"]
        assert len(row["id"]) == 16
        assert row["test_accuracy"] == 51.0  # no column has the name
        assert not {"k", "p"} & row.keys()  # which rows of other noises have


def test_a_metric_called_as_a_column_can_be_the_studys_own(tmp_path):
    def train(run):
        run.log(1, seed=run.seed + 0.1 * run.noise.k)

    metric = Metric("seed", "the seed")
    study = lb.Study(tmp_path, train, noises=NOISES, seeds=SEEDS, controlled=False, metric=metric)
    content = study.run().as_json()
    assert [row["seed"] for row in content["trials"]] == [s for s in SEEDS for _ in NOISES]
    assert [row["metrics"]["seed"] for row in content["trials"]] == [s + 0.1 * n.k for s in SEEDS for n in NOISES]
    assert content["std"]["noise"]["pooled"]["std"] == pytest.approx(0.2)
    study.report(tmp_path / "page.html")
    assert "3.5" in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_a_metric_cannot_take_the_place_of_the_step(tmp_path):
    def train(run):
        run.log(1, step=7, test_accuracy=51.0)

    with pytest.raises(lb.study.TrialFailedError, match="multiple values for argument 'step'"):
        lb.Study(tmp_path, train, noises=NOISES[:1], seeds=(1,), controlled=False).run()


def test_distances_are_those_of_the_stored_weights(study, found):
    assert len(found["rel_l1"]) == 2 * len(SEEDS) * 3
    for row in found["rel_l1"]:
        name = f"weights/{row['step']:09d}.safetensors"
        weights, reference = (load_file(directory(study, row["seed"], k) / name) for k in (row["k"], 1))
        assert row["value"] == rel_l1(weights, reference).value
        assert row["noise"] == f"k={row['k']}"


def test_layers_are_medians_over_pairs_of_runs(study, found):
    for row in found["rel_l1_layers"]:
        name = f"weights/{row['step']:09d}.safetensors"
        values = [
            rel_l1(load_file(directory(study, s, k) / name), load_file(directory(study, s, 1) / name)).tensors[
                row["layer"]
            ]
            for s in SEEDS
            for k in (3, 5)
        ]
        assert row["value"] == pytest.approx(median(values))


def test_churn_is_counted_in_percent_over_pairs(study, found):
    labels = {
        (s, n.k): load_file(directory(study, s, n.k) / "predictions.safetensors")["labels"]
        for s in SEEDS
        for n in NOISES
    }

    def shares(pairs):
        return [100 * float((labels[a] != labels[b]).double().mean()) for a, b in pairs]

    by_noise = shares(((s, a), (s, b)) for s in SEEDS for a, b in combinations((1, 3, 5), 2))
    by_seed = shares(((a, k), (b, k)) for k in (1, 3, 5) for a, b in combinations(SEEDS, 2))
    assert found["churn"]["noise"] == {"mean": np.mean(by_noise), "largest": max(by_noise), "pairs": 9}
    assert found["churn"]["seed"] == {
        "mean": pytest.approx(np.mean(by_seed)), "largest": max(by_seed), "pairs": 9
    }  # fmt: skip


def test_spreads_are_those_of_the_table(study, found):
    table = study.grid().values("test_accuracy")
    per_seed = [found["std"]["noise"]["per_seed"][str(seed)]["std"] for seed in SEEDS]
    assert per_seed == pytest.approx(list(table.std(0, ddof=1)))
    per_noise = [found["std"]["seed"]["per_noise"][noise.label]["std"] for noise in NOISES]
    assert per_noise == pytest.approx(list(table.std(1, ddof=1)))
    # The page has one error of the test set: the part that other examples would change.
    assert found["variance"]["test_set_by"] == "examples"
    assert found["sampling_error"] == found["variance"]["test_set"]["std"]


def test_a_study_without_snapshots_or_predictions_still_has_results(tmp_path):
    def train(run):
        run.log(1, test_accuracy=90.0 + run.seed + 0.1 * run.noise.k)

    results = lb.Study(tmp_path, train, noises=NOISES, seeds=SEEDS, controlled=False).run()
    content = results.as_json()
    assert (content["rel_l1"], content["churn"]["noise"], content["sampling_error"]) == ([], None, None)
    assert content["std"]["noise"]["pooled"]["std"] == pytest.approx(0.2)


def accuracies(tmp_path, value, controlled=True):
    def train(run):
        run.log(1, test_accuracy=value(run.seed, run.noise.k if run.noise.k != 2 else 1))
        run.snapshot(1, {"w": torch.full((1,), float(run.seed))})

    return lb.Study(tmp_path, train, noises=NOISES, seeds=SEEDS, controlled=controlled).run()


def test_the_verdict_gives_noise_share_and_least_difference(tmp_path):
    said = accuracies(tmp_path, lambda seed, k: 90.0 + seed + 0.1 * k).verdict
    assert said.startswith(
        "Last-bit noise moves test accuracy by 0.20 points (standard deviation, 95 % interval 0.13 to"
    )
    assert "20 % of what the seed does (1.00 points" in said
    assert "differences below the noise floor of 0.69 points mean nothing." in said  # t(0.975, 6) · √2 · 0.2
    assert 2.4469 * np.sqrt(2) * 0.2 == pytest.approx(0.69, abs=0.005)


def test_the_verdict_of_noise_that_does_nothing(tmp_path):
    said = accuracies(tmp_path, lambda seed, k: 90.0 + seed).verdict
    assert said == (
        "Last-bit noise left the test accuracy of every run as it was, for no weight of any run differs: rounding "
        "absorbed it all, or the training does not use its noise. The seed moves it by 1.00 points."
    )


def test_the_verdict_of_too_little(tmp_path):
    results = lb.Study(tmp_path, toy_training.train, noises=NOISES[:1], seeds=(1,)).run()
    assert results.verdict == "Too few finished runs to say how far last-bit noise moves test accuracy."


def test_trials_of_different_numerics_are_never_mixed_silently(study):
    grid = study.grid()
    stored = dict(grid.stored)
    place = next(iter(stored))
    stored[place] = replace(stored[place])
    vars(stored[place])["fingerprint"] = stored[place].fingerprint | {"torch": "another"}
    mixed = collect(
        type(grid)(grid.noises, grid.seeds, stored, grid.ids), name="mixed", settings={}, controls=study.controls()
    )
    assert len(mixed.fingerprints) == 2
    assert mixed.verdict.startswith("Trials ran with 2 different numerics, which differ in torch and may move ")


def test_results_show_themselves_in_a_line_and_as_a_table(study):
    results = study.results()
    name = results.name
    assert repr(results) == f"<Results of {name}: test accuracy, 3 noise(s), 3 seed(s), 9 of 9 trials stored>"
    assert results.table().equals(study.table())
    assert results.table("test_accuracy")["seed 1"].len() == len(NOISES) + 1


def test_a_notebook_shows_the_verdict_and_then_the_tables_and_runs_nothing(tmp_path):
    def train(run):
        run.log(1, test_accuracy=90.0 + run.seed + 0.1 * run.noise.k)

    study = lb.Study(tmp_path, train, noises=NOISES, seeds=SEEDS, controlled=False, name="<script>alert(1)</script>")
    results = study.run()
    html = results._repr_html_()
    verdict = (
        "&lt;script&gt;alert(1)&lt;/script&gt;: Without controls: other sources of noise are not ruled out. Last-bit"
    )
    assert html.startswith(f"<p><b>{verdict}")
    assert "<script" not in html
    assert html.count("<table>") == 2
    for value in results.grid.values("test_accuracy").ravel():
        assert f">{value:.2f}</td>" in html
    assert f'<td style="text-align: right">{results.noise.std:.2f}</td>' in html
