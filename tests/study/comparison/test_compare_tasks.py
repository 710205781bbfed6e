"""Tables with several tasks: what is averaged, over which tasks, what holds together, and what is said of each task."""

from math import ceil

import numpy as np
import polars as pl
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestPower

import lastbit as lb
from lastbit.errors import LastbitError
from lastbit.report.comparison import comparison_figures, differences_table, recipes_table
from lastbit.report.comparison.recipes_stored import as_recipes
from lastbit.report.comparison.recipes_tables import over_all_tables

GAINS = {"old": 0.0, "new": 1.0, "other": 0.1}
TASKS = {"mnist": 98.0, "svhn": 94.0, "cifar": 88.0}


def rows(tasks=None, *, seeds=5, gains=None, metric="acc", without=(), noise=0.3):
    generator = np.random.default_rng(6)
    return [
        {"recipe": recipe, "task": task, "seed": seed, metric: level + gain * (1 + at / 4) + noise * generator.normal()}
        for at, (task, level) in enumerate((tasks or TASKS).items())
        for recipe, gain in (gains or GAINS).items()
        for seed in range(seeds)
        if (recipe, task) not in without
    ]


def compared(content, *, metric="acc", **options):
    return lb.compare(pl.DataFrame(content), by="recipe", metric=metric, seed="seed", task="task", **options)


def means_of(content, metric="acc"):
    frame = pl.DataFrame(content).group_by("recipe", "task").agg(pl.col(metric).mean())
    return {(recipe, task): mean for recipe, task, mean in frame.iter_rows()}


def test_a_recipe_that_lacks_a_task_is_compared_and_averaged_on_common_tasks_and_named():
    content = rows(without={("new", "mnist")})
    found, means = compared(content), means_of(content)
    new, other = sorted(found.comparisons, key=lambda row: row.recipe)
    each = [means["new", task] - means["old", task] for task in ("svhn", "cifar")]
    assert (new.tasks, other.tasks, new.difference) == (2, 3, pytest.approx(np.mean(each)))
    assert new.p == pytest.approx(stats.ttest_1samp(each, 0).pvalue)
    assert new.means == pytest.approx([np.mean([means[name, t] for t in ("svhn", "cifar")]) for name in ("new", "old")])
    # The table of recipes has the means of tasks that all have, so that it may be read down.
    for recipe in found.recipes:
        assert recipe.mean == pytest.approx(np.mean([means[recipe.name, t] for t in ("svhn", "cifar")]))
    said = next(note for note in found.notes if "no run of new on mnist" in note)
    assert "means of recipes are over the 2 that all have (svhn and cifar)" in said
    by_name = {row[0]: row for row in differences_table(as_recipes(found.as_json())).rows}
    places = found.decimals
    assert by_name["other"][1] == f"{other.means[0]:.{places}f} vs {other.means[1]:.{places}f}"


def test_where_no_task_is_common_to_all_recipes_have_no_mean():
    found = compared(rows(without={("new", "mnist"), ("other", "svhn"), ("other", "cifar")}))
    assert all(np.isnan(recipe.mean) for recipe in found.recipes)
    assert any("means of recipes are over none, since none is common" in note for note in found.notes)
    assert "other − old +0." in found.verdict
    assert "on one common task, which tells nothing of others" in found.verdict


def test_many_tasks_with_one_run_each_are_tested_over_tasks():
    tasks = {f"t{at}": 70.0 + at for at in range(10)}
    content = rows(tasks, seeds=1)
    found, means = compared(content), means_of(content)
    for row in found.as_json()["comparisons"]:
        each = [means[row["recipe"], task] - means["old", task] for task in tasks]
        expected = stats.ttest_1samp(each, 0)
        assert (row["test"], row["p"]) == ("tasks as random effect", pytest.approx(expected.pvalue))
        assert row["interval"] == pytest.approx(list(expected.confidence_interval(0.95)))
        assert row["std_between_tasks"] is None  # runs and tasks are not told apart
    assert found.verdict.startswith("1 of 2 recipes differs from old, on average over tasks like these 10, by more")
    assert "On single tasks" not in found.verdict
    assert "nothing tells" not in found.verdict
    assert any("one run on each will do" in note and "independent and nearly normal" in note for note in found.notes)


def test_the_intervals_of_all_tasks_are_one_family():
    found = compared(rows(gains={"old": 0.0, "new": 1.0}))
    flat = [row for of in found.tasks.values() for row in of]
    for row in flat:
        low, high = stats.t.interval(1 - 0.05 / 3, 4, row.test.difference, row.test.standard_error)
        assert row.simultaneous == pytest.approx((low, high))
        assert row.p_simultaneous == pytest.approx(min(1, 3 * row.p))
    assert [row.p_holm for row in flat] == pytest.approx(multipletests([row.p for row in flat], method="holm")[1])
    assert [row.p_bh for row in flat] == pytest.approx(stats.false_discovery_control([row.p for row in flat]))
    (over,) = found.comparisons
    assert over.simultaneous == pytest.approx((over.test.lower, over.test.upper))


