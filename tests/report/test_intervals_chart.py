"""The chart of differences: an interval much wider than the others is cut, with an arrow and its ends in words."""

import re

import numpy as np
import polars as pl
import pytest

from lastbit.report.charts.figure import write_figures
from lastbit.report.comparison import comparison_figures
from lastbit.report.comparison.recipes_stored import as_recipes
from lastbit.study.comparison.compare import compare

TASKS = tuple("abcdefgh")


def content(*, only_two=(), within=None):
    generator = np.random.default_rng(3)
    rows = [
        {
            "recipe": name,
            "task": task,
            "seed": seed,
            "acc": 90 + gain + (name == "few" and task == "b") + generator.normal(0, 0.3),
        }
        for name, gain in (("old", 0.0), ("new", 1.0), ("other", 0.1), ("few", 0.5))
        for task in (TASKS[:2] if name in only_two else TASKS)
        for seed in range(3)
    ]
    frame = pl.DataFrame(rows)
    return as_recipes(compare(frame, by="recipe", metric="acc", seed="seed", task="task", within=within).as_json())


def drawn(figure, name):
    return {(row["group"], row["width"]): (row["low"], row["high"]) for row in figure.chart.data[name]}


def test_the_interval_of_two_tasks_ends_in_arrows_and_leaves_the_axis_to_the_others(tmp_path):
    stored = content(only_two=("few",), within=0.9)
    (figure,) = comparison_figures(stored)
    ends = {row["recipe"]: row["interval_simultaneous"] for row in stored["comparisons"]}
    kept = [end for name in ("new", "other") for end in ends[name]]
    low, high = drawn(figure, "spans")["few", 2]
    # The axis reaches as far as the others and the margin do, with some room.
    least, most = min(*kept, -0.9), max(*kept, 0.9)
    room = 0.05 * (most - least)
    assert (low, high) == pytest.approx((least - room, most + room))
    assert ends["few"][0] < low < high < ends["few"][1]
    assert {(row["value"], row["below"]) for row in figure.chart.data["arrows"]} == {(low, True), (high, False)}
    assert {row["group"] for row in figure.chart.data["arrows"]} == {"few"}
    said = re.search(r"go on beyond the chart: few \((-?[\d.]+) to ([\d.]+)\)", figure.note)
    assert [float(end) for end in said.groups()] == pytest.approx(ends["few"], abs=0.51 * 10.0 ** -stored["decimals"])
    for name in ("new", "other"):
        assert drawn(figure, "spans")[name, 2] == tuple(ends[name])
    assert [path.suffix for path in write_figures([figure], tmp_path)] == [".png", ".svg"]
    svg = (tmp_path / "differences.svg").read_text(encoding="utf-8")
    assert svg.count('aria-roledescription="point"') == 3 + 2  # a dot each, and two arrows


def test_where_all_intervals_are_of_one_size_nothing_is_cut():
    (figure,) = comparison_figures(content())
    assert "arrows" not in figure.chart.data
    assert "beyond the chart" not in figure.note
