"""What is said where few recipes can be tested, where some never vary, and where the table does not hold runs."""

import numpy as np
import polars as pl
import pytest

from lastbit.report.comparison import comparison_figures, differences_table
from lastbit.report.comparison.recipes_stored import as_recipes
from lastbit.study.comparison.compare import compare

BASE = [90.0, 91.0, 92.5, 90.7]


def table(recipes, **columns):
    return pl.DataFrame(
        [
            {"recipe": name, "seed": seed, "acc": value, **columns}
            for name, values in recipes.items()
            for seed, value in enumerate(values)
        ]
    )


def compared(frame, **options):
    return compare(frame, **{"by": "recipe", "metric": "acc", "seed": "seed"} | options)


@pytest.mark.parametrize(
    ("gain", "said", "title"),
    [
        (5.0, "b is better, by more than noise.", "b is better than a, by more than noise"),
        (-5.0, "b is worse, by more than noise.", "b is worse than a, by more than noise"),
        (0.01, "not distinguishable from noise;", "b does not differ from a by more than noise"),
    ],
)
def test_one_recipe_that_can_be_tested_is_not_counted(gain, said, title):
    b = [value + gain + jitter for value, jitter in zip(BASE, (0.1, -0.2, 0.05, 0.1), strict=True)]
    found = compared(table({"a": BASE, "b": b, "lone": [95.0]}))
    assert found.verdict.startswith("b − a: ")
    assert said in found.verdict
    assert "lone − a +3.9" in found.verdict
    assert "of 1 recipe" not in found.verdict
    (figure,) = comparison_figures(as_recipes(found.as_json()))
    assert figure.title == title


def test_what_equals_the_baseline_in_all_runs_is_not_said_to_differ():
    shifted, same = [value + 1 for value in BASE], list(BASE)
    verdict = compared(table({"a": BASE, "b": shifted, "c": same})).verdict
    assert "b +1.00: differs by the same in all runs, so that there is no interval." in verdict
    assert "c does not differ from a in any run." in verdict
    both = compared(table({"a": BASE, "b": same, "c": same})).verdict
    assert both.startswith("b and c do not differ from a in any run.")
    assert "by the same" not in both


def test_more_than_a_million_tasks_are_said_and_not_left_unknown():
    tiny = {"x": 1e-7, "y": -1e-7 + 2e-13, "z": 3e-13}
    frame = pl.concat(table({"a": [1.0, 1.5], "b": [1.0 + gain, 1.5 + gain]}, task=task) for task, gain in tiny.items())
    found = compared(frame, task="task")
    (row,) = found.as_json()["comparisons"]
    assert (row["tasks_needed"], row["tasks"]) == (None, 3)
    assert "takes more than a million tasks like these" in found.verdict
    content = as_recipes(found.as_json())
    assert differences_table(content).rows[0][-1] == "> a million"
    for old in content["comparisons"]:
        del old["tasks_needed"]
    assert differences_table(content).rows[0][-1] == "–"


@pytest.mark.parametrize("asked", [None, False, True])
def test_the_direction_that_is_asked_for_goes_before_the_name_of_a_task(asked):
    generator = np.random.default_rng(1)
    frame = pl.concat(
        table({name: generator.normal(mean, 0.1, 5) for name, mean in (("a", 50.0), ("b", 51.0))}, task=task)
        for task in ("wiki_loss", "books")
    ).rename({"acc": "value"})
    found = compared(frame, metric="value", task="task", lower_is_better=asked)
    expected = {"wiki_loss": True, "books": False} if asked is None else dict.fromkeys(("wiki_loss", "books"), asked)
    assert found.less_by_task == expected
    assert (found.no_average == "") == (asked is not None)  # of both directions there is no average
    side = {None: "better: b on books; worse: b on wiki_loss", False: "better: b on", True: "worse: b on"}[asked]
    assert side in found.verdict


def test_means_with_their_spreads_are_not_taken_for_runs_in_silence():
    rows = [
        {"recipe": name, "acc_mean": mean, "acc_std": 0.4} for name, mean in (("a", 90.0), ("b", 92.0), ("b", 93.0))
    ]
    found = compared(pl.DataFrame(rows), metric="acc_mean", seed=None)
    assert found.notes[0].startswith("acc_mean looks like means of several runs, with their spread in acc_std")
    # With seeds, a row is a run: its mean is over episodes or batches.
    seeded = pl.DataFrame([row | {"seed": at} for at, row in enumerate(rows)])
    assert not any("looks like means" in note for note in compared(seeded, metric="acc_mean").notes)
    alone = pl.DataFrame(rows).drop("acc_std")
    assert not any("looks like means" in note for note in compared(alone, metric="acc_mean", seed=None).notes)
