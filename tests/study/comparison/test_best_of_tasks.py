"""The best recipe over several tasks, and on each of them: by the intervals of the same families as the differences."""

import numpy as np
import polars as pl
import pytest
from scipy import stats

from lastbit.statistics.multiplicity import joint_pairs
from lastbit.study.comparison.compare import compare

TASKS = ("mnist", "svhn", "cifar", "food")


def content(gains, *, tasks=TASKS, seeds=4, noise=0.1, without=()):
    generator = np.random.default_rng(11)
    levels, bumps = generator.normal(80, 10, len(tasks)), generator.normal(0, 0.1, (len(gains), len(tasks)))
    return [
        {
            "recipe": name,
            "task": task,
            "seed": seed,
            "acc": levels[at] + gain + bumps[i, at] + noise * generator.normal(),
        }
        for at, task in enumerate(tasks)
        for i, (name, gain) in enumerate(gains.items())
        for seed in range(seeds)
        if (name, task) not in without
    ]


def compared(rows, **options):
    return compare(pl.DataFrame(rows), by="recipe", metric="acc", seed="seed", task="task", **options)


def means_of(rows):
    """Mean of each recipe on each task, shape (tasks,)."""
    frame = pl.DataFrame(rows).group_by("recipe", "task").agg(pl.col("acc").mean())
    means = {(recipe, task): mean for recipe, task, mean in frame.iter_rows()}
    return {
        name: np.array([means[name, task] for task in TASKS if (name, task) in means])
        for name in frame["recipe"].unique()
    }


@pytest.mark.parametrize("less", [False, True])
@pytest.mark.parametrize("gap", [0.05, 5.0])
def test_the_best_over_tasks_is_told_from_others_by_t_on_the_tasks_at_one_level(gap, less):
    sign = -1 if less else 1
    rows = content({"old": 0.0, "top": 3.0 * sign, "near": (3.0 - gap) * sign, "low": 0.3 * sign})
    found, means = compared(rows, lower_is_better=less), means_of(rows)
    best, others = found.best, ("old", "near", "low")
    assert best.recipe == max(means, key=lambda name: sign * means[name].mean())
    centres = {
        centre: np.array([means[name] - means[centre] for name in means if name != centre]) for centre in ("old", "top")
    }
    level = min(joint_pairs(differences).level() for differences in centres.values())
    assert {row.level for row in found.comparisons} == {level}
    rivals = [
        name
        for name in others
        if not stats.ttest_rel(means["top"], means[name], alternative="less" if less else "greater").pvalue < level / 2
    ]
    assert list(best.rivals) == rivals == (["near"] if gap < 1 else [])
    assert "top has the best mean over tasks like these of 4, " in found.verdict
    assert best.winner.mean == pytest.approx(means["top"].mean())
    end = "near may be the best as well" if gap < 1 else "and stands clear of all others."
    assert end in found.verdict
    assert found.as_json()["best"]["clear"] == (gap > 1)


def test_the_best_of_each_task_is_of_the_family_of_all_tasks():
    found = compared(content({"old": 0.0, "top": 3.0, "near": 2.9}, noise=0.3, seeds=3))
    for at, (task, rows) in enumerate(found.tasks.items()):
        best = found.best_by_task[task]
        assert found.as_json()["tasks"][at]["best"]["not_distinguishable_from"] == list(best.rivals)
        assert all(row.level <= 0.05 / len(TASKS) for row in rows)
        by_name = {row.recipe: row for row in rows}
        assert ("old" in best.rivals) == (not by_name[best.recipe].is_real)
    clear = {task for task, best in found.best_by_task.items() if best.is_clear}
    words = f"On {len(clear)} of 4 single tasks one recipe" if clear else "On none of 4 single tasks is one recipe"
    assert f"{words} " in found.verdict
    plain = compared(content({"old": 0.0, "top": 9.0, "near": 2.9}, noise=0.01))
    assert plain.verdict.endswith(
        "On 4 of 4 single tasks one recipe is better than all others: top on mnist, svhn, cifar and food."
    )


def test_a_recipe_without_two_common_tasks_takes_no_part_and_is_named():
    rows = content({"old": 0.0, "top": 3.0, "lone": 9.0}, without={("lone", task) for task in TASKS[1:]})
    found = compared(rows)
    assert found.best.recipe == "top"
    assert (
        "top has the best mean over tasks like these of 2 (without lone, with fewer than two tasks of old)"
        in found.verdict
    )


def test_a_recipe_that_lacks_a_task_may_be_the_best_at_the_tasks_of_the_baseline():
    rows = content({"old": 0.0, "top": 3.0, "low": 0.5}, without={("top", "food")})
    found, means = compared(rows), means_of(rows)
    difference = float(np.mean(means["top"] - means["old"][:3]))
    assert (found.best.recipe, found.best.is_clear) == ("top", True)
    assert found.best.winner.mean == pytest.approx(means["old"].mean() + difference)
    assert "at the tasks of old" in found.verdict


def test_tasks_in_different_units_have_a_best_each_and_none_over_all():
    rows = content({"old": 0.0, "top": 3.0, "low": 0.5})
    rows = [row | {"value": row["acc"], "task": "wiki_loss" if row["task"] == "food" else row["task"]} for row in rows]
    found = compare(pl.DataFrame(rows).drop("acc"), by="recipe", metric="value", seed="seed", task="task")
    assert found.no_average
    assert found.best is None
    assert (found.best_by_task["wiki_loss"].recipe, found.best_by_task["svhn"].recipe) == ("old", "top")
    assert "best mean" not in found.verdict
