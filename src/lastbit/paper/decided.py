"""Whether an interval lies on one side of a level: it does, it does not, or more runs are needed to tell."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import special

_TAIL = 0.025  # of a 95 % interval


def above(interval: Sequence[float] | None, level: float) -> bool | None:
    """Whether an interval lies above a level; None where it holds the level, or where there is no interval."""
    if interval is None:
        return None
    low, high = interval
    return True if low > level else False if high < level else None


def within(interval: Sequence[float] | None, low: float, high: float) -> bool | None:
    """Whether an interval lies between two levels; False where it lies outside, None where it does neither."""
    if interval is None:
        return None
    if interval[1] < low or interval[0] > high:
        return False
    return True if interval[0] >= low and interval[1] <= high else None


def ratio_interval(ratio: float, dof_above: float, dof_below: float) -> list[float]:
    """95 % F interval of the ratio of two independent standard deviations.

    Args:
        ratio: of the two estimates.
        dof_above: degrees of freedom of the numerator.
        dof_below: and of the denominator.
    """
    quantiles = [special.fdtri(dof_above, dof_below, q) for q in (1 - _TAIL, _TAIL)]
    return [float(ratio / np.sqrt(q)) for q in quantiles]
