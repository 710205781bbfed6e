"""How many runs a gain takes, of the recipes in a table: against statsmodels' power, and what is said of it."""

from math import ceil

import numpy as np
import polars as pl
import pytest
from scipy import stats
from statsmodels.stats.power import TTestIndPower, TTestPower

import lastbit as lb
from lastbit.errors import LastbitError
from lastbit.study.comparison.gains import gain_of

A = np.array([93.1, 93.6, 92.7, 93.3, 92.9, 93.4])
NOISE = np.array([0.3, -0.2, 0.1, -0.4, 0.2, 0.0])


def compared(recipes, *, seeds=True, **options):
    rows = [
        {"recipe": name, "acc": value} | ({"seed": seed} if seeds else {})
        for name, values in recipes.items()
        for seed, value in enumerate(values)
    ]
    return lb.compare(pl.DataFrame(rows), by="recipe", metric="acc", **options)


def level_of(row):
    """Of the interval that holds together with the others."""
    reach = (row.simultaneous[1] - row.simultaneous[0]) / 2
    return 2 * stats.t.sf(reach / row.test.standard_error, row.test.dof)


@pytest.mark.parametrize("gain", [0.1, 0.2, 0.3])
def test_pairs_need_the_runs_of_statsmodels(gain):
    found = compared({"base": A, "new": A + 0.05 + NOISE})
    expected = TTestPower().solve_power(gain / NOISE.std(ddof=1), power=0.8, alpha=0.05)
    assert found.runs_needed(gain) == {"new": ceil(expected)}
    (row,) = gain_of(found, gain)["recipes"]
    assert row["runs"] == 6
    assert row["power"] == pytest.approx(TTestPower().power(gain / NOISE.std(ddof=1), 6, 0.05), abs=1e-6)


@pytest.mark.parametrize("gain", [0.2, 0.5])
def test_samples_of_one_spread_need_the_runs_of_statsmodels(gain):
    found = compared({"base": A, "new": A[::-1] + 0.1}, seeds=False)
    expected = TTestIndPower().solve_power(gain / A.std(ddof=1), power=0.8, alpha=0.05)
    assert found.runs_needed(gain) == {"new": ceil(expected)}


def test_where_one_side_alone_spreads_welchs_test_is_that_of_its_runs():
    found = compared({"base": A, "new": 94 + 1e-6 * NOISE}, seeds=False)
    expected = TTestPower().solve_power(0.3 / A.std(ddof=1), power=0.8, alpha=0.05)
    assert found.runs_needed(0.3) == {"new": ceil(expected)}


def test_several_recipes_need_the_runs_of_the_level_that_decides():
    shifts = {"a": NOISE, "b": -2 * NOISE[::-1], "c": np.roll(NOISE, 2)}
    found = compared({"base": A, **{name: A + noise for name, noise in shifts.items()}})
    for row in found.comparisons:
        level = level_of(row)
        assert 0.01 < level < 0.05
        std = shifts[row.recipe].std(ddof=1)
        expected = TTestPower().solve_power(0.3 / std, power=0.8, alpha=level)
        assert found.runs_needed(0.3)[row.recipe] == ceil(expected)


def test_an_undecided_difference_says_what_it_would_take():
    found = compared({"base": A, "new": A + 0.05 + NOISE})
    runs = ceil(TTestPower().solve_power(0.05 / NOISE.std(ddof=1), power=0.8, alpha=0.05))
    takes = f"a difference as large as this takes {runs} runs of each, each with its own seed, to show (80 % power)."
    assert f"not distinguishable from noise; {takes}" in found.verdict
    assert found.as_json()["comparisons"][0]["runs_needed"] == runs
    decided = compared({"base": A, "new": A + 2 + NOISE})
    assert "as large as" not in decided.verdict
    several = compared({"base": A, "new": A + 2 + NOISE, "other": A + 0.05 + NOISE[::-1], "third": A - 0.1 + NOISE})
    needed = sorted(several.runs_needed(abs(row.difference))[row.recipe] for row in several.comparisons[1:])
    assert "2 more are not distinguishable from noise. Differences as large as theirs take" in several.verdict
    assert f"take {needed[0]} to {needed[1]} runs of each recipe to show (80 % power)" in several.verdict


