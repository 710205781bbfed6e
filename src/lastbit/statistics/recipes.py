"""Any number of recipes against one baseline: each difference with its test, and what many tests at once do to it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import isnan, nan

import numpy as np
from scipy import special

from lastbit.statistics.means import (
    Equivalence,
    MeanTest,
    equivalence,
    exchanged,
    flipped_signs,
    paired_t,
    variance,
    welch_t,
)
from lastbit.statistics.multiplicity import benjamini_hochberg, bonferroni_level, holm, paired_level, welch_level
from lastbit.statistics.power import SIGNIFICANCE, Design
from lastbit.statistics.single_runs import RecipeRuns, single_runs_design
from lastbit.statistics.spread import Table
from lastbit.statistics.superiority import Superiority, superiority
from lastbit.statistics.winner import Winner, winner

# Two recipes' variances that an F test at this level tells apart are not pooled.
_POOLED = 0.01


@dataclass(frozen=True)
class AgainstBaseline:
    """A recipe's difference from the baseline, recipe minus baseline, among several such differences."""

    recipe: str
    baseline: str
    difference: float  # of the means; that of the test where there is one, and NaN where one side has no run
    test: MeanTest | None  # None where one side has fewer than two runs, so that nothing tells the difference from luck
    seeds: tuple[str | int, ...] = ()  # that are paired; empty for Welch's test
    p: float = nan  # of the test; of permutations where nothing varies, since t would be infinite
    p_holm: float = nan
    p_bh: float = nan
    simultaneous: tuple[float, float] | None = None  # interval that holds together with all others, 95 %
    better: Superiority | None = None  # that a run of the recipe is better than one of the baseline
    same: Equivalence | None = None  # only where a margin was given
    p_same_holm: float = nan
    tau: float = nan  # over several tasks: the standard deviation of the true differences between them
    runs: int = 0  # values of the recipe and of the baseline that are compared, one a seed; the fewer of the two
    design: Design | None = None  # of future runs with a seed each, at the level of the simultaneous interval

    @property
    def is_real(self) -> bool:
        """Whether the simultaneous interval excludes 0."""
        return self.simultaneous is not None and not self.simultaneous[0] <= 0 <= self.simultaneous[1]

    @property
    def is_same(self) -> bool:
        """Whether it is within the margin, by tests that allow for there being several."""
        return self.p_same_holm <= SIGNIFICANCE


def against_baseline(
    recipes: Sequence[RecipeRuns], *, baseline: int = 0, lower_is_better: bool = False, within: float | None = None
) -> list[AgainstBaseline]:
    """Compare every recipe with the baseline.

    The test is Student's on the seeds that a recipe shares with the baseline, where there are two at least, and else
    Welch's on all runs. The simultaneous intervals are `welch_level`'s where all tests are Welch's, `paired_level`'s
    where all are on the same seeds, and else Bonferroni's.

    Args:
        recipes: at least two.
        baseline: which of them.
        lower_is_better: turns `better` round; differences keep their sign.
        within: margin of equivalence, in the unit of the metric.
    """
    base = recipes[baseline]
    others = [recipe for place, recipe in enumerate(recipes) if place != baseline]
    single = [_compared(recipe, base, lower_is_better=lower_is_better) for recipe in others]
    return with_multiplicity(single, lambda tested: _joint_level(base, others, tested), within=within)


def with_multiplicity(
    comparisons: Sequence[AgainstBaseline],
    joint_level: Callable[[Sequence[AgainstBaseline]], float],
    *,
    within: float | None = None,
) -> list[AgainstBaseline]:
    """Adjust comparisons for each other.

    Args:
        comparisons: each by itself.
        joint_level: gives the level of each interval at which those that vary all hold together.
        within: margin of equivalence.
    """
    tested = [row for row in comparisons if row.test is not None and row.test.standard_error > 0]
    level = joint_level(tested) if tested else nan
    p = np.array([row.p for row in comparisons])
    same = [equivalence(row.test, within) if row.test and within is not None else None for row in comparisons]
    p_same = holm(np.array([nan if margin is None else margin.p for margin in same]))
    return [
        replace(
            row,
            p_holm=float(by_holm),
            p_bh=float(by_bh),
            simultaneous=_interval(row.test, level),
            same=margin,
            p_same_holm=float(adjusted),
            design=None if row.design is None or isnan(level) else replace(row.design, level=level),
        )
        for row, by_holm, by_bh, margin, adjusted in zip(
            comparisons, holm(p), benjamini_hochberg(p), same, p_same, strict=True
        )
    ]


def _interval(test: MeanTest | None, level: float) -> tuple[float, float] | None:
    if test is None or test.standard_error == 0 or isnan(level):
        return None
    reach = float(special.stdtrit(test.dof, 1 - level / 2)) * test.standard_error
    return test.difference - reach, test.difference + reach


