"""Many tests at once: adjusted p values, and intervals that hold together.

Of twenty useless changes one passes at 5 %. Holm's procedure holds the probability of any false finding, Benjamini's
and Hochberg's the expected share of false ones among the findings. Intervals that hold jointly take a smaller level,
which `joint_welch` and `joint_pairs` simulate: Dunnett's (1955) comparisons with one recipe, without his assumption
that all recipes spread alike.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import special

from lastbit.statistics.power import SIGNIFICANCE, critical
from lastbit.statistics.spread import Table

_DRAWS = 20_000  # of simulated tables: the joint level of 5 % is then met within 0.15 points (one standard deviation)
_FEWEST = 400  # tables below a level, which is then met within 5 % of itself; with fewer it is Bonferroni's
_STEPS = 10  # correlations are rounded down to tenths, which widens intervals


def holm(p: Table) -> Table:
    """Holm's (1979) adjusted p values: reject those up to 5 %, and any false finding has a probability of at most 5 %.

    Args:
        p: shape (tests,); NaN for a test that could not be made, which stays NaN and does not count.
    """
    return _adjusted(p, lambda ordered, tests: np.maximum.accumulate(ordered * (tests - np.arange(tests))))


def benjamini_hochberg(p: Table) -> Table:
    """Benjamini's and Hochberg's (1995) adjusted p values: of those up to 5 %, at most 5 % are expected to be false.

    Args:
        p: shape (tests,); NaN as in `holm`. The 5 % are proven for independent tests and for positively dependent
            ones, as one-sided tests against one baseline are (Benjamini & Yekutieli 2001). For two-sided ones they are
            simulated in the tests, not proven.
    """

    def step_up(ordered: Table, tests: int) -> Table:
        """The least p · tests / rank of this rank and all above it."""
        scaled = ordered * tests / np.arange(1, tests + 1)
        return np.asarray(np.minimum.accumulate(scaled[::-1])[::-1])

    return _adjusted(p, step_up)


def _adjusted(p: Table, adjust: Callable[[Table, int], Table]) -> Table:
    known = ~np.isnan(p)
    order = np.argsort(p[known], kind="stable")
    adjusted = np.empty(len(order))
    adjusted[order] = np.minimum(1.0, adjust(p[known][order], len(order)))
    result = np.full(len(p), np.nan)
    result[known] = adjusted
    return result


@dataclass(frozen=True, eq=False)
class Joint:
    """Several comparisons with one recipe, as they come out together where nothing differs."""

    comparisons: int
    smallest: Table | None = None  # (tables,): the smallest p of each simulated table, in order; None for Bonferroni's

    def level(self, significance: float = SIGNIFICANCE) -> float:
        """The level of each interval at which all hold together with a probability of 1 - significance."""
        bonferroni = significance / max(1, self.comparisons)
        if self.smallest is None or significance < self._least_share:
            return bonferroni
        return float(np.clip(np.quantile(self.smallest, significance), bonferroni, significance))

    def adjusted(self, p: float) -> float:
        """The probability that the smallest of all p is as small: below 5 % where p is below `level()`, and only there.

        Above 5 %, where nothing is simulated, it is Sidak's bound, and where few of the simulated tables are as small
        Bonferroni's.
        """
        if self.smallest is None:
            return min(1.0, self.comparisons * p)
        if p > SIGNIFICANCE:
            return float(max(p, -np.expm1(self.comparisons * np.log1p(-p)))) if p < 1 else 1.0
        shares = np.linspace(0, 1, len(self.smallest))
        share = max(self._least_share, float(np.interp(p, self.smallest, shares)))
        return float(max(p, min(share, self.comparisons * p)))

    @property
    def _least_share(self) -> float:
        """The share of simulated tables that is large enough to be relied upon."""
        return 1.0 if self.smallest is None else _FEWEST / len(self.smallest)


def joint_welch(errors: Table, dofs: Table) -> Joint:
    """Welch's tests against one recipe, whose mean and spread are in every comparison and correlate them.

    Normal runs with these standard errors are simulated (a parametric bootstrap), and every comparison is tested at its
    own Satterthwaite degrees of freedom. Nothing is pooled, so recipes may spread differently.

    Args:
        errors: standard error of each recipe's mean, the one that all are compared with first, shape (recipes,).
        dofs: its degrees of freedom, runs - 1, at least 1.
    """
    comparisons = len(errors) - 1
    if comparisons < 2 or np.any(errors[0] + errors[1:] == 0):
        return Joint(comparisons)
    normal, chi_square = _draws(tuple(float(dof) for dof in dofs), _DRAWS)
    means, parts = normal * errors, chi_square / dofs * errors**2
    variances = parts[:, 1:] + parts[:, :1]
    t = np.abs(means[:, 1:] - means[:, :1]) / np.sqrt(variances)
    large = t > critical(np.inf)  # no other has a p below 5 %
    own, shared = parts**2 / dofs, np.broadcast_to(parts[:, :1] ** 2 / dofs[0], t.shape)
    freedom = variances[large] ** 2 / (own[:, 1:][large] + shared[large])
    p = np.ones_like(t)
    p[large] = 2 * special.stdtr(freedom, -t[large])
    return Joint(comparisons, np.sort(p.min(1)))


@lru_cache(maxsize=4)
def _draws(dofs: tuple[float, ...], tables: int) -> tuple[Table, Table]:
    """Normal and chi-square numbers, always the same ones, so that a table always gets the same intervals."""
    generator, shape = np.random.default_rng(0), (tables, len(dofs))
    return generator.standard_normal(shape), generator.chisquare(dofs, shape)


def joint_pairs(differences: Table) -> Joint:
    """Paired tests against one recipe, whose runs are in every difference and correlate them.

    The mean correlation of the differences is estimated, rounded down to tenths, and taken for that of every two, and
    normal differences are simulated with it. Where correlations differ widely this is an approximation; Bonferroni's
    level is its lower limit.

    Args:
        differences: of each other recipe and the one at each seed, shape (recipes - 1, seeds), at least two seeds.
    """
    comparisons, seeds = differences.shape
    varying = differences[np.ptp(differences, axis=1) > 0]
    if comparisons < 2 or len(varying) < comparisons:
        return Joint(comparisons)
    together = np.corrcoef(varying)
    mean = float(together[~np.eye(comparisons, dtype=bool)].mean())
    tenths = int(np.clip(np.floor(mean * _STEPS + 1e-9), 0, _STEPS - 1))
    return _equicorrelated(comparisons, seeds, tenths / _STEPS)


@lru_cache(maxsize=128)
def _equicorrelated(comparisons: int, pairs: int, correlation: float) -> Joint:
    """T tests whose samples of `pairs` values are equally correlated.

    A sample is √ρ f + √(1 - ρ) g with a factor f that all share. Given f, its mean and sum of squares are drawn from
    their distributions, not value by value.
    """
    generator, shape = np.random.default_rng(0), (_DRAWS, comparisons)
    shared, own = np.sqrt(correlation), np.sqrt(1 - correlation)
    factor = generator.standard_normal((_DRAWS, 1)) / np.sqrt(pairs)
    length = np.sqrt(generator.chisquare(pairs - 1, (_DRAWS, 1)))
    means = shared * factor + own * generator.standard_normal(shape) / np.sqrt(pairs)
    squares = (shared * length + own * generator.standard_normal(shape)) ** 2
    if pairs > 2:
        squares += own**2 * generator.chisquare(pairs - 2, shape)
    t: NDArray[np.float64] = np.abs(means) / np.sqrt(squares / (pairs - 1) / pairs)
    return Joint(comparisons, np.sort(2 * special.stdtr(pairs - 1, -t.max(1))))
