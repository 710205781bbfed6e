"""The best of several recipes: whether it stands clear of all others, and what its mean owes to having been picked.

The claims are read from the intervals that tell recipes from the baseline, at the same level. First the best must be
told from the baseline; only then is it asked which others may be the best as well (Hsu's comparisons with the best,
1981). Of a recipe that is left out of these it is found that another is as good or better, and not that it differs from
the best: of many equal ones, some are left out in far more than 5 % of tables.

At Bonferroni's level any wrong finding in a table, of either kind, has a probability of at most 5 %. Of K tests with
the baseline, one of a recipe that equals it errs with 5 % / K, and one of a recipe that differs with half of that, on
its wrong side. Where m are equal, it takes one of the K - m others that differ to leave the truly best one behind, or
an equal of it, on one side too; all of it adds up to 5 % at most. For simulated levels `benchmarks/many_recipes.py`
counts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import special

from lastbit.statistics.means import variance
from lastbit.statistics.power import SIGNIFICANCE
from lastbit.statistics.recipes import AgainstBaseline, best_of, mean_test
from lastbit.statistics.single_runs import RecipeRuns
from lastbit.statistics.spread import Table
from lastbit.statistics.winner import Winner, winner

# Two recipes' variances that an F test at this level tells apart are not pooled.
_POOLED = 0.01


@dataclass(frozen=True)
class Best:
    """The best of the recipes with two runs at least, by their differences from the baseline."""

    recipe: str
    # That may be the best as well, the nearest first; empty where it stands clear of all others. The baseline alone
    # where the best is not told from it.
    rivals: tuple[str, ...]
    winner: Winner  # its mean, corrected for having been picked; `index` is among those compared, the baseline first
    # Whether its mean is that of its own runs, and the best of such; else means are brought to the baseline's seeds.
    is_raw: bool

    @property
    def is_clear(self) -> bool:
        """Whether it is better than every other recipe."""
        return not self.rivals


def best_recipe(
    recipes: Sequence[RecipeRuns], comparisons: Sequence[AgainstBaseline], *, lower_is_better: bool = False
) -> Best | None:
    """The best recipe; None where fewer than two are compared, or where the best differs without any spread.

    A best that is not told from the baseline has it as its one rival: nothing more is said then.

    Args:
        recipes: all; those with fewer than two runs take no part.
        comparisons: of all others with the baseline, by `against_baseline`.
        lower_is_better: the best is the smallest.
    """
    tests = {row.recipe: row for row in comparisons if row.test is not None}
    if not tests:
        return None
    by_name = {recipe.name: recipe for recipe in recipes}
    base = by_name[comparisons[0].baseline]
    name = best_of(base, list(tests.values()), lower_is_better=lower_is_better)
    compared = {base.name: base} | {other: by_name[other] for other in tests}
    # By their differences, since means over other seeds could contradict these.
    means = {base.name: float(base.values.mean())}
    means |= {other: means[base.name] + row.difference for other, row in tests.items()}
    rivals = _rivals(compared, name, tests, base.name, lower_is_better=lower_is_better)
    if rivals is None:
        return None
    picked = _corrected(list(compared.values()), np.array([means[other] for other in compared]), lower_is_better)
    if picked is None:
        return None
    sign = -1.0 if lower_is_better else 1.0
    raw = {other: float(recipe.values.mean()) for other, recipe in compared.items()}
    own = raw[name]
    is_raw = bool(np.isclose(own, means[name], rtol=1e-12, atol=0)) and sign * own >= max(
        sign * of for of in raw.values()
    )
    near = sorted(rivals, key=lambda rival: means[rival], reverse=not lower_is_better)
    return Best(name, tuple(near), replace(picked, mean=own) if is_raw else picked, is_raw)


def _rivals(
    compared: Mapping[str, RecipeRuns],
    name: str,
    tests: Mapping[str, AgainstBaseline],
    base: str,
    *,
    lower_is_better: bool,
) -> list[str] | None:
    """The recipes that the best is not shown to be better than; None where it differs from one by the same in all runs.

    The best by its difference from the baseline may be worse than another on the seeds that these two share.
    """
    if name == base:
        exact = any(row.simultaneous is None and row.difference != 0 for row in tests.values())
        return None if exact else [other for other, row in tests.items() if not row.is_real]
    row, rivals = tests[name], []
    if row.simultaneous is None:
        return [base] if row.difference == 0 else None
    if not row.is_real:
        return [base]
    for other in (other for other in compared if other not in (name, base)):
        test, _ = mean_test(compared[name], compared[other])
        ends = test.interval(row.level)
        if ends is None and test.difference != 0:
            return None
        is_better = ends is not None and (ends[1] < 0 if lower_is_better else ends[0] > 0)
        if not is_better:
            rivals.append(other)
    return rivals


def _corrected(recipes: Sequence[RecipeRuns], means: Table, lower_is_better: bool) -> Winner | None:
    """The best of these means, corrected for having been picked; None where its runs do not vary.

    Recipes with common seeds are compared at these, so that what a seed does to all of them picks no winner. Its mean
    over all seeds has that error too: the half-widths of both intervals are added as squares (Zou & Donner 2008). The
    standard error pools the spreads of the recipes that an F test at 1 % does not tell from the winner's.
    """
    samples, kept, seed_reach = _at_common_seeds(recipes)
    best = int(np.argmin(means) if lower_is_better else np.argmax(means))
    pooled, dof = _pooled_variance(samples, best, kept)
    if pooled == 0:
        return None
    errors = np.sqrt([pooled / len(sample) for sample in samples])
    picked = winner(means, errors, dof, lower_is_better=lower_is_better)
    low, high = picked.mean - picked.lower, picked.upper - picked.mean
    lower, upper = picked.mean - float(np.hypot(low, seed_reach)), picked.mean + float(np.hypot(high, seed_reach))
    return replace(picked, lower=lower, upper=upper)


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
    variances = np.array([variance(sample) / kept for sample in samples])
    own, dof = variances[best], dofs[best]
    if own == 0:
        return 0.0, dof
    ratio = np.maximum(variances / own, 1e-300)
    tails = np.minimum(special.fdtr(dofs, dof, ratio), special.fdtrc(dofs, dof, ratio))
    alike = tails > _POOLED / 2
    return float(np.sum((variances * dofs)[alike]) / dofs[alike].sum()), float(dofs[alike].sum())