def _compared(recipe: RecipeRuns, base: RecipeRuns, *, lower_is_better: bool) -> AgainstBaseline:
    if min(len(recipe.values), len(base.values)) < 2:
        known = len(recipe.values) and len(base.values)
        difference = float(recipe.values.mean() - base.values.mean()) if known else nan
        return AgainstBaseline(recipe.name, base.name, difference, None, runs=min(len(recipe.values), len(base.values)))
    seeds = common_seeds(recipe, base)
    if seeds:
        a, b = recipe.at(seeds), base.at(seeds)
        test = paired_t(a, b)
    else:
        a, b = recipe.values, base.values
        test = welch_t(a, b)
    if test.standard_error == 0 and test.difference != 0:
        p = (flipped_signs(a - b) if seeds else exchanged(a, b)).p
    else:
        p = test.p
    runs = recipe.single_runs(seeds), base.single_runs(seeds)
    better = superiority(*reversed(runs) if lower_is_better else runs)
    design = single_runs_design(a, b, (recipe.lost(seeds), base.lost(seeds)), paired=bool(seeds))
    alone = AgainstBaseline(recipe.name, base.name, test.difference, test, seeds, p)
    return replace(alone, better=better, runs=min(len(a), len(b)), design=design if design.std > 0 else None)


def common_seeds(recipe: RecipeRuns, base: RecipeRuns) -> tuple[str | int, ...]:
    """The seeds that both have, in the baseline's order; empty where there are fewer than two."""
    known = set(recipe.seeds or ())
    common = tuple(seed for seed in base.seeds or () if seed is not None and seed in known)
    return common if len(common) >= 2 else ()


def _joint_level(base: RecipeRuns, others: Sequence[RecipeRuns], tested: Sequence[AgainstBaseline]) -> float:
    by_name = {recipe.name: recipe for recipe in others}
    recipes = [by_name[row.recipe] for row in tested]
    seeds = {row.seeds for row in tested}
    if seeds == {()}:
        compared = [base, *recipes]
        errors = [np.std(recipe.values, ddof=1) / np.sqrt(len(recipe.values)) for recipe in compared]
        return welch_level(np.array(errors), np.array([len(recipe.values) - 1 for recipe in compared]))
    if len(seeds) == 1:
        (common,) = seeds
        return paired_level(np.array([recipe.at(common) - base.at(common) for recipe in recipes]))
    return bonferroni_level(len(tested))


def best_recipe(recipes: Sequence[RecipeRuns], *, lower_is_better: bool = False) -> Winner | None:
    """The recipe with the best mean, corrected for having been picked among all; None where that is not known.

    Recipes with common seeds are compared at these, so that what a seed does to all of them picks no winner. Its mean
    over all seeds has that error too: the half-widths of both intervals are added as squares (Zou & Donner 2008). The
    standard error pools the spreads of the recipes that an F test at 1 % does not tell from the winner's.

    Args:
        recipes: those with fewer than two runs take no part, and `index` is among all.
        lower_is_better: the best is the smallest.
    """
    places = [place for place, recipe in enumerate(recipes) if len(recipe.values) >= 2]
    if len(places) < 2:
        return None
    samples, kept, seed_reach = _at_common_seeds([recipes[place] for place in places])
    means = np.array([sample.mean() for sample in samples])
    best = int(np.argmin(means) if lower_is_better else np.argmax(means))
    pooled, dof = _pooled_variance(samples, best, kept)
    if pooled == 0:
        return None
    errors = np.sqrt([pooled / len(sample) for sample in samples])
    picked = winner(means, errors, dof, lower_is_better=lower_is_better)
    place = places[picked.index]
    return replace(
        picked,
        index=place,
        mean=float(recipes[place].values.mean()),  # what a seed does to all is put back with another rounding
        lower=picked.mean - float(np.hypot(picked.mean - picked.lower, seed_reach)),
        upper=picked.mean + float(np.hypot(picked.upper - picked.mean, seed_reach)),
    )


def _at_common_seeds(recipes: Sequence[RecipeRuns]) -> tuple[list[Table], float, float]:
    """The values at common seeds without what a seed does to all, and the share of their variance that is left.

    Where seeds differ the values stay as they are.

    Returns:
        Values, share, and how far the 95 % interval of the mean of what a seed does to all reaches.
    """
    first = recipes[0].seeds
    if first is None or None in first or any(set(recipe.seeds or ()) != set(first) for recipe in recipes):
        return [recipe.values for recipe in recipes], 1.0, 0.0
    table = np.array([recipe.at([seed for seed in first if seed is not None]) for recipe in recipes])
    by_seed = table.mean(0)
    error = float(by_seed.std(ddof=1)) / np.sqrt(len(by_seed))
    reach = float(special.stdtrit(len(by_seed) - 1, 1 - SIGNIFICANCE / 2)) * error
    return list(table - by_seed + table.mean()), 1 - 1 / len(table), reach


def _pooled_variance(samples: Sequence[Table], best: int, kept: float) -> tuple[float, float]:
    """Variance of a run of the recipes that spread like the best, and its degrees of freedom."""
    dofs = np.array([kept * (len(sample) - 1) for sample in samples])
    variances = np.array([variance(sample, float(np.abs(sample).max())) / kept for sample in samples])
    own, dof = variances[best], dofs[best]
    if own == 0:
        return 0.0, dof
    ratio = np.maximum(variances / own, 1e-300)
    tails = np.minimum(special.fdtr(dofs, dof, ratio), special.fdtrc(dofs, dof, ratio))
    alike = tails > _POOLED / 2
    return float(np.sum((variances * dofs)[alike]) / dofs[alike].sum()), float(dofs[alike].sum())
