"""Many tests at once: adjusted p values, and intervals that hold together.

Of twenty useless changes one passes at 5 %. Holm's procedure holds the probability of any false finding, Benjamini's
and Hochberg's the expected share of false ones among the findings. Intervals that hold jointly take a smaller level,
here `welch_level` and `paired_level`: Dunnett's (1955) comparisons with one baseline, without his assumption that all
recipes spread alike.
"""

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import special

from lastbit.statistics.power import SIGNIFICANCE, critical
from lastbit.statistics.spread import Table

_DRAWS = 20_000  # of simulated tables: the joint level of 5 % is then met within 0.15 points (one standard deviation)
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


def bonferroni_level(comparisons: int) -> float:
    """The level at which each of several intervals holds, so that all do at 95 %, whatever their dependence."""
    return SIGNIFICANCE / max(1, comparisons)


def welch_level(errors: Table, dofs: Table) -> float:
    """The level of each Welch interval against one baseline at which all hold together with 95 %.

    The baseline's mean and spread are in every comparison, which correlates them. Normal runs with these standard
    errors are simulated (a parametric bootstrap), every comparison is tested at its own Satterthwaite degrees of
    freedom, and the level is the 5 % point of the smallest p. Nothing is pooled, so recipes may spread differently.

    Args:
        errors: standard error of each recipe's mean, the baseline first, shape (recipes,).
        dofs: its degrees of freedom, runs - 1, at least 1.
    """
    comparisons = len(errors) - 1
    if comparisons < 2 or np.any(errors[0] + errors[1:] == 0):
        return bonferroni_level(comparisons)
    generator = np.random.default_rng(0)  # always the same draws, so that a table always gets the same intervals
    means = generator.standard_normal((_DRAWS, comparisons + 1)) * errors
    parts = generator.chisquare(dofs, (_DRAWS, comparisons + 1)) / dofs * errors**2
    variances = parts[:, 1:] + parts[:, :1]
    t = np.abs(means[:, 1:] - means[:, :1]) / np.sqrt(variances)
    large = t > critical(np.inf)  # no other has a p below 5 %
    own, shared = parts**2 / dofs, np.broadcast_to(parts[:, :1] ** 2 / dofs[0], t.shape)
    freedom = variances[large] ** 2 / (own[:, 1:][large] + shared[large])
    p = np.ones_like(t)
    p[large] = 2 * special.stdtr(freedom, -t[large])
    return float(min(SIGNIFICANCE, np.quantile(p.min(1), SIGNIFICANCE)))


def paired_level(differences: Table) -> float:
    """The level of each paired interval against one baseline at which all hold together with 95 %.

    Differences at one seed are normal and correlated, since each has the same baseline in it. Their mean correlation is
    estimated, rounded down to tenths, and taken for that of every two; the maximum of the |t| is simulated. Where
    correlations differ widely this is an approximation; Bonferroni's level is its lower limit.

    Args:
        differences: recipe minus baseline at each seed, shape (recipes - 1, seeds), at least two seeds.
    """
    comparisons, seeds = differences.shape
    varying = differences[np.ptp(differences, axis=1) > 0]
    if comparisons < 2 or len(varying) < comparisons:
        return bonferroni_level(comparisons)
    together = np.corrcoef(varying)
    mean = float(together[~np.eye(comparisons, dtype=bool)].mean())
    tenths = int(np.clip(np.floor(mean * _STEPS + 1e-9), 0, _STEPS - 1))
    return _equicorrelated_level(comparisons, seeds, tenths / _STEPS)


@lru_cache(maxsize=512)
def _equicorrelated_level(comparisons: int, pairs: int, correlation: float) -> float:
    """The 5 % point of the smallest p of t tests whose samples of `pairs` values are equally correlated.

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
    return float(min(SIGNIFICANCE, 2 * special.stdtr(pairs - 1, -np.quantile(t.max(1), 1 - SIGNIFICANCE))))
