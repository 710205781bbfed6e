"""Runs that lie far from the other runs of their recipe: a typing error, another unit, or a training that failed.

A run is judged by the runs beside it, without itself, since it would stretch the very spread that it is held against.
Two runs that lie far off on one side hide each other; what is half of a recipe's runs is no outlier of it.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import special

from lastbit.statistics.spread import Table

_FAR = 8.0  # standard deviations
_SURE = 0.01  # probability that normal runs have one this far by their own spread, in all of them together
_FEWEST = 3  # other runs that tell a spread
_MOST = 3  # outliers of one group


def outliers(values: Table, groups: Sequence[str]) -> NDArray[np.bool_]:
    """Whether each run is far from the others of its group.

    It is where it lies more than 8 standard deviations of the others from their mean, and either that is more than
    normal runs would show by chance in 1 % of such tables, or it is more than 8 of what groups spread by, the median of
    the other groups' standard deviations. Fewer than three other runs tell nothing. A spread is taken to be at least
    the smallest step between two values, so that counts and rounded numbers that agree by chance have one.

    Args:
        values: finite, shape (runs,).
        groups: the group of each, such as its recipe and task.
    """
    is_far = np.zeros(len(values), dtype=bool)
    names, place = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    order = np.argsort(place, kind="stable")
    members = np.split(order, np.cumsum(np.bincount(place, minlength=len(names)))[:-1])
    steps = np.diff(np.unique(values))
    step = float(steps.min()) if len(steps) else 0.0
    spreads = np.array([np.std(values[of], ddof=1) if len(of) > 1 else np.nan for of in members])
    for at, of in enumerate(members):
        for _ in range(_MOST):
            kept = of[~is_far[of]]
            run, distance, std = _farthest(values[kept], step)
            if distance <= _FAR * std or not (
                _chance(distance / std, len(kept) - 1) * len(values) < _SURE
                or distance > _FAR * max(step, _usual(np.delete(spreads, at)))
            ):
                break
            is_far[kept[run]] = True
    return is_far


def _farthest(values: Table, step: float) -> tuple[int, float, float]:
    """The run of a group that is farthest from the others, its distance from their mean, and their spread.

    The spread is infinite where too few tell it.
    """
    run = int(np.argmax(np.abs(values - np.median(values))))
    others = np.delete(values, run)
    if len(others) < _FEWEST:
        return run, 0.0, np.inf
    return run, abs(float(values[run] - others.mean())), max(float(np.std(others, ddof=1)), step)


def _chance(distance: float, others: int) -> float:
    """Probability that a normal run lies so many of the others' standard deviations from their mean."""
    return 2 * float(special.stdtr(others - 1, -distance / np.sqrt(1 + 1 / others)))


def _usual(spreads: Table) -> float:
    """What groups spread by; infinite where none tells."""
    known = spreads[np.isfinite(spreads)]
    return float(np.median(known)) if len(known) else np.inf
