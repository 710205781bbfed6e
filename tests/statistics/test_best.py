"""The best of many recipes: what it is not told from, what it owes to having been picked, and how often both err."""

import numpy as np
import pytest
from scipy import stats

from lastbit.statistics import winner as winners
from lastbit.statistics.best import best_recipe
from lastbit.statistics.multiplicity import joint_welch
from lastbit.statistics.recipes import against_baseline
from lastbit.statistics.single_runs import RecipeRuns
from lastbit.statistics.winner import winner

SEEDS = (1, 2, 3, 4, 5)


@pytest.fixture
def few_steps(monkeypatch):
    """The correction of the best takes most of the time, and decides nothing."""
    monkeypatch.setattr(winners, "_STEPS", 10)


def recipes(generator, count=5, *, seeds=SEEDS):
    effects = generator.normal(0, 1, len(SEEDS))
    return [RecipeRuns(f"r{i}", 90 + effects + generator.normal(0, 0.5, 5), seeds) for i in range(count)]


def best_of(rows, **options):
    return best_recipe(rows, against_baseline(rows, **options), lower_is_better=options.get("lower_is_better", False))


def test_the_best_recipe_is_corrected_at_common_seeds_by_their_residual():
    rows = recipes(np.random.default_rng(5), 8)
    found = best_of(rows)
    table = np.array([row.values for row in rows])
    assert found.recipe == f"r{table.mean(1).argmax()}"
    assert found.winner.mean == pytest.approx(table.mean(1).max())
    residual = table - table.mean(0) - table.mean(1, keepdims=True) + table.mean()
    error = np.sqrt((residual**2).sum() / (7 * 4) / 5)
    alone = winner(table.mean(1), np.full(8, error), 28)
    assert found.winner.corrected == pytest.approx(alone.corrected)
    low, high = stats.t.interval(0.95, 4, scale=stats.sem(table.mean(0)))
    assert found.winner.mean - found.winner.lower == pytest.approx(np.hypot(alone.mean - alone.lower, low))
    assert found.winner.upper - found.winner.mean == pytest.approx(np.hypot(alone.upper - alone.mean, high))


@pytest.mark.parametrize("shift", [0.0, 1.0])
def test_the_interval_of_the_best_covers_over_other_seeds(shift, few_steps):
    """With a seed that moves all recipes by more than they differ."""
    generator, truth, covered = np.random.default_rng(8), np.array([0.0, 0.0, 0.0, shift]), 0
    for _ in range(300):
        table = truth[:, None] + generator.normal(0, 3, 6) + generator.normal(0, 0.5, (4, 6))
        found = best_of([RecipeRuns(str(i), row, tuple(range(6))) for i, row in enumerate(table)])
        covered += found.winner.lower <= truth[int(found.recipe)] <= found.winner.upper
    assert covered >= stats.binom(300, 0.95).ppf(0.001)


def test_without_known_seeds_what_a_seed_does_is_an_error_of_each_recipe():
    rows = recipes(np.random.default_rng(5), 8)
    found = best_of(rows)
    unpaired = best_of([RecipeRuns(row.name, row.values) for row in rows])
    assert unpaired.winner.corrected < unpaired.winner.mean
    assert unpaired.winner.overstatement > found.winner.overstatement


def test_a_recipe_that_spreads_widely_does_not_blur_the_best():
    generator = np.random.default_rng(6)
    rows = [RecipeRuns(f"r{i}", generator.normal(90 + i, 0.1, 8)) for i in range(3)]
    with_wild = [*rows, RecipeRuns("wild", generator.normal(60, 15, 8))]
    assert best_of(with_wild).winner.upper == pytest.approx(best_of(rows).winner.upper, abs=0.02)
    assert best_of(rows[:1]) is None


def runs_of(means, *, seeds=SEEDS):
    """Recipes of these means, each beside them by the same small deviations in another order."""
    deviations = 0.1 * np.array([-1.0, 1.0, 0.5, -0.5, 0.0])
    return [RecipeRuns(f"r{i}", mean + np.roll(deviations, i), seeds) for i, mean in enumerate(means)]


def test_the_rivals_are_those_whose_difference_from_the_best_reaches_0_at_the_level_of_all():
    rows = runs_of([90, 95, 95.02, 94.9, 91], seeds=None)
    found = best_of(rows)
    assert (found.recipe, found.is_clear, found.is_raw) == ("r2", False, True)
    level = against_baseline(rows)[0].level
    inside = []
    for row in rows[1:]:
        p = stats.ttest_ind(row.values, rows[2].values, equal_var=False).pvalue
        inside += [row.name] if p > level and row is not rows[2] else []
    assert found.rivals == tuple(sorted(inside, key=lambda name: -rows[int(name[1])].values.mean())) == ("r1", "r3")


