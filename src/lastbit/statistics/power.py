"""Power of the t test: the least gain that a number of runs shows, and the runs that a gain needs.

Under a true gain δ the t statistic of n runs of each of two recipes has a noncentral t distribution with noncentrality
δ / (std / √n). The normal approximation would promise gains a third too small at four runs, so it is not used.

Welch's test estimates its degrees of freedom, and with few runs that costs power: with three of each, a gain that
2(n - 1) known degrees of freedom would show in 80 % of cases is found in 70 %. Given the share R of the first sample in
the sum of the two sample variances, its critical value is fixed and its statistic a scaled noncentral t; R is a
transformed Beta variable. So the power is one integral (Moser, Stevens & Watts 1989), here a Gauss-Jacobi sum.
"""

from dataclasses import dataclass
from math import ceil, sqrt
from numbers import Real
from typing import Any

import numpy as np
from scipy import special

from lastbit.errors import LastbitError, LastbitTypeError
from lastbit.statistics.spread import Spread

SIGNIFICANCE, POWER = 0.05, 0.80
RUNS = (2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 30, 50)  # for which tables are made
# Nobody trains more often than that, and for a tiny gain the search would not end.
MOST_RUNS = 1_000_000
_NODES = 24  # more change the power by less than 1e-10
# Beyond this, the degrees of freedom are known well enough, and Jacobi's weights are hard to compute.
_MANY = 100


@dataclass(frozen=True)
class Design:
    """Two recipes, each run n times with a different batch order every time, and a two-sided t test."""

    std: float  # of the difference of one run of each, in the unit of the metric
    share: float | None = None  # of the first recipe in its square, for Welch's test; None for pairs
    level: float = SIGNIFICANCE  # of the test; smaller where it is one of several

    def least_gain(self, runs: int) -> float:
        """The gain that `runs` runs of each recipe show in 80 % of such comparisons.

        Raises:
            LastbitError: fewer than two runs, which tell nothing about spread.
        """
        if not isinstance(runs, int | float) or not runs >= 2:
            raise LastbitError(f"runs = {runs!r}: at least 2 of each recipe are needed to tell a gain from noise")
        return self.std / sqrt(runs) * self._least_noncentrality(runs)

    def power(self, gain: float, runs: int) -> float:
        """Probability that `runs` runs of each recipe show a true gain, by p below the level in either direction."""
        if self.std == 0:
            return 1.0 if gain else 0.0
        return self._power(abs(gain) * sqrt(runs) / self.std, runs)

    def runs_needed(self, gain: float) -> int | None:
        """The fewest runs of each recipe that show a gain with 80 % power; None for no gain or above a million."""
        if gain == 0:
            return None
        if self.std == 0:
            return 2
        # A normal distribution needs this many; t needs a few more.
        ratio = float(special.ndtri(1 - self.level / 2) + special.ndtri(POWER)) * self.std / abs(gain)
        if ratio**2 > MOST_RUNS:
            return None
        runs = max(2, ceil(ratio**2))
        while not self._shows(abs(gain), runs):
            runs += 1
        return runs

    def least_gains(self) -> dict[int, float]:
        """`least_gain` for the usual numbers of runs."""
        return {runs: self.least_gain(runs) for runs in RUNS}

    def _shows(self, gain: float, runs: int) -> bool:
        """Whether the least gain of so many runs is no larger, without computing it where that is slow."""
        if self.share is None or runs > _MANY:
            return self.least_gain(runs) <= gain
        return self._power(gain * sqrt(runs) / self.std, runs) >= POWER

    def _power(self, noncentrality: float, runs: int) -> float:
        if self.share is None or runs > _MANY:
            dof = self._dof(runs)
            return float(_beyond(dof, noncentrality, critical(dof, self.level)))
        return _welch_power(runs, self.share, noncentrality, self.level)

    def _least_noncentrality(self, runs: int) -> float:
        known = least_noncentrality(self._dof(runs), self.level)
        if self.share is None or runs > _MANY:
            return known
        from scipy import optimize  # only here: it takes most of a second to import

        # Welch's test never needs less than known degrees of freedom do, nor more than pairs would, up to rounding.
        most = 1.01 * least_noncentrality(runs - 1, self.level)
        return float(optimize.brentq(lambda guess: self._power(guess, runs) - POWER, 0.9 * known, most))

    def _dof(self, runs: int) -> float:
        shares = (1.0,) if self.share is None else (self.share, 1 - self.share)
        return (runs - 1) / sum(share**2 for share in shares)


def check_size(value: object, name: str, *, what: str) -> None:
    """Refuse a gain or a margin that is none.

    Args:
        value: as a person gave it.
        name: of the option, for the message.
        what: it is, likewise: `a gain`.

    Raises:
        LastbitTypeError: it is no number.
        LastbitError: it is not above 0, or not finite.
    """
    if not isinstance(value, Real) or isinstance(value, bool):
        raise LastbitTypeError(f"{name} {value!r}: {what} must be a number, in the unit of the metric")
    size = float(value)
    if not 0 < size < float("inf"):
        raise LastbitError(f"{name} {size:g}: {what} must be above 0, in the unit of the metric")


def between_recipes(run: Spread) -> Design:
    """The design for two recipes whose single runs, each with a different batch order, both spread like this."""
    return Design(run.std * sqrt(2), 0.5)


def least_noncentrality(dof: float, level: float = SIGNIFICANCE) -> float:
    """The noncentrality at which a two-sided t test at this level rejects in 80 % of cases.

    Rejections in the wrong direction are left out: at this noncentrality they are fewer than one in 10,000.
    """
    return float(special.nctdtrinc(dof, 1 - POWER, critical(dof, level)))


def critical(dof: float, level: float = SIGNIFICANCE) -> float:
    """Two-sided point of Student's t at this level."""
    return float(special.stdtrit(dof, 1 - level / 2))


def _welch_power(runs: int, share: float, noncentrality: float, level: float) -> float:
    """Power of Welch's test of two samples of `runs`, the first with this share of the variance of the difference."""
    dof = runs - 1
    nodes, weights = special.roots_jacobi(_NODES, dof / 2 - 1, dof / 2 - 1)
    beta = (1 + nodes) / 2
    pooled = share * beta + (1 - share) * (1 - beta)
    first = share * beta / pooled
    limits = special.stdtrit(dof / (first**2 + (1 - first) ** 2), 1 - level / 2) * np.sqrt(2 * pooled)
    return float(np.sum(weights * _beyond(2 * dof, noncentrality, limits)) / np.sum(weights))


def _beyond(dof: float, noncentrality: float, limits: Any) -> Any:
    """Probability that a noncentral t lies outside ±limits; scipy gives NaN where its lower tail underflows."""
    above = 1 - np.nan_to_num(special.nctdtr(dof, noncentrality, limits))
    return above + np.nan_to_num(special.nctdtr(dof, noncentrality, -limits))
