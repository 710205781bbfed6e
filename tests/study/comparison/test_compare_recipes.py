"""Comparisons of many recipes, from tables, frames, studies and plain numbers: their JSON and their words."""

import json
import re
import subprocess
import sys

import numpy as np
import polars as pl
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

import lastbit as lb
from lastbit.errors import LastbitError, LastbitTypeError
from lastbit.report.comparison.recipes_stored import as_recipes
from lastbit.report.comparison.recipes_tables import p_values_table
from lastbit.storage.files import to_json

SEEDS = range(1, 7)
SHIFTS = {"base": 0.0, "mixup": 0.8, "cosine": 0.05, "small": -2.0}


def rows(shifts=None, *, noise=0.1, seeds=SEEDS, task=None):
    generator = np.random.default_rng(7)
    effects = generator.normal(0, 0.5, 100)
    return [
        {"recipe": name, "seed": seed, "acc": 93 + shift + effects[seed] + noise * generator.normal()}
        | ({} if task is None else {"task": task})
        for name, shift in (shifts or SHIFTS).items()
        for seed in seeds
    ]


def csv_of(tmp_path, content):
    path = tmp_path / "runs.csv"
    pl.DataFrame(content).write_csv(path)
    return path


def compared(content, **options):
    return lb.compare(pl.DataFrame(content), **{"by": "recipe", "metric": "acc", "seed": "seed"} | options)


def test_the_json_is_that_of_the_file_and_its_tests_are_scipys(tmp_path):
    content = rows()
    path = csv_of(tmp_path, content)
    found = json.loads(to_json(lb.compare(path, by="recipe", metric="acc", seed="seed").as_json()))
    assert [row["recipe"] for row in found["comparisons"]] == ["mixup", "cosine", "small"]
    by_name = pl.DataFrame(content).partition_by("recipe", as_dict=True)
    values = {name: frame["acc"].to_numpy() for (name,), frame in by_name.items()}
    for row in found["recipes"]:
        assert (row["runs"], row["seeds"]) == (6, list(SEEDS))
        assert row["mean"] == pytest.approx(values[row["name"]].mean())
        assert row["std"] == pytest.approx(values[row["name"]].std(ddof=1))
    p = []
    for row in found["comparisons"]:
        expected = stats.ttest_rel(values[row["recipe"]], values["base"])
        assert (row["baseline"], row["test"], row["common_seeds"]) == ("base", "paired t", 6)
        assert row["difference"] == pytest.approx(np.mean(values[row["recipe"]] - values["base"]))
        assert row["interval"] == pytest.approx(list(expected.confidence_interval(0.95)))
        assert row["p"] == pytest.approx(expected.pvalue)
        u = stats.mannwhitneyu(values[row["recipe"]], values["base"]).statistic
        assert row["probability_better"] == pytest.approx(u / 36)
        assert row["interval_simultaneous"][0] < row["interval"][0]
        p.append(row["p"])
    assert [row["p_bh"] for row in found["comparisons"]] == pytest.approx(stats.false_discovery_control(p))
    assert [row["p_holm"] for row in found["comparisons"]] == pytest.approx(multipletests(p, method="holm")[1])