def test_a_best_that_stands_clear_and_one_that_is_not_told_from_the_baseline():
    assert best_of(runs_of([90, 93, 95])).is_clear
    low = best_of(runs_of([95, 93, 90]), lower_is_better=True)
    assert (low.recipe, low.is_clear) == ("r2", True)
    assert best_of(runs_of([95, 93, 90])).recipe == "r0"  # the baseline
    near = best_of(runs_of([94.99, 95, 90, 80]))
    assert (near.recipe, near.rivals) == ("r1", ("r0",))
    base = best_of(runs_of([95, 94.99, 90, 94.98]))
    assert (base.recipe, base.rivals) == ("r0", ("r1", "r3"))


def test_the_best_is_picked_by_the_differences_where_means_are_of_other_seeds():
    hard = {seed: -3.0 if seed > 5 else 0.0 for seed in range(1, 11)}
    noise = np.random.default_rng(0).normal(0, 0.1, (3, 10))
    base = RecipeRuns("base", 90 + np.array(list(hard.values())) + noise[0], tuple(hard))
    better = RecipeRuns("better", 91 - 3 + noise[1, 5:], tuple(range(6, 11)))  # ran the hard seeds alone
    worse = RecipeRuns("worse", 89.5 + noise[2, :5], tuple(range(1, 6)))  # and the easy ones
    assert worse.values.mean() > base.values.mean() > better.values.mean()
    found = best_of([base, better, worse])
    assert (found.recipe, found.is_raw) == ("better", False)
    assert found.winner.mean == pytest.approx(base.values.mean() + np.mean(better.values - base.values[5:]))


@pytest.mark.parametrize("sign", [1, -1])
def test_one_that_is_better_on_the_seeds_it_shares_with_the_best_is_its_rival(sign):
    """`a` leads by its differences from the baseline, and loses to `b` by 5 on each of their four common seeds."""
    noise = np.random.default_rng(3).normal(0, 0.1, (3, 12))
    base = RecipeRuns("base", sign * noise[0], tuple(range(1, 13)))
    a = RecipeRuns("a", sign * (np.repeat([20.0, 5.0], 4) + noise[1, :8]), tuple(range(1, 9)))
    b = RecipeRuns("b", sign * (10 + noise[2, 4:]), tuple(range(5, 13)))
    low = RecipeRuns("low", sign * (noise[2] - 30), base.seeds)
    found = best_of([base, a, b, low], lower_is_better=sign < 0)
    assert (found.recipe, found.rivals) == ("a", ("b",))


def test_rivals_that_tie_come_in_the_order_of_the_recipes():
    tied = [RecipeRuns(name, 95 + 0.1 * np.arange(-2.0, 3)) for name in "zyxwv"]
    rows = [RecipeRuns("base", 90 + 0.1 * np.arange(5.0)), RecipeRuns("best", 95.05 + 0.1 * np.arange(-2.0, 3)), *tied]
    assert best_of(rows).rivals == tuple("zyxwv")


def test_where_all_intervals_are_of_the_best_the_level_is_that_of_the_best():
    """Its differences agree less than those from a baseline that spreads widely, so that they ask for a smaller one."""
    rows = runs_of([90, 95, 95.02, 94.9, 91], seeds=None)
    rows[0] = RecipeRuns("r0", 90 + 20 * (rows[0].values - 90))
    errors = np.array([stats.sem(row.values) for row in rows])
    dofs = np.full(5, 4)
    of_base, of_best = (joint_welch(errors[[at, *np.delete(np.arange(5), at)]], dofs).level() for at in (0, 2))
    assert of_best < of_base - 0.002
    assert against_baseline(rows)[0].level == pytest.approx(of_best, rel=1e-9)


@pytest.mark.parametrize(
    ("truth", "stds"),
    [
        ([0, 0, 0, 0, 9, 9], 1.0),  # two equals on top, and the others equal the baseline
        ([0, 0, 0, 0, 0, 0.01], 1.0),
        ([0, 0, 0, 9, 9, 9], np.array([6.0, 1, 1, 1, 1, 1])),  # differences from a noisy baseline agree
    ],
)
def test_any_wrong_finding_is_rare_be_it_against_the_baseline_or_of_the_best(truth, stds, few_steps):
    generator, tables, truth = np.random.default_rng(9), 250, np.array(truth, float)
    wrong = 0
    for _ in range(tables):
        values = truth[:, None] + generator.normal(0, 1, 5) + np.reshape(stds, (-1, 1)) * generator.normal(0, 1, (6, 5))
        rows = [RecipeRuns(str(i), row, SEEDS) for i, row in enumerate(values)]
        found = against_baseline(rows)
        best = best_recipe(rows, found)
        tops = np.flatnonzero(truth == truth.max())
        wrong += (
            any(row.is_real and row.difference * (truth[int(row.recipe)] - truth[0]) <= 0 for row in found)
            or (best.is_clear and (len(tops) > 1 or int(best.recipe) not in tops))
            or (len(tops) == 1 and best.rivals != ("0",) and str(tops[0]) not in (best.recipe, *best.rivals))
        )
    assert wrong <= stats.binom(tables, 0.05).ppf(0.999)
