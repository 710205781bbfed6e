"""The winner's curse: what the best of several recipes looks better by than it is.

The largest of several means is partly the largest for its errors, so it overstates. The correction is empirical Bayes
(Robbins 1956): the distribution of the true means is estimated from all recipes, without assuming a shape (Kiefer &
Wolfowitz 1956), and the winner's mean is replaced by its expectation given what was observed (Jiang & Zhang 2009). So a
winner among equals is corrected by all that luck makes of them, and one that stands far off by next to nothing.
"""

from dataclasses import dataclass

import numpy as np
from scipy import special

from lastbit.errors import LastbitError
from lastbit.statistics.power import SIGNIFICANCE
from lastbit.statistics.spread import Table

_PLACES = 100  # at which the distribution of the true means may have mass, from the least mean to the largest
_STEPS = 1000  # of expectation maximisation


@dataclass(frozen=True)
class Winner:
    """The best of several recipes, corrected for having been picked."""

    index: int
    mean: float  # as observed
    corrected: float
    lower: float  # 95 % interval of its true mean, whichever recipe wins
    upper: float

    @property
    def overstatement(self) -> float:
        """What its mean looks better by than it is, in the unit of the means; never negative."""
        return abs(self.mean - self.corrected)


def winner(means: Table, errors: Table, dof: float, *, lower_is_better: bool = False) -> Winner:
    """Find the best recipe and correct its mean.

    The interval reaches upwards by t, and downwards by the t that the largest of as many independent errors exceeds in
    2.5 % of cases. It holds with at least 95 %, whichever recipe wins: a winner's error is at most the largest of all,
    and rarely far below 0.

    Args:
        means: of the recipes, shape (recipes,), with independent normal errors.
        errors: their standard errors, shape (recipes,), above 0.
        dof: degrees of freedom behind the standard errors.
        lower_is_better: the winner is the smallest.

    Raises:
        LastbitError: fewer than two recipes.
    """
    if len(means) < 2:
        raise LastbitError(f"{len(means)} recipe: a winner takes at least two")
    sign = -1.0 if lower_is_better else 1.0
    signed = sign * means
    best = int(np.argmax(signed))
    place, error = float(signed[best]), float(errors[best])
    single = 1 - SIGNIFICANCE / 2
    low = place - float(special.stdtrit(dof, single ** (1 / len(means)))) * error
    high = place + float(special.stdtrit(dof, single)) * error
    places, masses = distribution_of_means(signed, errors)
    weights = masses * np.exp(-(((place - places) / error) ** 2) / 2)
    corrected = float(np.sum(weights * places) / np.sum(weights))
    lower, upper = sorted((sign * low, sign * high))
    return Winner(
        index=best,
        mean=float(means[best]),
        corrected=sign * float(np.clip(corrected, low, place)),
        lower=lower,
        upper=upper,
    )


def distribution_of_means(means: Table, errors: Table) -> tuple[Table, Table]:
    """The distribution of true means under which the observed ones are likeliest.

    Args:
        means: observed, shape (recipes,), with independent normal errors.
        errors: their standard errors, shape (recipes,), above 0.

    Returns:
        The places between the least and the largest mean, and the mass at each, both of shape (places,).
    """
    places = np.linspace(means.min(), means.max(), _PLACES)
    squares = ((means[:, None] - places) / errors[:, None]) ** 2
    # The smallest square of a row is taken off, since all of a row may underflow.
    likelihood = np.exp(-(squares - squares.min(1, keepdims=True)) / 2)
    masses = np.full(_PLACES, 1 / _PLACES)
    for _ in range(_STEPS):
        masses = masses * (likelihood / (likelihood @ masses)[:, None]).mean(0)
    return places, masses