def test_nothing_that_differs_on_no_task_is_seldom_found_on_any():
    generator, found = np.random.default_rng(0), []
    for _ in range(60):
        content = [
            {"recipe": name, "task": task, "seed": seed, "acc": generator.normal()}
            for task in "abcd"
            for name in ("x", "y", "z", "w")
            for seed in range(4)
        ]
        found.append(any(row.is_real for of in compared(content).tasks.values() for row in of))
    assert np.sum(found) <= stats.binom(60, 0.05).ppf(0.999)


def test_what_is_said_of_single_tasks_and_over_them_is_told_apart():
    found = compared(rows(gains={"old": 0.0, "new": 3.0, "other": 0.02}, noise=0.1))
    assert found.verdict.startswith("1 of 2 recipes differs from old, on average over tasks like these 3,")
    single = "On single tasks, 3 of 6 differences from old are more than noise (95 % intervals that hold together)"
    assert f"{single}; better: new on mnist, svhn and cifar." in found.verdict
    assert any("2 differences over tasks are one family; the 6 on single tasks are another" in n for n in found.notes)


def test_an_undecided_difference_over_tasks_takes_tasks_and_not_runs():
    content = rows(gains={"old": 0.0, "new": 0.1})
    found, means = compared(content), means_of(content)
    each = [means["new", task] - means["old", task] for task in TASKS]
    needed = ceil(TTestPower().solve_power(abs(np.mean(each)) / np.std(each, ddof=1), power=0.8, alpha=0.05))
    (row,) = found.as_json()["comparisons"]
    assert (row["tasks_needed"], row["runs_needed"]) == (needed, None)
    assert f"a difference as large as this takes {needed} tasks like these, with as many runs on each" in found.verdict
    table = differences_table(as_recipes(found.as_json()))
    assert (table.columns[-1], table.rows[0][-1]) == ("tasks needed", str(needed))


@pytest.mark.parametrize(
    ("metric", "tasks", "why"),
    [
        ("acc", {"mnist": 0.6, "cifar": 88.0}, "median 0.6"),  # fractions and percents
        ("value", {"top_acc": 91.0, "wiki_loss": 60.0}, "lower is better on wiki_loss, higher on the others"),
        ("value", {"one": 91.0, "two": 2.5}, "on two, "),
        ("reward", {"pong": 20.0, "atlantis": 900.0}, "on pong, "),
        ("acc", {"mnist": 98.0, "imagenet": 2.0}, None),
        ("err", {"mnist": 0.4, "cifar": 6.0}, None),
    ],
)
def test_tasks_in_different_units_are_compared_each_and_not_averaged(metric, tasks, why):
    content = rows(tasks, metric=metric, noise=0.01, gains={"old": 0.0, "new": 0.1, "other": 0.0})
    found = compared(content, metric=metric)
    stored = as_recipes(found.as_json())
    if why is None:
        assert stored["no_average"] is None
        assert all(recipe["mean"] is not None for recipe in stored["recipes"])
        return
    assert found.verdict.startswith("The tasks are in different units or of different sizes (")
    assert why in stored["no_average"]
    assert all(row["difference"] is None for row in stored["comparisons"])
    assert [row[1] for row in recipes_table(stored).rows] == ["–"] * 3
    assert over_all_tables(stored) == []
    assert len(comparison_figures(stored)) == 2
    for task in stored["tasks"]:
        side = "worse" if task["lower_is_better"] else "better"
        assert next(row for row in differences_table(stored, task).rows if row[0] == "new")[5] == side


def test_percents_beside_fractions_of_one_task_are_still_refused():
    content = rows({"mnist": 0.6, "cifar": 88.0}, noise=0.01, gains=dict.fromkeys(GAINS, 0.0))
    content[0]["acc"] *= 100
    content[1]["acc"] *= 100
    with pytest.raises(LastbitError, match="2 of 15 values of acc look like percents"):
        compared(content)


def test_of_two_recipes_the_verdict_says_which_is_better():
    base = [row for row in rows() if row["task"] == "svhn" and row["recipe"] != "other"]
    one = [{name: value for name, value in row.items() if name != "task"} for row in base]
    up = lb.compare(pl.DataFrame(one), by="recipe", metric="acc", seed="seed").verdict
    assert up.endswith("new is better, by more than noise.")
    down = lb.compare(pl.DataFrame(one), by="recipe", metric="acc", seed="seed", lower_is_better=True).verdict
    assert down.endswith("new is worse, by more than noise.")


def test_where_runs_are_left_out_of_pairs_the_table_has_the_means_that_are_compared():
    values = {"old": {1: 90.0, 2: 91.0, 3: 92.0, 4: 60.0}, "new": {1: 91.0, 2: 92.5, 3: 93.0}}
    content = [{"recipe": r, "seed": s, "acc": v} for r, of in values.items() for s, v in of.items()]
    stored = as_recipes(lb.compare(pl.DataFrame(content), by="recipe", metric="acc").as_json())
    (row,) = stored["comparisons"]
    assert row["means"] == pytest.approx([92.0 + 1 / 6, 91.0])
    table = differences_table(stored)
    assert table.rows[0][:2] == ["new", f"{92 + 1 / 6:.{stored['decimals']}f} vs {91:.{stored['decimals']}f}"]
    assert "Means are of what is compared, the seeds that both have" in table.note
    whole = as_recipes(lb.compare(pl.DataFrame(content[:3] + content[4:]), by="recipe", metric="acc").as_json())
    assert "means" not in differences_table(whole).columns
