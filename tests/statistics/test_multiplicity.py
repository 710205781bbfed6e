"""Adjusted p values and joint levels against statsmodels, scipy's Dunnett test, his table, and simulation."""

import numpy as np
import pytest
from scipy import special, stats
from statsmodels.stats.multitest import multipletests

from lastbit.statistics.multiplicity import (
    Joint,
    benjamini_hochberg,
    holm,
    joint_pairs,
    joint_welch,
)

# Dunnett (1964, Biometrics 20), table of two-sided 5 % points for many degrees of freedom and equal numbers of runs.
DUNNETT_1964 = {2: 2.21, 3: 2.35, 4: 2.44, 5: 2.51, 6: 2.57, 7: 2.61, 8: 2.65, 9: 2.69}


@pytest.mark.parametrize(("adjust", "name"), [(holm, "holm"), (benjamini_hochberg, "fdr_bh")])
@pytest.mark.parametrize("tests", [1, 2, 5, 40])
def test_adjusted_p_values_are_those_of_statsmodels(adjust, name, tests):
    p = np.random.default_rng(tests).beta(0.4, 3, tests)
    p[-1] = p[0]  # a tie
    assert adjust(p) == pytest.approx(multipletests(p, method=name)[1], abs=1e-15)


@pytest.mark.parametrize("adjust", [holm, benjamini_hochberg])
def test_a_test_that_was_not_made_does_not_count(adjust):
    p = np.array([0.01, np.nan, 0.02, 0.8])
    known = [0, 2, 3]
    assert np.isnan(adjust(p)[1])
    assert adjust(p)[known] == pytest.approx(adjust(p[known]))


def reach(level, dof=np.inf):
    """The critical value of a two-sided level."""
    return -special.stdtrit(dof, level / 2)


@pytest.mark.parametrize(("comparisons", "published"), DUNNETT_1964.items())
def test_with_many_runs_the_level_is_dunnetts(comparisons, published):
    level = joint_welch(np.ones(comparisons + 1), np.full(comparisons + 1, 1e6)).level()
    assert reach(level) == pytest.approx(published, abs=0.03)
    # Differences from one baseline have a correlation of one half.
    shared = np.random.default_rng(1).standard_normal((1, 4000))
    differences = np.random.default_rng(2).standard_normal((comparisons, 4000)) + 1.03 * shared
    assert reach(joint_pairs(differences).level()) == pytest.approx(published, abs=0.03)


def test_intervals_are_those_of_scipys_dunnett_where_recipes_spread_alike_and_runs_are_many():
    generator = np.random.default_rng(0)
    base, *others = generator.normal(0, 1, (6, 300))
    errors = np.array([np.std(sample, ddof=1) / np.sqrt(300) for sample in (base, *others)])
    level = joint_welch(errors, np.full(6, 299)).level()
    interval = stats.dunnett(*others, control=base, random_state=np.random.default_rng(0)).confidence_interval(0.95)
    for sample, error, low, high in zip(others, errors[1:], interval.low, interval.high, strict=True):
        half = reach(level, 598) * np.hypot(error, errors[0])
        assert sample.mean() - base.mean() - half == pytest.approx(low, abs=0.01)
        assert sample.mean() - base.mean() + half == pytest.approx(high, abs=0.01)


@pytest.mark.parametrize(
    ("stds", "runs"),
    [
        ((1.0, 1, 1, 1, 1, 1, 1), (5, 5, 5, 5, 5, 5, 5)),
        ((3.0, 1, 1, 1, 1, 1, 1), (5, 5, 5, 5, 5, 5, 5)),
        ((1.0, 3, 1, 0.3, 3, 1, 2), (4, 8, 5, 10, 4, 12, 6)),
    ],
)
def test_welch_intervals_hold_together(stds, runs):
    generator, tables = np.random.default_rng(4), 2500
    stds, runs = np.array(stds), np.array(runs)
    # The level is a function of the estimates; at the true values it is close, and the test stays short.
    level = joint_welch(stds / np.sqrt(runs), runs - 1).level()
    assert 0.05 / 6 <= level <= 0.05
    samples = [generator.normal(0, std, (tables, n)) for std, n in zip(stds, runs, strict=True)]
    p = [stats.ttest_ind(sample, samples[0], axis=1, equal_var=False).pvalue for sample in samples[1:]]
    assert np.mean(np.min(p, axis=0) > level) == pytest.approx(0.95, abs=0.015)


@pytest.mark.parametrize("pairs", [2, 3, 6])
@pytest.mark.parametrize("baseline_std", [0.0, 1.0, 2.0])
def test_paired_intervals_hold_together(pairs, baseline_std):
    generator, tables, comparisons = np.random.default_rng(5), 2000, 8
    runs = generator.normal(0, 1, (tables, comparisons, pairs))
    differences = runs - baseline_std * generator.normal(0, 1, (tables, 1, pairs))
    p = stats.ttest_1samp(differences, 0, axis=2).pvalue.min(1)
    levels = np.array([joint_pairs(table).level() for table in differences])
    # With two or three seeds the correlation is hardly known; the intervals may not be short for it.
    assert 0.935 <= np.mean(p > levels) <= 0.985


