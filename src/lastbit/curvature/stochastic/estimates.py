"""Means over batches with intervals: of the curvature along gradients, of gradient noise, and of both together.

Every interval is meant to hold the true value in 95 % of cases, with batches drawn independently of each other. That of
a mean is Student's. The others come from leaving out one batch after the other (the jackknife; Tukey 1958).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

LEVEL = 0.95
Values = NDArray[np.float64]


@dataclass(frozen=True)
class BatchMean:
    """An estimate over batches, with its interval; NaN where nothing is known."""

    value: float
    lower: float = math.nan
    upper: float = math.nan


UNKNOWN = BatchMean(math.nan)


@dataclass(frozen=True, eq=False)
class BatchSums:
    """What is kept of each batch's gradient g, with S the sum of all of them; each of shape (batches,)."""

    curved: Values  # g'H_B g, H_B the batch's own Hessian
    squared: Values  # |g|^2
    crossed: Values  # g'H_C g, H_C of another batch: 2i and 2i + 1 are each other's; NaN for one that is left over
    along: Values  # g'S

    def sharpness(self) -> BatchMean:
        """Batch sharpness: the mean of g'H_B g / |g|^2, over batches that have a gradient."""
        some = self.squared > 0
        return mean_of(self.curved[some] / self.squared[some])

    def interaction(self) -> BatchMean:
        """Interaction-aware sharpness tr(H C) / tr(C) with C = E gg': the curvature of other batches along g.

        Few batches with long gradients can carry the ratio; Student's quantile is that of their effective number,
        (sum w)^2 / sum w^2 with w = |g|^2, and the interval is one of the logarithm where that exists.
        """
        pairs = len(self.crossed) // 2
        top, weights = (values[: 2 * pairs].reshape(pairs, 2).sum(1) for values in (self.crossed, self.squared))
        if not weights.sum() > 0:
            return UNKNOWN
        whole = top.sum() / weights.sum()
        if pairs < 2:
            return BatchMean(float(whole))
        with np.errstate(all="ignore"):
            left = (top.sum() - top) / (weights.sum() - weights)
        effective = float(weights.sum() ** 2 / np.square(weights).sum())
        return _jackknife(whole, left, max(effective - 1, 1.0), log=True)

    def noise(self) -> BatchMean:
        """Trace of the covariance of batch gradients, without bias."""
        return self._of_gradients(_noise, log=True)

    def signal_to_noise(self) -> BatchMean:
        """Squared norm of the mean gradient / trace of the covariance, each without bias; it may come out negative."""
        return self._of_gradients(lambda *sums: _signal(*sums) / _noise(*sums), log=False)

    def _of_gradients(self, statistic: Callable[[int, Values, Values], Values], *, log: bool) -> BatchMean:
        """A function of the number of batches, the sum of |g|^2, and |S|^2."""
        count, total, whole = len(self.squared), self.squared.sum(), self.along.sum()
        if count < 2:
            return UNKNOWN
        with np.errstate(all="ignore"):
            value = statistic(count, total, whole)
            if count == 2:
                return BatchMean(float(value))
            # Without batch i, |S - g_i|^2 = |S|^2 - 2 g_i'S + |g_i|^2.
            left = statistic(count - 1, total - self.squared, whole - 2 * self.along + self.squared)
        return _jackknife(value, left, count - 1, log=log)


def _noise(count: int, total: Values, whole: Values) -> Values:
    return (total - whole / count) / (count - 1)


def _signal(count: int, total: Values, whole: Values) -> Values:
    return (whole - total) / (count * (count - 1))


def mean_of(values: Values) -> BatchMean:
    """The mean, with Student's interval."""
    if not len(values):
        return UNKNOWN
    mean = float(values.mean())
    if len(values) == 1:
        return BatchMean(mean)
    reach = _quantile(len(values) - 1) * float(values.std(ddof=1)) / math.sqrt(len(values))
    return BatchMean(mean, mean - reach, mean + reach)


def _jackknife(whole: Values, left: Values, dof: float, *, log: bool) -> BatchMean:
    """An estimate, and its interval from the estimates without each batch: of its logarithm where all have one."""
    is_log = log and bool(whole > 0 and (left > 0).all())
    center, parts = (np.log(whole), np.log(left)) if is_log else (whole, left)
    count = len(left)
    reach = _quantile(dof) * math.sqrt((count - 1) / count * float(np.square(parts - parts.mean()).sum()))
    ends = [float(np.exp(end) if is_log else end) for end in (center - reach, center + reach)]
    return BatchMean(float(whole), *ends)


def _quantile(dof: float) -> float:
    return float(special.stdtrit(dof, (1 + LEVEL) / 2))
