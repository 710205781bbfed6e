"""Any number of recipes against one baseline: each difference with its test, and what many tests at once do to it.

All that is said of several recipes is read from intervals of one level: of each recipe with the baseline here, and with
the best one in `lastbit.statistics.best`. It is the level at which all differences from the baseline hold together, and
at which those from the best do, whichever is smaller.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import isnan, nan

import numpy as np

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
from lastbit.statistics.multiplicity import Joint, benjamini_hochberg, holm, joint_pairs, joint_welch
from lastbit.statistics.power import SIGNIFICANCE, Design
from lastbit.statistics.single_runs import RecipeRuns, single_runs_design
from lastbit.statistics.superiority import Superiority, superiority


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
    level: float = nan  # of the interval that holds together with all others; NaN where nothing varies
    p_simultaneous: float = nan  # below 5 % where that interval excludes 0, and only there
    simultaneous: tuple[float, float] | None = None  # interval that holds together with all others, 95 %
    better: Superiority | None = None  # that a run of the recipe is better than one of the baseline
    same: Equivalence | None = None  # only where a margin was given, and runs vary
    p_same: float = nan  # among all: below 5 % where the simultaneous interval lies within the margin, and only there
    means: tuple[float, float] = (nan, nan)  # of the recipe and the baseline, of the runs that are compared
    tau: float = nan  # over several tasks: the standard deviation of the true differences between them
    tasks: int = 0  # over several tasks: how many both have
    task_design: Design | None = None  # over several tasks: of future tasks, each with as many runs as these
    runs: int = 0  # values of the recipe and of the baseline that are compared, one a seed; the fewer of the two
    design: Design | None = None  # of future runs with a seed each, at the level of the simultaneous interval

    @property
    def is_real(self) -> bool:
        """Whether the simultaneous interval excludes 0."""
        return self.simultaneous is not None and not self.simultaneous[0] <= 0 <= self.simultaneous[1]

    @property
    def is_same(self) -> bool:
        """Whether the simultaneous interval lies within the margin; without an interval nothing is decided."""
        if self.same is None or self.simultaneous is None:
            return False
        low, high = self.simultaneous
        return -self.same.margin < low and high < self.same.margin


def against_baseline(
    recipes: Sequence[RecipeRuns],
    *,
    baseline: int = 0,
    lower_is_better: bool = False,
    within: float | None = None,
    significance: float = SIGNIFICANCE,
) -> list[AgainstBaseline]:
    """Compare every recipe with the baseline.

    The test is Student's on the seeds that a recipe shares with the baseline, where there are two at least, and else
    Welch's on all runs. The simultaneous intervals are `joint_welch`'s where all tests are Welch's, `joint_pairs`'s
    where all are on the same seeds, and else Bonferroni's.

    Args:
        recipes: at least two.
        baseline: which of them.
        lower_is_better: turns `better` round; differences keep their sign.
        within: margin of equivalence, in the unit of the metric.
        significance: the probability with which a simultaneous interval may fail; less where these are a part of a
            family.
    """
    base = recipes[baseline]
    others = [recipe for place, recipe in enumerate(recipes) if place != baseline]
    single = [_compared(recipe, base, lower_is_better=lower_is_better) for recipe in others]

    joint = joint_with_best(base, others, lower_is_better=lower_is_better)
    return with_multiplicity(single, joint, within=within, significance=significance)


def joint_with_best(
    base: RecipeRuns, others: Sequence[RecipeRuns], *, lower_is_better: bool
) -> Callable[[Sequence[AgainstBaseline]], list[Joint]]:
    """What gives the comparisons with the baseline, and those with the best where it is another, for some tested."""

    def joint(tested: Sequence[AgainstBaseline]) -> list[Joint]:
        """Each centre with the others."""
        names = {row.recipe for row in tested}
        rivals = [base, *(recipe for recipe in others if recipe.name in names)]
        best = best_of(base, tested, lower_is_better=lower_is_better)
        centres = [base] if best == base.name else [base, next(rival for rival in rivals if rival.name == best)]
        return [_joint_with(centre, [rival for rival in rivals if rival is not centre]) for centre in centres]

    return joint


def best_of(base: RecipeRuns, comparisons: Sequence[AgainstBaseline], *, lower_is_better: bool) -> str:
    """The recipe furthest ahead of the baseline by their difference, or the baseline where none is ahead."""
    sign = -1.0 if lower_is_better else 1.0
    ahead = {base.name: 0.0} | {row.recipe: sign * row.difference for row in comparisons if row.test is not None}
    return max(ahead, key=ahead.__getitem__)


def with_multiplicity(
    comparisons: Sequence[AgainstBaseline],
    joint: Callable[[Sequence[AgainstBaseline]], Sequence[Joint]],
    *,
    within: float | None = None,
    significance: float = SIGNIFICANCE,
) -> list[AgainstBaseline]:
    """Adjust comparisons for each other.

    Args:
        comparisons: each by itself.
        joint: gives what is to hold together, each part by itself, of those comparisons that vary.
        within: margin of equivalence.
        significance: the probability with which a simultaneous interval may fail.
    """
    tested = [row for row in comparisons if row.test is not None and row.test.standard_error > 0]
    parts = joint(tested) if tested else []
    level = min((part.level(significance) for part in parts), default=nan)
    p = np.array([row.p for row in comparisons])
    same = [
        None if within is None or row.test is None or row.test.standard_error == 0 else equivalence(row.test, within)
        for row in comparisons
    ]

    def among_all(p: float) -> float:
        """Adjusted for all parts: below 5 % where p is below the level."""
        return min(1.0, SIGNIFICANCE / significance * max(part.adjusted(p) for part in parts))

    rows = []
    for row, margin, by_holm, by_bh in zip(comparisons, same, holm(p), benjamini_hochberg(p), strict=True):
        interval = None if row.test is None or isnan(level) else row.test.interval(level)
        rows.append(
            replace(
                row,
                level=level,
                p_simultaneous=nan if interval is None else among_all(row.p),
                p_holm=float(by_holm),
                p_bh=float(by_bh),
                simultaneous=interval,
                same=margin,
                # An interval of level L ends at the margin where the one-sided p is L / 2.
                p_same=nan if interval is None or margin is None else among_all(min(1.0, 2 * margin.p)),
                design=_at_level(row.design, level),
                task_design=_at_level(row.task_design, level),
            )
        )
    return rows


def _at_level(design: Design | None, level: float) -> Design | None:
    return None if design is None or isnan(level) else replace(design, level=level)


def _compared(recipe: RecipeRuns, base: RecipeRuns, *, lower_is_better: bool) -> AgainstBaseline:
    if min(len(recipe.values), len(base.values)) < 2:
        own, other = (float(side.values.mean()) if len(side.values) else nan for side in (recipe, base))
        count = min(len(recipe.values), len(base.values))
        return AgainstBaseline(recipe.name, base.name, own - other, None, runs=count, means=(own, other))
    test, seeds = mean_test(recipe, base)
    a, b = (recipe.at(seeds), base.at(seeds)) if seeds else (recipe.values, base.values)
    if test.standard_error == 0 and test.difference != 0:
        p = (flipped_signs(a - b) if seeds else exchanged(a, b)).p
    else:
        p = test.p
    runs = recipe.single_runs(seeds), base.single_runs(seeds)
    better = superiority(*reversed(runs) if lower_is_better else runs)
    design = single_runs_design(a, b, (recipe.lost(seeds), base.lost(seeds)), paired=bool(seeds))
    alone = AgainstBaseline(recipe.name, base.name, test.difference, test, seeds, p)
    alone = replace(alone, means=(float(a.mean()), float(b.mean())))
    return replace(alone, better=better, runs=min(len(a), len(b)), design=design if design.std > 0 else None)


def mean_test(recipe: RecipeRuns, other: RecipeRuns) -> tuple[MeanTest, tuple[str | int, ...]]:
    """The test of a recipe minus another, by pairs where they share seeds, and these seeds."""
    seeds = common_seeds(recipe, other)
    if seeds:
        return paired_t(recipe.at(seeds), other.at(seeds)), seeds
    return welch_t(recipe.values, other.values), ()


def common_seeds(recipe: RecipeRuns, base: RecipeRuns) -> tuple[str | int, ...]:
    """The seeds that both have, in the baseline's order; empty where there are fewer than two."""
    known = set(recipe.seeds or ())
    common = tuple(seed for seed in base.seeds or () if seed is not None and seed in known)
    return common if len(common) >= 2 else ()


def _joint_with(centre: RecipeRuns, others: Sequence[RecipeRuns]) -> Joint:
    """The comparisons of all others with one recipe."""
    seeds = {common_seeds(recipe, centre) for recipe in others}
    if seeds == {()}:
        compared = [centre, *others]
        errors = [np.sqrt(variance(recipe.values) / len(recipe.values)) for recipe in compared]
        return joint_welch(np.array(errors), np.array([len(recipe.values) - 1 for recipe in compared]))
    if len(seeds) == 1:
        (common,) = seeds
        return joint_pairs(np.array([recipe.at(common) - centre.at(common) for recipe in others]))
    return Joint(len(others))
