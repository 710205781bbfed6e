"""The page of many recipes against a baseline: its chart, its tables and what it refuses."""

import re
from html import unescape

import numpy as np
import polars as pl
import pytest

import lastbit as lb
from lastbit.report.comparison import (
    comparison_figures,
    differences_table,
    examples_tables,
    gain_tables,
    p_values_table,
    recipes_table,
    write_comparison,
)
from lastbit.report.comparison.recipes import recipes_page
from lastbit.report.comparison.recipes_stored import as_recipes
from lastbit.report.numbers import MISSING
from lastbit.report.page import render
from lastbit.study.comparison.gains import gain_of


def compared(count=5, *, shifts=(0.0, 1.5, -1.5), tasks=("one",), **options):
    generator = np.random.default_rng(1)
    content = [
        {"recipe": f"r{i}", "seed": seed, "data": task, "acc": 90 + (shifts[i] if i < len(shifts) else 0) + noise}
        for task in tasks
        for i in range(count)
        for seed, noise in enumerate(generator.normal(0, 0.2, 6))
    ]
    found = lb.compare(pl.DataFrame(content), by="recipe", metric="acc", seed="seed", task="data", **options)
    return as_recipes(found.as_json())


def test_the_chart_shows_both_intervals_of_every_recipe_sorted_and_says_which_are_real():
    content = compared(within=0.8)
    (figure,) = comparison_figures(content)
    assert figure.title == "1 of 4 recipes is better than r0 and 1 worse, by more than noise"
    rows = {row["recipe"]: row for row in content["comparisons"]}
    drawn = figure.chart.data["rows"]
    assert [row["group"] for row in drawn] == sorted(rows, key=lambda name: -rows[name]["difference"])
    assert {row["group"]: row["kind"] for row in drawn}["r1"] == "better"
    assert {row["group"]: row["kind"] for row in drawn}["r2"] == "worse"
    spans = {(span["group"], span["width"]): [span["low"], span["high"]] for span in figure.chart.data["spans"]}
    for name, row in rows.items():
        assert spans[name, 2] == row["interval_simultaneous"]
        assert spans[name, 6] == row["interval"]
    assert figure.chart.data["bands"] == [{"low": -0.8, "high": 0.8}]


def test_what_is_better_turns_round_where_less_is():
    content = compared(lower_is_better=True)
    (figure,) = comparison_figures(content)
    assert (figure.rows[0]["group"], figure.rows[0]["kind"]) == ("r2", "better")
    assert "lower is better" in figure.note


def test_the_probability_of_a_better_run_has_its_interval_beside_it():
    content = compared()
    (low, high) = content["comparisons"][0]["probability_better_interval"]
    assert p_values_table(content).rows[0][4] == f"100 % ({100 * low:.0f} to {100 * high:.0f})"


def test_of_very_many_recipes_the_largest_differences_are_drawn():
    (figure,) = comparison_figures(compared(45))
    assert len(figure.rows) == 30
    assert {"r1", "r2"} <= {row["group"] for row in figure.rows}
    assert "Shown are 30 of 44" in figure.note


def test_where_nothing_differs_the_title_says_so():
    (figure,) = comparison_figures(compared(4, shifts=()))
    assert figure.title == "None of 3 recipes differs from r0 by more than noise"


def test_the_page_has_the_verdict_first_every_row_and_the_notes(tmp_path):
    content = compared(within=0.8)
    text = unescape(re.sub("<[^>]+>", " ", render(recipes_page(content), libraries="").partition("chart-data")[0]))
    assert text.index(content["verdict"]) < text.index("all together")
    for note in content["notes"]:
        assert note in text
    for table in (recipes_table(content), differences_table(content), p_values_table(content)):
        for row in table.rows:
            assert [cell for cell in row if cell not in text] == []
    assert "nan" not in text
    write_comparison(content, tmp_path / "compare.html")
    assert 'id="compare-differences"' in (tmp_path / "compare.html").read_text(encoding="utf-8")