def test_a_table_is_compared_and_drawn_without_torch(tmp_path):
    path, page = csv_of(tmp_path, rows()), tmp_path / "page.html"
    code = (
        "import sys, pathlib, lastbit as lb; from lastbit.report.comparison import write_comparison; "
        f"found = lb.compare({str(path)!r}, by='recipe', metric='acc'); "
        f"write_comparison(found.as_json(), pathlib.Path({str(page)!r})); print('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
    assert page.exists()


def test_other_seeds_are_tested_by_welch_and_the_notes_say_so():
    content = rows({"base": 0}) + rows({"new": 0.5}, seeds=range(11, 16))
    found = compared(content)
    frame = pl.DataFrame(content)
    a, b = (frame.filter(pl.col("recipe") == name)["acc"].to_numpy() for name in ("new", "base"))
    (row,) = found.as_json()["comparisons"]
    assert (row["test"], row["p"]) == ("Welch t", pytest.approx(stats.ttest_ind(a, b, equal_var=False).pvalue))
    assert any("new shares fewer than two seeds with base" in note for note in found.notes)


def test_seeds_of_one_side_alone_are_left_out_of_pairs_and_named():
    found = compared(rows({"base": 0}) + rows({"new": 0.5}, seeds=range(4, 12)))
    (row,) = found.comparisons
    assert row.seeds == (4, 5, 6)
    assert any("left out: new (3 of 8 count)" in note for note in found.notes)


def test_seeds_that_a_later_task_leaves_out_are_named_with_the_task():
    content = rows({"base": 0, "new": 0.5}, task="mnist")
    for task in ("svhn", "cifar"):
        content += rows({"base": 0}, task=task) + rows({"new": 0.5}, seeds=range(4, 12), task=task)
    notes = [note for note in compared(content, task="task").notes if "left out" in note]
    assert len(notes) == 1
    assert notes[0].startswith("Tasks svhn and cifar: Only common seeds are compared")
    assert "left out: new (3 of 8 count)" in notes[0]


def test_the_verdict_names_what_is_real_the_same_and_the_best():
    found = compared(rows(), within=0.4)
    verdict = found.verdict
    assert verdict.startswith("2 of 3 recipes differ from base by more than noise")
    assert "better: mixup +0." in verdict
    assert "worse: small -" in verdict
    assert "cosine is the same as base within 0.4." in verdict
    assert "mixup has the best mean of 4, " in verdict
    assert "and stands clear of all others." in verdict
    assert repr(found) == "<RecipesComparison of 4 recipes: 2 differ from base>"
    assert verdict in found._repr_html_()


def test_less_is_better_where_it_is_said_or_the_name_says_it():
    losses = [{"recipe": r["recipe"], "seed": r["seed"], "loss": r["acc"]} for r in rows()]
    for options in ({}, {"lower_is_better": True}):
        found = lb.compare(pl.DataFrame(losses), by="recipe", metric="loss", seed="seed", **options)
        assert "better: small -" in found.verdict
        assert found.best.recipe == "small"
        assert found.as_json()["comparisons"][2]["probability_better"] == 1.0
    found = lb.compare(pl.DataFrame(losses), by="recipe", metric="loss", seed="seed", lower_is_better=False)
    assert "worse: small -" in found.verdict


def test_noise_alone_is_called_noise_and_the_best_of_it_corrected():
    found = compared(rows(dict.fromkeys("abcdefgh", 0.0), noise=0.3))
    assert found.verdict.startswith("None of 7 recipes differs from a by more than noise")
    assert "The best of 8 looks better than it is, here by about" in found.verdict
    assert found.best.winner.overstatement > 0


def test_the_baseline_is_named_by_recipe_or_by_value():
    found = compared(rows(), baseline="small")
    assert [row.recipe for row in found.comparisons] == ["base", "mixup", "cosine"]
    with pytest.raises(
        lb.LastbitError, match="no recipe 'mixxup' for the baseline: the nearest is mixup; there are base, mixup, "
    ):
        compared(rows(), baseline="mixxup")
    with pytest.raises(lb.LastbitError, match="within -1: a margin must be above 0"):
        compared(rows(), within=-1)


def test_one_recipe_is_not_compared():
    with pytest.raises(lb.LastbitError, match="one recipe only"):
        compared(rows({"base": 0}))


def test_tasks_are_compared_each_and_together_as_a_sample():
    tasks = {"mnist": 0.4, "svhn": 0.6, "cifar": 0.1}
    content = [row for task, gain in tasks.items() for row in rows({"base": 0, "new": gain}, task=task)]
    found = compared(content, task="task")
    each = [rows_of[0].test.difference for rows_of in found.tasks.values()]
    assert list(found.tasks) == list(tasks)
    (row,) = found.as_json()["comparisons"]
    expected = stats.ttest_1samp(each, 0)
    assert (row["test"], row["p"]) == ("tasks as random effect", pytest.approx(expected.pvalue))
    assert row["interval"] == pytest.approx(list(expected.confidence_interval(0.95)))
    assert (found.best.recipe, found.best.rivals) == ("new", ("base",))
    assert [task["task"] for task in found.as_json()["tasks"]] == list(tasks)


def test_three_lots_of_plain_numbers_or_a_margin_give_a_comparison_with_the_first():
    a, b, c = np.random.default_rng(0).normal(93, 0.2, (3, 6))
    found = lb.compare(a, b, c, paired=True)
    assert [(row.recipe, row.baseline) for row in found.comparisons] == [("b", "a"), ("c", "a")]
    assert found.comparisons[0].p == pytest.approx(stats.ttest_rel(b, a).pvalue)
    welch = lb.compare(a, b, within=0.5).comparisons[0]
    assert welch.p == pytest.approx(stats.ttest_ind(b, a, equal_var=False).pvalue)
    assert welch.same.margin == 0.5


def test_three_studies_are_compared_by_seed(tmp_path):
    def train(gain):
        def of(run):
            run.log(1, test_accuracy=80.0 + run.seed % 3 + gain * (1 + run.seed % 2))

        return of

    for name, gain in (("old", 0.0), ("new", 0.5), ("newer", 0.9)):
        options = {"noises": [lb.Scale(1)], "seeds": (1, 2, 3, 4), "name": name, "settings": {"gain": gain}}
        lb.Study(tmp_path / name, train(gain), **options).run()
    found = lb.compare(*(tmp_path / name for name in ("old", "new", "newer")))
    assert [(row.recipe, row.baseline, len(row.seeds)) for row in found.comparisons] == [
        ("new", "old", 4),
        ("newer", "old", 4),
    ]
    assert found.comparisons[0].test.difference == pytest.approx(0.75)
    assert found.metric == "test_accuracy"
    named = lb.compare(tmp_path / "old", tmp_path / "new", baseline="new")
    assert named.comparisons[0].recipe == "old"
    with pytest.raises(lb.LastbitError, match="compare studies or tables, not both"):
        lb.compare(tmp_path / "old", csv_of(tmp_path, rows()))


@pytest.mark.parametrize(
    ("arguments", "options", "complaint"),
    [
        ((), {}, "was given no runs"),
        (([1.0, 2.0],), {}, "given one recipe"),
        (([1.0, 2.0], [1.0, 3.0]), {"by": "recipe"}, "name columns of a table"),
        ((pl.DataFrame({"recipe": ["a"], "acc": [1.0]}),), {"paired": True}, "paired= is for plain numbers"),
        (2 * (pl.DataFrame({"acc": [1.0, 2.0]}),), {}, "a frame is compared alone: put all runs into one frame"),
        ((pl.DataFrame({"acc": [1.0, 2.0]}), [1.0, 2.0]), {}, "a frame is compared alone"),
        (([1.0, 2, 3], [1.0, 2, 3, 4], [2.0, 3, 4]), {"paired": True}, "a has 1, 2, 3, b has 1, 2, 3, 4"),
    ],
)
def test_options_that_do_not_go_with_what_was_given_are_refused(arguments, options, complaint):
    with pytest.raises(lb.LastbitError, match=complaint):
        lb.compare(*arguments, **options)


def test_examples_in_groups_are_compared_with_clustered_errors_even_for_single_runs():
    generator, content = np.random.default_rng(3), []
    effects = generator.normal(0, 0.3, 20)
    for recipe, gain in (("old", 0.0), ("new", 0.3)):
        for document in range(20):
            for question in range(12):
                score = 0.5 + (effects[document] if recipe == "new" else 0) + gain + generator.normal(0, 0.1)
                row = {"recipe": recipe, "seed": 1, "document": f"d{document}", "question": f"{document}-{question}"}
                content.append(row | {"score": score})
    frame = pl.DataFrame(content)
    options = {"by": "recipe", "metric": "score", "seed": "seed", "example": "question"}
    found = lb.compare(frame, cluster="document", **options)
    differences = frame.filter(pl.col("recipe") == "new")["score"] - frame.filter(pl.col("recipe") == "old")["score"]
    # Groups of one size: the t test of the groups' means.
    expected = stats.ttest_1samp(differences.to_numpy().reshape(20, 12).mean(1), 0)
    (row,) = found.as_json()["comparisons"]
    assert (row["p"], row["interval"]) == (None, None)  # of single runs, nothing is known of how far they spread
    assert (row["over_examples"]["examples"], row["over_examples"]["groups"]) == (240, 20)
    assert row["over_examples"]["p"] == pytest.approx(expected.pvalue)
    assert row["over_examples"]["interval"] == pytest.approx(list(expected.confidence_interval(0.95)))
    assert "a single run, or seed, tells no difference from luck (at least two runs with a seed each" in found.verdict
    assert "Over other examples like these 240 in 20 groups, with the same runs, new +0." in found.verdict
    plain = lb.compare(frame.drop("document"), **options).examples[None]["new"]
    assert plain.groups is None
    assert plain.row.p == pytest.approx(stats.ttest_1samp(differences.to_numpy(), 0).pvalue)


def test_the_best_of_equals_is_not_said_to_stand_clear():
    near = rows({"base": 0, "a": 0, "b": 0.01})
    said = compared(near).verdict
    assert "has the best mean of 3, " in said
    assert re.search(
        r", but (is not distinguishable from the baseline, base, so that|\w+ may be the best as well)", said
    )
    assert "clear" not in said


def test_recipes_of_one_run_take_no_part_in_the_best_and_are_named():
    content = rows({"base": 0, "a": 1, "b": 2}) + rows({"lone": 9}, seeds=range(1, 2))
    assert (
        "b has the best mean of 3 (without lone, of which there is one run or one seed), " in compared(content).verdict
    )


def test_differences_that_never_vary_are_not_called_noise():
    content = rows({"base": 0})
    shifted = [
        row | {"recipe": name, "acc": row["acc"] + shift} for name, shift in (("a", 2), ("b", 4)) for row in content
    ]
    said = compared(content + shifted).verdict
    assert "a +2" in said
    assert "b +4" in said
    assert "differ by the same in all runs, so that there is no interval" in said
    assert "noise" not in said


@pytest.mark.parametrize("option", [{"lower_is_better": True}, {"step": "best"}])
def test_options_of_tables_are_refused_for_two_lists_of_numbers(option):
    with pytest.raises(LastbitTypeError, match=next(iter(option))):
        lb.compare([1.0, 2.0], [1.5, 2.5], **option)


def test_fractions_beside_percents_are_refused_and_named():
    content = rows({"base": 0, "new": 0.5})
    content[-1]["acc"] /= 100
    one = r"1 of \d+ values of acc looks like a fraction \(row \d+\), the others"
    assert any(re.match(one, note) for note in compared(content).notes)  # it may be an outlier
    content[-2]["acc"] /= 100
    with pytest.raises(LastbitError, match=r"2 of \d+ values of acc look like fractions \(rows? \d+.*\), the others"):
        compared(content)


@pytest.mark.parametrize(("metric", "is_refused"), [("err", True), ("score", True), ("loss", False), ("nll", False)])
def test_recipes_below_ten_percent_are_refused_beside_fractions_but_losses_are_not(metric, is_refused):
    content = [
        {"recipe": recipe, "seed": seed, metric: unit * (0.034 + 0.001 * seed)}
        for recipe, unit in (("a", 1), ("b", 100))
        for seed in (1, 2, 3)
    ]
    frame = pl.DataFrame(content)
    if is_refused:
        with pytest.raises(LastbitError, match="give all in one unit"):
            lb.compare(frame, metric=metric)
    else:
        assert len(lb.compare(frame, metric=metric).recipes) == 2


def test_a_place_without_runs_is_named(tmp_path):
    with pytest.raises(LastbitError, match=r"nosuch does not exist"):
        lb.compare(tmp_path / "nosuch")
    with pytest.raises(LastbitError, match=f"{tmp_path.name} holds nothing to compare"):
        lb.compare(tmp_path)


def test_losses_of_one_unit_are_no_fractions_beside_percents():
    content = [
        row | {"acc": 15.0 + row["seed"] if row["recipe"] == "base" else 0.4} for row in rows({"base": 0, "a": 1})
    ]
    assert compared(content).recipes[1].mean == pytest.approx(0.4)


def test_a_baseline_that_is_best_at_its_seeds_but_not_in_the_table_is_said_to_be_so_at_its_seeds():
    """The others are worse at the seeds that they share with it, and have better ones of their own."""
    content = rows({"base": 0, "a": -1, "b": -2}) + rows({"a": 8, "b": 9}, seeds=range(11, 15))
    found = compared(content)
    means = {row.name: row.mean for row in found.recipes}
    assert max(means, key=means.get) == "a"
    assert re.search(r"base has the best mean of 3, [\d.]+ at the seeds of base ", found.verdict)
    assert "at the seeds of" not in compared(rows({"base": 0, "a": -1, "b": -2})).verdict


def test_the_probability_of_being_better_is_of_the_runs_that_are_compared():
    content = rows({"base": 0, "new": 0.2}, noise=0.5) + rows({"new": -9}, seeds=range(11, 31))
    (row,) = compared(content).as_json()["comparisons"]
    a, b = ([of["acc"] for of in content if of["recipe"] == name and of["seed"] in SEEDS] for name in ("new", "base"))
    assert row["probability_better"] == pytest.approx(stats.mannwhitneyu(a, b).statistic / 36)
    left = re.sub(r"\s+", " ", p_values_table(as_recipes(compared(content).as_json())).note)
    assert "with common seeds, of the runs with these" in left


def test_a_best_that_is_not_told_from_the_baseline_says_that_the_others_were_not_asked():
    """`a` and `b` differ by rounding from the best, and are not on the list, which says why."""
    found = compared(rows({"base": 0, "a": 0.001, "b": 0.002, "low": -5}, noise=0.3))
    best = found.as_json()["best"]
    assert best["recipe"] != "base"
    assert best["not_distinguishable_from"] == ["base"]
    assert f"{best['recipe']} has the best mean of 4, " in found.verdict
    said = "from the baseline, base, so that the best is not known (the others are then not compared with it)"
    assert said in found.verdict
