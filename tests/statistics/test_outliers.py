"""Runs that are far from the others of their recipe, and those that only look so."""

import numpy as np
import pytest

from lastbit.statistics.outliers import outliers

RUNS = np.array([90.1, 90.4, 89.8, 90.0, 90.3, 91.2, 90.9, 91.0, 91.4, 91.1])
RECIPES = ["a"] * 5 + ["b"] * 5


def found(values, groups=RECIPES):
    return np.flatnonzero(outliers(np.asarray(values, float), groups)).tolist()


def with_run(place, value):
    values = RUNS.copy()
    values[place] = value
    return values


@pytest.mark.parametrize("value", [9.0, 0.901, 93.5, 1e6, -1e100])
@pytest.mark.parametrize("place", [0, 3, 7])
def test_a_run_ten_spreads_away_is_found_whatever_the_order(place, value):
    assert found(with_run(place, value)) == [place]
    order = np.random.default_rng(0).permutation(10)
    shuffled = found(with_run(place, value)[order], [RECIPES[at] for at in order])
    assert [order[at] for at in shuffled] == [place]


def test_runs_as_they_are_and_one_of_five_spreads_are_none():
    assert found(RUNS) == []
    assert found(with_run(3, 90.15 + 5 * 0.26)) == []


def test_every_recipe_may_have_one_and_a_second_on_the_other_side():
    values = with_run(0, 20.0)
    values[9] = 900.0
    assert found(values) == [0, 9]
    many = np.concatenate([RUNS, RUNS + 0.3, RUNS - 0.2])
    groups = [f"{name}{copy}" for copy in range(3) for name in RECIPES]
    many[0], many[9], many[12] = 20.0, 900.0, 0.9
    assert found(many, groups) == [0, 9, 12]
    eight = np.array([0.11, 0.1, 0.12, 0.13, 0.09, 0.115, 40.0, -900.0])
    assert found([*eight, 0.3, 0.2], ["a"] * 8 + ["b"] * 2) == [6, 7]


def test_few_runs_equal_runs_and_a_recipe_that_spreads_more_are_none():
    assert found([90, 90.1, 9], ["a"] * 3) == []
    assert found([90.0] * 5 + [90.1], ["a"] * 6) == []  # one step of rounded numbers
    assert found([1, 1, 1, 1, 1, 1, 0, 1, 1, 1]) == []  # success or not
    assert found([3.0] * 10) == []
    generator = np.random.default_rng(5)
    loose = np.concatenate([generator.normal(0, 0.01, 20), generator.normal(0, 5, 5)])
    assert found(loose, [f"tight {at // 5}" for at in range(20)] + ["loose"] * 5) == []


def test_normal_runs_seldom_have_one():
    """At most 1 % by the recipe's own spread, and hardly one by that of the others."""
    generator = np.random.default_rng(3)
    for runs in (4, 5, 8):
        groups = [f"{at // runs}" for at in range(4 * runs)]
        tables = generator.normal(size=(400, 4 * runs))
        assert sum(outliers(table, groups).any() for table in tables) <= 10  # 4 expected, at most
