"""Power of the t test: the least gain that so many runs show, and the runs that a gain needs.

Under a true gain δ the t statistic of n runs of each of two recipes has a noncentral t distribution with noncentrality
δ / (std / √n). The normal approximation would promise gains a third too small at four runs, so it is not used.
"""

from dataclasses import dataclass
from math import ceil, sqrt

import numpy as np
from scipy import special

from lastbit.study.spread import Spread

LEVEL, POWER = 0.05, 0.80
RUNS = (2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 30, 50)  # for which tables are made
# Nobody trains more often than that, and a search would not end for a gain of next to nothing.
MOST_RUNS = 1_000_000


@dataclass(frozen=True)
class Design:
    """Two recipes, each run n times with a batch order of its own for every run, and a two-sided t test at 5 %."""

    std: float  # of the difference of one run of each, in the unit of the metric
    dof_per_run: float  # degrees of freedom are (n - 1) times this: 1 for pairs, 2 for two samples of one spread

    def least_gain(self, runs: int) -> float:
        """The gain that `runs` runs of each recipe show in 80 % of such comparisons.

        Raises:
            ValueError: fewer than two runs, which tell nothing about spread.
        """
        if runs < 2:
            raise ValueError(f"runs = {runs}: at least 2 of each recipe are needed to tell a gain from noise")
        return self.std / sqrt(runs) * least_noncentrality(self._dof(runs))

    def power(self, gain: float, runs: int) -> float:
        """Probability that `runs` runs of each recipe show a true gain, by p < 0.05 in either direction."""
        if self.std == 0:
            return 1.0 if gain else 0.0
        dof, noncentrality = self._dof(runs), abs(gain) * sqrt(runs) / self.std
        limit = critical(dof)
        return 1 - _noncentral_t(dof, noncentrality, limit) + _noncentral_t(dof, noncentrality, -limit)

    def runs_needed(self, gain: float) -> int | None:
        """The fewest runs of each recipe that show a gain with 80 % power; None for no gain or above a million."""
        if gain == 0:
            return None
        if self.std == 0:
            return 2
        # A normal distribution needs this many; t needs a few more.
        ratio = float(special.ndtri(1 - LEVEL / 2) + special.ndtri(POWER)) * self.std / abs(gain)
        if ratio**2 > MOST_RUNS:
            return None
        runs = max(2, ceil(ratio**2))
        while self.least_gain(runs) > abs(gain):
            runs += 1
        return runs

    def least_gains(self) -> dict[int, float]:
        """`least_gain` for the usual numbers of runs."""
        return {runs: self.least_gain(runs) for runs in RUNS}

    def _dof(self, runs: int) -> float:
        return (runs - 1) * self.dof_per_run


def between_recipes(run: Spread) -> Design:
    """The design for two recipes whose single runs, each with its own batch order, both spread like this."""
    return Design(run.std * sqrt(2), 2.0)


def least_noncentrality(dof: float) -> float:
    """The noncentrality at which a two-sided t test at 5 % rejects in 80 % of cases.

    Rejections in the wrong direction are left out: at this noncentrality they are fewer than one in 10,000.
    """
    return float(special.nctdtrinc(dof, 1 - POWER, critical(dof)))


def critical(dof: float) -> float:
    """Two-sided 5 % point of Student's t."""
    return float(special.stdtrit(dof, 1 - LEVEL / 2))


def _noncentral_t(dof: float, noncentrality: float, t: float) -> float:
    """Distribution function; scipy gives NaN far out in the lower tail, where it is nothing."""
    return float(np.nan_to_num(special.nctdtr(dof, noncentrality, t)))
