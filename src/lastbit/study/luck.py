"""The spread that a finite test set gives by itself: what independent errors on its examples would come to.

Runs of equal quality, which are each right on example i with a probability p_i of its own and independently of one
another, still have different accuracies: their variance is the sum of p_i (1 - p_i) over n². The runs' own predictions
estimate it without bias, example by example, by the variance of who is right. Of the spread that is seen, only what
exceeds this is a difference in quality (K. Jordan, arXiv 2304.01910, theorem 2).
"""

from dataclasses import dataclass

import numpy as np

from lastbit.study.correctness import Correctness, Right
from lastbit.study.distances import Churn
from lastbit.study.spread import Spread, Table

OVER_NOISES, OVER_SEEDS = 0, 1  # axes of a table
# How far an accuracy that was logged or printed may be from that of the predictions by rounding, in percent: a fraction
# has at least two decimals, a percentage at least one.
_ROUNDED = {100.0: 0.51, 1.0: 0.051}


@dataclass(frozen=True)
class Luck:
    """The standard deviation that independent errors on the test set give an accuracy, in the metric's unit."""

    std: float
    examples: int
    at_most: bool = False  # where only labels are stored, not who is right: not more than this

    def explains(self, found: Spread) -> bool:
        """Whether a spread is no larger, so that it is no evidence of a difference in quality."""
        return found.std <= self.std

    def may_explain(self, found: Spread) -> bool:
        """Whether it is within the spread's interval, so that the spread is no clear evidence."""
        return found.lower <= self.std


def luck(predicted: Correctness | None, table: Table, *, axis: int) -> Luck | None:
    """What independent errors would give runs that differ in one thing.

    Args:
        predicted: who was right on which example, where that was stored.
        table: the metric, shape (noises, seeds).
        axis: `OVER_NOISES` for runs of one seed, `OVER_SEEDS` for runs of one noise.

    Returns:
        None where it is not known: no two runs to compare, or the metric is not the accuracy of these predictions.
    """
    unit = None if predicted is None else _unit(predicted.right, table)
    if predicted is None or unit is None:
        return None
    variance = independent_errors(predicted.right, axis=axis)
    return None if variance is None else Luck(float(np.sqrt(variance)) / unit, len(predicted.targets))


def luck_at_most(churn: Churn | None, examples: int | None) -> Luck | None:
    """A bound from labels alone, for accuracies in percent: where two runs disagree, at most one of them is right.

    Args:
        churn: of runs that differ in one thing.
        examples: size of the test set.
    """
    if churn is None or not examples:
        return None
    return Luck(float(np.sqrt(100 * churn.mean / 2 / examples)), examples, at_most=True)


def independent_errors(right: Right, *, axis: int) -> float | None:
    """Variance of an accuracy in percent by independent errors; None where no two runs can be compared.

    Args:
        right: 100 where a run is right and 0 where not, shape (noises, seeds, examples); NaN for a missing run.
        axis: along which runs are compared.
    """
    present = ~np.isnan(right[..., 0])
    dof = int(np.maximum(0, present.sum(axis) - 1).sum())
    if dof == 0:
        return None
    groups = present.any(axis)
    runs = np.compress(groups, right, axis=1 - axis)
    deviations = runs - np.nanmean(runs, axis=axis, keepdims=True)
    return float(np.nansum(deviations**2) / dof / right.shape[-1] ** 2)


def _unit(right: Right, table: Table) -> float | None:
    """How many percent the metric's unit is, where the metric is the accuracy of the predictions; else None."""
    accuracies = right.mean(-1)
    known = ~np.isnan(table) & ~np.isnan(accuracies)
    for unit, rounded in _ROUNDED.items():
        if known.any() and np.abs(table * unit - accuracies)[known].max() <= rounded:
            return unit
    return None
