"""Comparisons over single examples where there are several tasks, or recipes with other examples."""

import numpy as np
import polars as pl
import pytest
from scipy import stats

import lastbit as lb
from lastbit.report.comparison import examples_tables
from lastbit.report.comparison.recipes_stored import as_recipes

GAINS = {"old": 0.0, "new": 0.4, "other": 0.0}


def scores(task, count, *, shift=0.0):
    """Of each recipe on each example; a recipe with one run only."""
    generator = np.random.default_rng(count)
    base = generator.normal(0, 1, count)
    return {name: base + gain + shift + generator.normal(0, 0.5, count) for name, gain in GAINS.items()}


def rows_of(task, values, *, without=()):
    return [
        {"recipe": name, "seed": 1, "task": task, "example": f"e{at}", "score": float(value)}
        for name, column in values.items()
        for at, value in enumerate(column)
        if (name, at) not in without
    ]


def test_examples_are_compared_task_by_task():
    values = {"math": scores("math", 40), "code": scores("code", 60, shift=3.0)}  # the examples have the same names
    rows = [row for task, of in values.items() for row in rows_of(task, of)]
    found = lb.compare(pl.DataFrame(rows), by="recipe", metric="score", seed="seed", example="example", task="task")
    content = as_recipes(found.as_json())
    assert all(row["over_examples"] is None for row in content["comparisons"])
    for task in content["tasks"]:
        for row in task["comparisons"]:
            of = values[task["task"]]
            expected = stats.ttest_1samp(of[row["recipe"]] - of["old"], 0)
            assert row["over_examples"]["p"] == pytest.approx(expected.pvalue)
            assert row["over_examples"]["interval"] == pytest.approx(list(expected.confidence_interval(0.95)))
            low, high = row["over_examples"]["interval_simultaneous"]
            # Two tasks with two recipes each: between what one task alone would take and Bonferroni's of all four.
            widest, least = (expected.confidence_interval(1 - 0.05 / tests) for tests in (4, 2))
            assert widest.low - 1e-9 <= low <= least.low + 1e-9
            assert least.high - 1e-9 <= high <= widest.high + 1e-9
    (table,) = examples_tables(content)
    assert [(row[0], row[1], row[7]) for row in table.rows] == [
        ("math", "new", "40"),
        ("math", "other", "40"),
        ("code", "new", "60"),
        ("code", "other", "60"),
    ]
    assert any("examples of each task are compared by themselves (2 of 2 tasks have some)" in n for n in found.notes)


def test_recipes_with_other_examples_have_their_own_number():
    missing = {("other", at) for at in range(10)}
    rows = rows_of("math", scores("math", 50), without=missing)
    found = lb.compare(pl.DataFrame(rows), by="recipe", metric="score", seed="seed", example="example")
    assert {name: row.examples for name, row in found.examples[None].items()} == {"new": 50, "other": 40}
    assert "Over other examples like these 40 to 50, with the same runs, new +0." in found.verdict