def test_levels_for_a_single_comparison_and_for_one_that_does_not_vary():
    assert joint_welch(np.ones(2), np.array([3, 3])).level() == 0.05
    assert joint_pairs(np.ones((1, 3))).level() == 0.05
    assert joint_pairs(np.array([[1.0, 1.0], [1.0, 2.0]])).level() == 0.025
    assert joint_welch(np.array([0.0, 0.0, 1.0]), np.array([3, 3, 3])).level() == 0.025


JOINTS = {
    "Bonferroni": Joint(6),
    "pairs": joint_pairs(np.random.default_rng(1).normal(size=(6, 5)) + np.random.default_rng(2).normal(size=5)),
    "Welch": joint_welch(np.geomspace(1, 3, 7), np.arange(2, 9)),
}


@pytest.mark.parametrize("joint", JOINTS.values(), ids=JOINTS)
@pytest.mark.parametrize("significance", [0.05, 0.025, 0.01, 0.0005])
def test_adjusted_p_values_are_small_just_where_the_level_says(joint, significance):
    level = joint.level(significance)
    assert joint.adjusted(level * 0.999) < significance < joint.adjusted(level * 1.001)
    ladder = [joint.adjusted(p) for p in np.linspace(0, 1, 200)]
    assert ladder == sorted(ladder)
    assert (ladder[0], ladder[-1]) == (0.0, 1.0)


@pytest.mark.parametrize("comparisons", [2, 6])
@pytest.mark.parametrize("tasks", [1, 2, 20, 57, 100])
def test_the_level_of_a_part_of_a_family_is_met_and_never_below_bonferronis(comparisons, tasks):
    """The quantile of a few of the fixed draws would be off by a quarter, for every table alike."""
    errors, dofs, significance = np.ones(comparisons + 1), np.full(comparisons + 1, 1e6), 0.05 / tasks
    level = joint_welch(errors, dofs).level(significance)
    assert level >= significance / comparisons
    # Of normal means the probability is an integral over the one that all share.
    z, at = reach(level), np.linspace(-9, 9, 4001)
    inside = special.ndtr(np.sqrt(2) * z + at) - special.ndtr(-np.sqrt(2) * z + at)
    missed = 1 - np.trapezoid(stats.norm.pdf(at) * inside**comparisons, at)
    assert missed <= significance * (1.1 if tasks <= 2 else 1)


@pytest.mark.parametrize("joint", JOINTS.values(), ids=JOINTS)
@pytest.mark.parametrize("p", [1e-300, 6.1e-14, 1e-7])
def test_below_all_that_is_simulated_a_p_value_is_bonferronis(joint, p):
    assert joint.adjusted(p) == pytest.approx(6 * p, rel=1e-12)


def test_no_level_is_below_bonferronis():
    few = Joint(2, np.sort(np.append(np.full(2_000, 1e-6), np.linspace(0.1, 1, 18_000))))
    assert few.level() == 0.025
    assert few.adjusted(0.0249) < 0.05 <= few.adjusted(0.0251)


def test_no_level_is_above_that_of_a_single_test():
    assert Joint(2, np.linspace(0.2, 1, 20_000)).level() == 0.05


def test_the_adjusted_p_value_is_scipys_dunnett():
    generator = np.random.default_rng(0)
    base, *others = generator.normal(0, 1, (5, 400))
    others[0] += 0.17
    errors = np.array([np.std(sample, ddof=1) / np.sqrt(400) for sample in (base, *others)])
    joint = joint_welch(errors, np.full(5, 399))
    for sample, expected in zip(
        others, stats.dunnett(*others, control=base, random_state=generator).pvalue, strict=True
    ):
        p = stats.ttest_ind(sample, base, equal_var=False).pvalue
        assert p > 0.05 or joint.adjusted(p) == pytest.approx(expected, abs=0.01)
        assert joint.adjusted(p) >= expected - 0.01  # above 5 % it is a bound


@pytest.mark.parametrize("effects", [0, 3, 7])
def test_of_the_findings_against_one_baseline_few_are_false(effects):
    """Two-sided t tests of ten recipes with one baseline, the first few of which do differ, by three errors."""
    rng, rounds, runs = np.random.default_rng(3), 2000, 5
    shift = np.where(np.arange(11) <= effects, 3.0, 0.0)
    shift[0] = 0.0
    values = rng.normal(shift[:, None], 1.0, (rounds, 11, runs))
    p = stats.ttest_ind(values[:, 1:], values[:, :1], axis=-1).pvalue
    found = np.array([benjamini_hochberg(row) <= 0.05 for row in p])
    false = found[:, effects:].sum(1) / np.maximum(1, found.sum(1))
    assert false.mean() <= 0.05 + 4 * false.std() / np.sqrt(rounds)
    assert effects == 0 or found[:, :effects].mean() > 0.5
