"""The winner's curse: what the best of several recipes looks better by than it is.

The largest of several means is partly the largest for its errors, so it overstates. The correction is the hybrid one of
Andrews, Kitagawa & McCloskey (2024, "Inference on Winners", Quarterly Journal of Economics 139): given that this recipe
won, its mean is normal and truncated from below at the runner-up's. Where the runner-up is close that alone would tell
next to nothing, so the truth is also taken to lie in an interval that holds for all recipes together with 99.5 %.
"""

from dataclasses import dataclass

import numpy as np
from scipy import special

from lastbit.errors import LastbitError
from lastbit.statistics.power import LEVEL
from lastbit.statistics.spread import Table

_PROJECTED = 0.005  # the level of the interval that holds for all; a tenth of 5 %, as the authors recommend
_HALVINGS = 60


@dataclass(frozen=True)
class Winner:
    """The best of several recipes, corrected for having been picked."""

    index: int
    mean: float  # as observed
    corrected: float  # median-unbiased given that it won
    lower: float  # 95 % interval of its true mean
    upper: float

    @property
    def overstatement(self) -> float:
        """What its mean looks better by than it is, in the unit of the means; never negative."""
        return abs(self.mean - self.corrected)


def winner(means: Table, errors: Table, dof: float, *, lower_is_better: bool = False) -> Winner:
    """Find the best recipe and correct its mean.

    Args:
        means: of the recipes, shape (recipes,), with independent normal errors.
        errors: their standard errors, shape (recipes,), above 0.
        dof: degrees of freedom behind the standard errors; they are enlarged by the ratio of the t to the normal
            quantile.
        lower_is_better: the winner is the smallest.

    Raises:
        LastbitError: fewer than two recipes.
    """
    if len(means) < 2:
        raise LastbitError(f"{len(means)} recipe: a winner takes at least two")
    sign = -1.0 if lower_is_better else 1.0
    signed = sign * means
    best = int(np.argmax(signed))
    runner_up = float(np.delete(signed, best).max())
    inner = (LEVEL - _PROJECTED) / (1 - _PROJECTED)
    wider = float(special.stdtrit(dof, 1 - inner / 2) / special.ndtri(1 - inner / 2))
    tail = (1 - (1 - _PROJECTED) ** (1 / len(means))) / 2
    reach = float(-special.ndtri(tail))
    place, error = float(signed[best]), float(errors[best])
    corrected = _solve(place, runner_up, error, reach, 0.5)
    low, high = (_solve(place, runner_up, error * wider, reach, share) for share in (1 - inner / 2, inner / 2))
    lower, upper = sorted((sign * low, sign * high))
    return Winner(best, float(means[best]), sign * min(corrected, place), lower, upper)


def _solve(place: float, runner_up: float, error: float, reach: float, share: float) -> float:
    """The true mean under which the winner's lies at or below its observed place in this share of cases."""
    low, high = place - reach * error, place + reach * error
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if _below(place, middle, runner_up, error, reach) > share:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _below(place: float, mean: float, runner_up: float, error: float, reach: float) -> float:
    """Distribution function of a normal, truncated to [max(runner_up, mean - reach error), mean + reach error]."""
    start = max((runner_up - mean) / error, -reach)
    # By upper tails, which stay exact where the truncation lies far above the mean.
    whole = special.ndtr(-start) - special.ndtr(-reach)
    beyond = special.ndtr(-(place - mean) / error) - special.ndtr(-reach)
    return 1.0 if whole <= 0 else float(1 - beyond / whole)