def test_single_runs_with_examples_are_drawn_over_other_examples():
    generator = np.random.default_rng(2)
    content = [
        {"recipe": name, "seed": 1, "question": question, "right": float(generator.random() < 0.5 + gain)}
        for name, gain in (("old", 0.0), ("new", 0.4), ("other", 0.0))
        for question in range(200)
    ]
    found = lb.compare(pl.DataFrame(content), by="recipe", metric="right", seed="seed", example="question")
    stored = as_recipes(found.as_json())
    (figure,) = comparison_figures(stored)
    assert figure.title.startswith("1 of 2 recipes is better than old")
    rows = {row["recipe"]: row["over_examples"] for row in stored["comparisons"]}
    assert {(span["low"], span["high"]) for span in figure.chart.data["spans"]} == {
        tuple(row[name]) for row in rows.values() for name in ("interval", "interval_simultaneous")
    }
    (table,) = examples_tables(stored)
    assert [row[0] for row in table.rows] == ["new", "other"]
    assert table.rows[0][6:] == ["200", "–"]
    assert "The differences over other examples" in render(recipes_page(stored), libraries="")


def test_a_comparison_stored_before_its_examples_had_joint_intervals_is_drawn_with_dashes():
    generator = np.random.default_rng(3)
    frame = pl.DataFrame(
        {"recipe": ["a", "b"] * 40, "seed": [1, 1] * 40, "example": [at // 2 for at in range(80)]}
    ).with_columns(score=generator.normal(0, 1, 80))
    compared = lb.compare(frame, by="recipe", metric="score", seed="seed", example="example", within=0.1)
    content = compared.as_json()
    (row,) = content["comparisons"]
    for new in ("interval_simultaneous", "p_simultaneous", "real"):
        del row["over_examples"][new]
    row["same"] = {"p": 0.2, "same": False}
    content = as_recipes(content)
    (examples,) = examples_tables(content)
    assert examples.rows[0][3] == examples.rows[0][5] == MISSING
    assert p_values_table(content).rows[0][-1] == MISSING


def test_what_undecided_differences_and_a_gain_take_stands_in_tables():
    rows = [{"recipe": name, "acc": value} for name in ("old", "new") for value in (1.0, 2.0, 4.0)]
    rows = [row | {"acc": row["acc"] + (row["recipe"] == "new")} for row in rows] + [{"recipe": "lone", "acc": 3.0}]
    found = lb.compare(pl.DataFrame(rows), by="recipe", metric="acc")
    content = as_recipes(found.as_json() | {"gain": gain_of(found, 2.0)})
    by_name = {row[0]: row for row in differences_table(content).rows}
    assert by_name["new"][4:] == ["–", str(found.runs_needed(1.0)["new"])]
    assert by_name["lone"][1:] == ["+0.7", "–", "–", "no test", "–"]
    (table,) = gain_tables(content)
    power = f"{100 * content['gain']['recipes'][0]['power']:.0f} %"
    assert table.rows == [["new", str(found.runs_needed(2.0)["new"]), power, "3"], ["lone", "–", "–", "1"]]
    assert gain_tables(as_recipes(found.as_json())) == []
    assert content["gain"]["sentence"] in unescape(render(recipes_page(content), libraries=""))


def test_each_task_has_a_table_of_its_own():
    content = compared(3, tasks=("mnist", "svhn", "food"))
    titles = [differences_table(content, task).title for task in content["tasks"]]
    html = unescape(render(recipes_page(content), libraries=""))
    assert all(title in html for title in titles)
    assert titles == [f"The differences from r0: {name}" for name in ("mnist", "svhn", "food")]
    assert "tasks as random effect" in p_values_table(content).note


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"comparisons": "none"}, "comparisons"),
        ({"recipes": [{"name": 3}]}, "recipes"),
        ({"within": -1.0}, "within"),
        ({"decimals": 10_000}, "decimals"),
    ],
)
def test_altered_json_is_refused_with_the_place(change, complaint, tmp_path):
    with pytest.raises(lb.LastbitError, match=f"not the comparison of recipes.*{complaint}"):
        write_comparison(compared() | change, tmp_path / "page.html")
