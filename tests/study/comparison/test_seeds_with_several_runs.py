"""Seeds that ran several times: the runs that a gain takes are single ones, and tables and studies agree on them."""

from math import ceil

import numpy as np
import polars as pl
import pytest
from scipy import special
from statsmodels.stats.power import TTestPower

import lastbit as lb
from lastbit.statistics.recipes import against_baseline
from lastbit.statistics.single_runs import RecipeRuns
from lastbit.study.comparison.gains import gain_of

SEED_STD, RUN_STD = 0.5, 1.0
SINGLE = np.hypot(SEED_STD, RUN_STD)


def nested(generator, repeats, seeds, *, shift=0.0):
    """Runs of shape (repeats, seeds) that seeds move together."""
    return shift + generator.normal(0, SEED_STD, seeds) + generator.normal(0, RUN_STD, (repeats, seeds))


def frame(recipes):
    return pl.DataFrame(
        [
            {"recipe": name, "seed": seed, "acc": value}
            for name, table in recipes.items()
            for row in table
            for seed, value in enumerate(row)
        ]
    )


def compared(recipes, **options):
    return lb.compare(frame(recipes), by="recipe", metric="acc", seed="seed", **options)


@pytest.fixture(scope="module")
def independent():
    """Ten seeds of nine runs that a seed does nothing to."""
    return dict(zip(("base", "new"), np.random.default_rng(1).normal(0, 1, (2, 9, 10)), strict=True))


@pytest.mark.parametrize("has_common_seeds", [True, False])
def test_the_spread_is_that_of_single_runs(has_common_seeds):
    generator, seeds = np.random.default_rng(0), tuple(range(6)) if has_common_seeds else None
    stds, variances = [], []
    for _ in range(300):
        tables = nested(generator, 4, 6), nested(generator, 4, 6)
        rows = [
            RecipeRuns(name, table.mean(0), seeds, tuple(table.T)) for name, table in zip("ab", tables, strict=True)
        ]
        (found,) = against_baseline(rows)
        variances.append(found.design.std**2)
        stds.append(rows[0].std ** 2)
    assert np.mean(stds) == pytest.approx(SINGLE**2, rel=0.05)
    assert np.mean(variances) == pytest.approx(2 * SINGLE**2, rel=0.05)


def test_a_gain_takes_the_single_runs_that_it_takes(independent):
    """About 394 pairs of unit spread for a gain of 0.2, where means of nine runs would promise some 46."""
    found = compared(independent)
    assert [row["std"] for row in found.as_json()["recipes"]] == pytest.approx([1, 1], abs=0.2)
    within = sum(table.var(0, ddof=1).mean() for table in independent.values())
    between = np.var(independent["new"].mean(0) - independent["base"].mean(0), ddof=1)
    effect = 0.2 / np.sqrt(between + within * 8 / 9)
    needed = found.runs_needed(0.2)["new"]
    assert needed == ceil(TTestPower().solve_power(effect, power=0.8, alpha=0.05))
    assert needed == pytest.approx(394, rel=0.25)
    row = gain_of(found, 0.2)["recipes"][0]
    # As many runs as seeds, each with a seed of its own.
    assert (row["runs"], row["power"]) == (10, pytest.approx(TTestPower().power(effect, 10, 0.05), abs=1e-6))


def test_tables_studies_and_plain_numbers_agree(tmp_path):
    generator = np.random.default_rng(2)
    tables = {name: nested(generator, 3, 6, shift=shift) for name, shift in (("base", 0.0), ("new", 0.2))}
    for name, table in tables.items():
        options = {"noises": [lb.Scale(k) for k in (1, 3, 5)], "seeds": range(6), "name": name, "controlled": False}
        lb.Study(tmp_path / name, Logged(table), settings={"name": name}, **options).run()
    new, base = tmp_path / "new", tmp_path / "base"
    by_seed = [dict(enumerate(tables[name].T)) for name in ("new", "base")]
    two = lb.compare(new, base)
    several = lb.compare(new, base, baseline="base")
    table = compared(tables, baseline="base")
    numbers = lb.compare(*by_seed, within=0.1, baseline="b")
    needed = two.runs_needed(0.3)
    assert needed > 20
    assert several.runs_needed(0.3) == table.runs_needed(0.3) == {"new": needed}
    assert numbers.runs_needed(0.3) == {"a": needed}
    for found in (several, table):
        row = gain_of(found, 0.3)["recipes"][0]
        assert (row["runs"], row["power"]) == (6, pytest.approx(gain_of(two, 0.3)["power"]))
        assert found.recipes[0].std == pytest.approx(numbers.recipes[0 if found is several else 1].std)


class Logged:
    """Trains nothing, and logs what a table says of its seed and noise."""

    def __init__(self, table):
        self.table = table

    def __call__(self, run):
        run.log(1, test_accuracy=50 + float(self.table[(run.noise.k - 1) // 2, run.seed]))


def test_seeds_with_other_numbers_of_runs_count_by_their_own():
    runs = (np.array([1.0, 2.0, 6.0]), np.array([4.0]), np.array([0.0, 2.0]))
    row = RecipeRuns("a", np.array([3.0, 4.0, 1.0]), (1, 2, 3), runs)
    noise = (14 + 2) / 3  # the squares within seeds, by their degrees of freedom
    assert row.lost() == pytest.approx(noise * (1 - (1 / 3 + 1 + 1 / 2) / 3))
    assert row.lost((2, 3)) == pytest.approx(noise * (1 - (1 + 1 / 2) / 2))
    assert row.std**2 == pytest.approx(np.var(row.values, ddof=1) + row.lost())


def test_a_seed_that_ran_once_changes_nothing():
    generator = np.random.default_rng(3)
    values = generator.normal(0, 1, (2, 6))
    plain = [RecipeRuns(name, row, tuple(range(6))) for name, row in zip("ab", values, strict=True)]
    single = [RecipeRuns(row.name, row.values, row.seeds, tuple(row.values[:, None])) for row in plain]
    assert repr(against_baseline(single)) == repr(against_baseline(plain))  # with NaN, equal ones differ
    assert single[0].std == plain[0].std == np.std(values[0], ddof=1)


def test_the_probability_of_being_better_is_that_of_single_runs():
    generator = np.random.default_rng(4)
    found, covered, truth = [], [], special.ndtr(0.8 / np.sqrt(2) / SINGLE)
    for _ in range(300):
        rows = [
            RecipeRuns(name, table.mean(0), None, tuple(table.T))
            for name, table in (("a", nested(generator, 5, 6)), ("b", nested(generator, 5, 6, shift=0.8)))
        ]
        better = against_baseline(rows)[0].better
        found.append(better.value)
        covered.append(better.lower <= truth <= better.upper)
    assert np.mean(found) == pytest.approx(truth, abs=0.015)
    assert np.mean(covered) > 0.93
