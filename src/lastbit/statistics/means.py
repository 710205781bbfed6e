"""Tests of a difference of means: Student's for pairs, Welch's for two samples, permutations, and of equivalence."""

from collections.abc import Callable
from dataclasses import dataclass
from math import comb
from typing import Any

import numpy as np
from scipy import special

from lastbit.statistics.power import SIGNIFICANCE, critical
from lastbit.statistics.spread import Table

# All rearrangements are counted up to so many; beyond, as many are drawn.
PERMUTATIONS = 20_000
# A few units in the last place of the largest value: means over a seed's runs and their differences are rounded.
ROUNDING = 16 * float(np.finfo(float).eps)


@dataclass(frozen=True)
class MeanTest:
    """A difference of means, in the unit of the metric, and a two-sided t test of it."""

    kind: str  # `paired t`, `Welch t`, `clustered t` or `tasks as random effect`
    difference: float
    standard_error: float
    dof: float
    t: float  # infinite where nothing varies and the means differ
    p: float
    lower: float  # 95 % interval; NaN where nothing varies, so that there is none
    upper: float

    def interval(self, level: float = SIGNIFICANCE) -> tuple[float, float] | None:
        """The interval that fails to hold the true difference with this probability; None where nothing varies."""
        if self.standard_error == 0:
            return None
        reach = critical(self.dof, level) * self.standard_error
        return self.difference - reach, self.difference + reach


@dataclass(frozen=True)
class PermutationTest:
    """How often chance alone gives a difference as large; assumes exchangeable labels, and no distribution."""

    p: float  # two-sided
    least_p: float  # the smallest that so few runs can give
    exact: bool  # whether all rearrangements were counted


@dataclass(frozen=True)
class Equivalence:
    """Whether a difference is smaller than a margin: two one-sided tests."""

    margin: float  # in the unit of the metric
    p: float  # the larger of the two one-sided p values; NaN where nothing varies, as are both ends
    lower: float  # 90 % interval of the difference: it lies within ± margin where p is below 5 %
    upper: float


def paired_t(a: Table, b: Table) -> MeanTest:
    """Student's t test of the differences a - b.

    Args:
        a: shape (n,), n at least 2.
        b: shape (n,), in the order of `a`.
    """
    scale = largest(a, b)
    error = float(np.sqrt(variance(a - b, scale) / len(a)))
    return t_test("paired t", mean_of(a - b, scale), error, len(a) - 1)


def welch_t(a: Table, b: Table) -> MeanTest:
    """Welch's t test of two samples that may spread differently.

    Args:
        a: shape (n,), n at least 2.
        b: shape (m,), m at least 2.
    """
    scale = largest(a, b)
    parts = np.array([variance(sample, scale) / len(sample) for sample in (a, b)])
    dof = satterthwaite(parts, np.array([len(a) - 1, len(b) - 1]))
    return t_test("Welch t", mean_of(np.array([np.mean(a) - np.mean(b)]), scale), float(np.sqrt(parts.sum())), dof)


def satterthwaite(parts: Table, dofs: Table) -> float:
    """Degrees of freedom of a sum of independent estimated variances (Satterthwaite 1946)."""
    # Relative to the largest, since squares of small variances would underflow.
    shares = parts / parts.max() if parts.max() > 0 else np.ones(len(parts))
    return float(shares.sum() ** 2 / np.sum(shares**2 / dofs))


def variance(values: Table, scale: float | None = None) -> float:
    """Sample variance (ddof 1); 0 where the values differ by no more than the rounding of numbers of size `scale`.

    Args:
        values: at least two, shape (n,).
        scale: by default the size of the largest value.
    """
    scale = largest(values) if scale is None else scale
    return 0.0 if np.ptp(values) <= ROUNDING * scale else float(np.var(values, ddof=1))


def mean_of(values: Table, scale: float) -> float:
    """Mean; 0 where it is no more than the rounding of numbers of size `scale`."""
    mean = float(np.mean(values))
    return 0.0 if abs(mean) <= ROUNDING * scale else mean


def largest(*samples: Table) -> float:
    """The size of the largest value of all samples."""
    return float(max(np.abs(sample).max() for sample in samples))


def t_test(kind: str, difference: float, error: float, dof: float) -> MeanTest:
    """The test from a difference, its standard error and degrees of freedom.

    Where nothing varies there is no interval, and p is 1 for no difference and 0 for any.
    """
    t = difference / error if error > 0 else np.inf * np.sign(difference) if difference else 0.0
    p = float(2 * special.stdtr(dof, -abs(t)))
    reach = critical(dof) * error if error > 0 else np.nan
    return MeanTest(kind, difference, error, dof, float(t), p, difference - reach, difference + reach)


def equivalence(test: MeanTest, margin: float) -> Equivalence:
    """Two one-sided t tests (Schuirmann 1987) of a difference beyond -margin and beyond +margin.

    A difference that is not significant is no evidence of equality; this test is. Runs without any spread are no sample
    that could tell how far others lie, so that nothing is decided then: p and the interval are NaN.

    Args:
        test: of the difference.
        margin: the largest difference that counts as none, above 0, in the unit of the metric.
    """
    error, gap = test.standard_error, margin - abs(test.difference)
    if error == 0:
        return Equivalence(margin, np.nan, np.nan, np.nan)
    reach = float(special.stdtrit(test.dof, 1 - SIGNIFICANCE)) * error
    p = float(special.stdtr(test.dof, -gap / error))
    return Equivalence(margin, p, test.difference - reach, test.difference + reach)


def flipped_signs(differences: Table) -> PermutationTest:
    """Randomisation test of pairs: under no effect each difference is as likely with the other sign."""
    return _permuted((differences,), np.mean, "samples", 2.0 ** len(differences))


def exchanged(a: Table, b: Table) -> PermutationTest:
    """Permutation test of two samples by the difference of their means."""
    return _permuted((a, b), _difference, "independent", comb(len(a) + len(b), len(a)))


def _difference(a: Table, b: Table, axis: int) -> Table:
    return np.asarray(np.mean(a, axis=axis) - np.mean(b, axis=axis))


def _permuted(
    samples: tuple[Table, ...], statistic: Callable[..., Any], kind: str, rearrangements: float
) -> PermutationTest:
    from scipy import stats  # only here: it takes over a second to import

    test = stats.permutation_test(
        samples,
        statistic,
        permutation_type=kind,
        vectorized=True,
        n_resamples=PERMUTATIONS,
        batch=2_000,
        random_state=np.random.default_rng(0),  # always the same draws, so that a comparison always gives the same p
    )
    exact = rearrangements <= PERMUTATIONS
    least = 2 / rearrangements if exact else 2 / (PERMUTATIONS + 1)
    return PermutationTest(min(1.0, float(test.pvalue)), min(1.0, least), exact)