def test_the_gain_is_in_the_unit_of_the_table_and_fractions_are_noticed():
    in_points = gain_of(compared({"base": A, "new": A + NOISE}), 0.3)["sentence"]
    assert in_points.startswith("A gain of 0.3 (in the unit of acc) takes ")
    assert in_points.endswith(" acc looks like percents, of which 0.3 is 0.3 percentage points.")
    fractions = compared({"base": A / 100, "new": (A + NOISE) / 100})
    assert gain_of(fractions, 0.3)["sentence"].endswith(
        "of which 0.3 is 30 percentage points, as wide as all values; for 0.3 points give 0.003."
    )
    assert gain_of(fractions, 0.003)["sentence"].endswith("of which 0.003 is 0.3 percentage points.")
    assert fractions.runs_needed(0.003) == compared({"base": A, "new": A + NOISE}).runs_needed(0.3)


def test_single_runs_are_not_said_not_to_vary():
    one = {"base": [93.0], "new": [93.5]}
    unknown = "How many runs a gain takes is not known: a single run, or seed, of "
    said = gain_of(compared(one), 0.05)["sentence"]
    assert said == f"{unknown}a side does not show how far runs spread."
    said = gain_of(compared({**one, "other": [92.0]}), 0.05)["sentence"]
    assert said == f"{unknown}each recipe does not show how far runs spread."
    said = gain_of(compared({"base": A, "still": A + 1, "lone": [93.0]}), 0.05)["sentence"]
    assert said == f"{unknown}some recipes does not show how far runs spread, and the others do not vary."


def test_runs_that_do_not_vary_and_tasks_together_have_no_number():
    still = compared({"base": A, "new": A + 1})
    assert still.runs_needed(0.3) == {"new": None}
    assert gain_of(still, 0.3)["sentence"] == "How many runs a gain takes is not known: these runs do not vary."
    rows = [
        {"recipe": name, "task": task, "seed": seed, "acc": value}
        for task, factor in (("easy", 1), ("hard", 3))
        for name, values in (("base", A), ("new", A + factor * NOISE))
        for seed, value in enumerate(values)
    ]
    tasks = lb.compare(pl.DataFrame(rows), by="recipe", metric="acc", task="task")
    assert tasks.runs_needed(0.3) == {"new": None}
    found = {row["task"]: row["runs_needed"] for row in gain_of(tasks, 0.3)["recipes"]}
    assert found == {
        task: ceil(TTestPower().solve_power(0.3 / factor / NOISE.std(ddof=1), power=0.8, alpha=0.05 / 2))
        for task, factor in (("easy", 1), ("hard", 3))
    }


@pytest.mark.parametrize("gain", [0, -1.0, float("nan"), float("inf")])
def test_a_gain_that_is_none_is_refused(gain):
    with pytest.raises(LastbitError, match=f"gain {gain:g}: a gain must be above 0"):
        gain_of(compared({"base": A, "new": A + NOISE}), gain)


def test_the_difference_of_single_runs_is_shown_and_nothing_tells_it_from_luck():
    one = compared({"base": A, "new": A[:1] + 0.4})
    (row,) = one.as_json()["comparisons"]
    assert row["difference"] == pytest.approx(A[0] + 0.4 - A.mean())
    assert (row["interval"], row["p"], row["test"], row["runs_needed"]) == (None, None, None, None)
    assert (
        f"new − base {row['difference']:+.{one.decimals}f}: a single run, or seed, tells no difference" in one.verdict
    )
    both = compared({"base": [93.0], "new": [93.5], "other": [92.0]})
    assert "new − base +0.50 and other − base -1.00: a single run, or seed, tells" in both.verdict
    assert both.verdict.count("with a seed each are needed on each side") == 1
    assert one.verdict.count("with a seed each are needed on each side") == 1
    mixed = compared({"base": A, "new": A + 2 + NOISE, "lone": A[:1]})
    assert mixed.verdict.startswith("new − base: +2.00, ")
    assert "lone − base -0.07: a single run, or seed, tells no difference from luck" in mixed.verdict


def test_several_runs_of_a_single_seed_are_not_called_one_run():
    rows = [("base", seed, value) for seed, value in enumerate(A)] + [("new", 0, value) for value in A[:3]]
    frame = pl.DataFrame(rows, schema=["recipe", "seed", "acc"], orient="row")
    verdict = lb.compare(frame, by="recipe", metric="acc", seed="seed").verdict
    assert f"new − base {A[:3].mean() - A.mean():+.3f}: a single run, or seed, tells no difference from luck" in verdict
    assert "one run" not in verdict
