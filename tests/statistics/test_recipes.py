"""Many recipes against a baseline: the parts are those of the single tests, and the whole errs as rarely as it says."""

import numpy as np
import pytest
from scipy import stats

from lastbit.statistics.recipes import against_baseline
from lastbit.statistics.single_runs import RecipeRuns

SEEDS = (1, 2, 3, 4, 5)


def recipes(generator, count=5, *, seeds=SEEDS, shifts=None):
    effects = generator.normal(0, 1, len(SEEDS))
    return [
        RecipeRuns(f"r{i}", 90 + effects + generator.normal(0, 0.5, 5) + (0 if shifts is None else shifts[i]), seeds)
        for i in range(count)
    ]


def test_common_seeds_are_paired_in_whatever_order_and_others_are_not():
    generator = np.random.default_rng(0)
    base = RecipeRuns("base", generator.normal(0, 1, 5), SEEDS)
    shuffled = RecipeRuns("shuffled", generator.normal(0, 1, 4), (5, 9, 1, 2))
    apart = RecipeRuns("apart", generator.normal(0, 1, 4), (11, 12, 13, 1))
    paired, welch = against_baseline([base, shuffled, apart])
    expected = stats.ttest_rel(shuffled.values[[2, 3, 0]], base.values[[0, 1, 4]])
    assert (paired.test.kind, paired.seeds, paired.p) == ("paired t", (1, 2, 5), pytest.approx(expected.pvalue))
    assert (welch.test.kind, welch.seeds) == ("Welch t", ())
    assert welch.p == pytest.approx(stats.ttest_ind(apart.values, base.values, equal_var=False).pvalue)
    # Both kinds of test together: Bonferroni's level.
    half = stats.t.ppf(1 - 0.05 / 4, welch.test.dof) * welch.test.standard_error
    assert welch.simultaneous == pytest.approx((welch.test.difference - half, welch.test.difference + half))


def test_the_baseline_is_any_recipe_and_less_may_be_better():
    rows = recipes(np.random.default_rng(1), shifts=[0, 5, 0, 0, 0])
    found = against_baseline(rows, baseline=1)
    assert [row.recipe for row in found] == ["r0", "r2", "r3", "r4"]
    assert found[0].test.difference == pytest.approx(rows[0].values.mean() - rows[1].values.mean())
    assert found[0].better.value == 0.0
    assert against_baseline(rows, baseline=1, lower_is_better=True)[0].better.value == 1.0
    assert all(row.is_real for row in found)


def test_equivalence_is_declared_of_what_is_close_and_not_of_what_is_wide():
    generator = np.random.default_rng(2)
    rows = [RecipeRuns(name, generator.normal(0, std, 12)) for name, std in (("a", 0.1), ("b", 0.1), ("c", 3.0))]
    close, wide = against_baseline(rows, within=0.5)
    assert close.is_same
    assert not wide.is_same
    assert max(abs(end) for end in close.simultaneous) < 0.5 < max(abs(end) for end in wide.simultaneous)


def test_a_recipe_with_one_run_is_not_tested_and_does_not_count():
    rows = [*recipes(np.random.default_rng(3), 3), RecipeRuns("single", np.array([90.0]), (1,))]
    *others, single = against_baseline(rows)
    assert (single.test, single.simultaneous, single.is_real) == (None, None, False)
    assert [row.p_holm for row in others] == [row.p_holm for row in against_baseline(rows[:3])]
    assert [row.simultaneous for row in others] == [row.simultaneous for row in against_baseline(rows[:3])]


def test_runs_that_do_not_vary_have_no_interval_and_the_p_of_permutations():
    rows = [RecipeRuns("a", np.full(3, 1.0)), RecipeRuns("b", np.full(3, 2.0))]
    (row,) = against_baseline(rows)
    assert (row.simultaneous, row.is_real, row.p) == (None, False, pytest.approx(2 / 20))


def test_equal_runs_do_not_spread_even_where_their_mean_is_rounded():
    equal = RecipeRuns("equal", np.full(3, 0.1))
    assert np.std(equal.values, ddof=1) > 0
    assert equal.std == 0.0
    other = RecipeRuns("other", np.full(3, 0.7))
    varying = RecipeRuns("varying", np.array([0.1, 0.2, 0.4]))
    assert {row.level for row in against_baseline([equal, other, varying])} == {0.05}  # of the one that varies


@pytest.mark.parametrize(("seeds", "tables"), [(SEEDS, 400), (None, 60)])
def test_useless_recipes_are_seldom_called_real(seeds, tables):
    generator = np.random.default_rng(4)
    found = [against_baseline(recipes(generator, 12, seeds=seeds)) for _ in range(tables)]
    assert np.mean([any(row.is_real for row in rows) for rows in found]) < 0.085
    assert np.mean([any(row.p_holm <= 0.05 for row in rows) for rows in found]) < 0.085
    if seeds is not None:  # without seeds, what a seed does to all is an error, and here it is the larger one
        assert np.mean([any(row.p <= 0.05 for row in rows) for rows in found]) > 0.2
