"""The 95 % interval of how far a variance exceeds a known one, valid also where it does not exceed it at all.

The variance is estimated by a sum of independent mean squares, or by the difference of two. The ends of its interval
are chi-square quantiles for one mean square, those of Graybill and Wang (1980) for a sum, and those of Ting, Burdick,
Graybill, Jeyaratnam and Lu (1990, Journal of Statistical Computation and Simulation 35) for a difference. How the error
of 5 % is divided between the two ends depends on the value that is tested (a tail function: Puza and O'Neill 2006,
Canadian Journal of Statistics 34): near zero only the lower end may miss it, far from zero each end misses it in 2.5 %
of cases. An interval with equal tails, cut at zero, would cover zero in 97.5 % of cases, and would shrink to zero where
the estimate is small. This interval always reaches above zero, unless nothing varies.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special

from lastbit.statistics.bisection import bisected
from lastbit.statistics.spread import COVERAGE

Parts = NDArray[np.float64]  # (mean squares,), each times its weight in the variance, which may be negative

_TAIL = (1 - COVERAGE) / 2
# The tail that the lower end leaves where there is no excess, and the upper end nothing. It is below 5 % because
# Graybill's and Wang's lower end of a sum of two mean squares misses up to 1.5 times as often as it claims.
_TAIL_AT_ZERO = 0.045
# Between so many standard errors of an estimate of no excess, the tails go from those at zero to equal ones.
_ONE_SIDED, _TWO_SIDED = 0.5, 2.0
_BISECTIONS = 30


class Tails(NamedTuple):
    """The probabilities with which the two ends miss."""

    lower: float
    upper: float


def excess_interval(parts: Parts, known: Parts, dofs: Parts, *, error: float = 0.0) -> tuple[float, float]:
    """The interval of E Σ parts − Σ known, neither end below zero.

    Args:
        parts: independent mean squares, times their weights; at most one is subtracted, and then from a single one.
        known: what they would be on average without an excess.
        dofs: degrees of freedom of each.
        error: standard error of the excess from another source than the mean squares, which is nothing where the
            excess is nothing.
    """
    floor = float(known.sum())
    scale = float(np.sqrt(np.sum(2 * known**2 / dofs)))  # standard error of an estimate of no excess
    if scale == 0:
        lower, upper = _beyond(parts, dofs, Tails(_TAIL, _TAIL), error)
        return max(0.0, lower), max(0.0, upper)

    def ends(excess: float) -> tuple[float, float]:
        """Both ends of the interval, by the spread of a variance of this size."""
        lower, upper = _beyond(parts, dofs, tails(excess / scale), error)
        return lower - floor, upper - floor

    lower = _fixed_point(lambda excess: ends(excess)[0], scale)
    return max(0.0, lower), _fixed_point(lambda excess: ends(excess)[1], scale)


def tails(errors: float) -> Tails:
    """The tails of an excess of so many standard errors."""
    share = float(np.clip((errors - _ONE_SIDED) / (_TWO_SIDED - _ONE_SIDED), 0, 1))
    return Tails(_TAIL_AT_ZERO + share * (_TAIL - _TAIL_AT_ZERO), share * _TAIL)


def _fixed_point(end: Callable[[float], float], scale: float) -> float:
    """Where an end of the interval meets the value whose tails it has; it falls, or stays, as that value grows."""
    low, high = _ONE_SIDED * scale, _TWO_SIDED * scale
    for border, beyond in ((low, end(low) <= low), (high, end(high) >= high)):  # where the tails no longer change
        if beyond:
            return end(border)
    return bisected(lambda excess: end(excess) > excess, low, high, halvings=_BISECTIONS)[0]


def _beyond(parts: Parts, dofs: Parts, tail: Tails, error: float) -> tuple[float, float]:
    """Both ends of a sum of mean squares; without a tail there is no upper one."""
    positive = parts >= 0
    lower = parts.sum() - np.sqrt(_reach(parts, dofs, tail.lower, positive) + (special.ndtri(tail.lower) * error) ** 2)
    if tail.upper == 0:
        return float(lower), float("inf")
    # What is reached upwards from the sum is reached downwards from its negative.
    upper = parts.sum() + np.sqrt(_reach(parts, dofs, tail.upper, ~positive) + (special.ndtri(tail.upper) * error) ** 2)
    return float(lower), float(upper)


def _reach(parts: Parts, dofs: Parts, tail: float, shrinking: NDArray[np.bool_]) -> float:
    """The square of how far an end is from the estimate.

    Args:
        parts: as `excess_interval` takes them.
        dofs: of each.
        tail: the probability with which this end misses.
        shrinking: which parts are smaller in expectation than they are, where the truth is at this end.
    """
    shrunk = 1 - dofs / special.chdtri(dofs, tail)
    grown = dofs / (2 * special.gammaincinv(dofs / 2, tail)) - 1
    reach = float(np.sum((np.where(shrinking, shrunk, grown) * parts) ** 2))
    if shrinking.all() or not shrinking.any():
        return reach
    # So that this end is at zero exactly where the F test of the two mean squares is at its tail.
    down, up = np.flatnonzero(shrinking), np.flatnonzero(~shrinking)
    f = special.fdtri(dofs[down], dofs[up], 1 - tail)
    joint = ((f - 1) ** 2 - (shrunk[down] * f) ** 2 - grown[up] ** 2) / f
    return max(0.0, reach + float(np.sum(joint * np.abs(parts[down] * parts[up]))))
