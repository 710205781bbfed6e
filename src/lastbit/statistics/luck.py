"""The luck of a finite test set: how far it sets runs apart that are equally good.

Runs of equal quality that are each right on example i of n with its own probability p_i, independently of each other,
have accuracies of variance Σ p_i (1 − p_i) / n² (K. Jordan, arXiv 2304.01910). It is estimated from which run is right
on which example (`luck`), bounded by the churn (`luck_at_most`) or by the error rate (`luck_by_error_rate`), and
predicted for two classes and a calibrated ensemble (`luck_if_calibrated`).
"""

from dataclasses import dataclass

import numpy as np

from lastbit.statistics.examples import Correctness, Right
from lastbit.statistics.spread import Table
from lastbit.statistics.strata import strata

# How far an accuracy that was logged or printed may be from that of the predictions by rounding, in percent: a fraction
# has at least two decimals, a percentage at least one.
_ROUNDED = {100.0: 0.51, 1.0: 0.051}


@dataclass(frozen=True)
class Luck:
    """The standard deviation that independent errors on the test set give an accuracy, in the metric's unit."""

    std: float
    examples: int
    at_most: bool = False  # an upper bound, where no run is known to be right on any single example
    by: str = "predictions"  # what it is known from, or what bounds it: `churn`, `error rate`


def known_luck(
    predicted: Correctness | None, table: Table, *, axis: int, churn: float | None, examples: int | None
) -> Luck | None:
    """The luck where predictions and true labels tell it, or else the lower of its bounds; None where nothing does.

    Args:
        predicted: which run is right on which example, where that was stored.
        table: the metric, shape (noises, seeds); in percent, unless `examples` is None.
        axis: `OVER_NOISES` for runs of one seed, `OVER_SEEDS` for runs of one noise.
        churn: mean churn in percent of runs that differ in this.
        examples: size of the test set whose accuracy the metric is; None where that is not known.
    """
    if predicted is not None:
        return luck(predicted, table, axis=axis)
    bounds = [luck_at_most(churn, examples), luck_by_error_rate(table, examples)]
    return min((bound for bound in bounds if bound is not None), key=lambda bound: bound.std, default=None)


def luck(predicted: Correctness | None, table: Table, *, axis: int) -> Luck | None:
    """What independent errors would give runs that differ in one thing.

    Runs of equal quality that are each right on example i with its own probability p_i, independently of each other,
    still differ in accuracy: the variance is Σ p_i (1 - p_i) / n². What a spread has beyond it is a difference in
    quality.

    Args:
        predicted: which run is right on which example, where that was stored.
        table: the metric, shape (noises, seeds).
        axis: `OVER_NOISES` for runs of one seed, `OVER_SEEDS` for runs of one noise.

    Returns:
        None where it is not known: no two runs to compare, or the metric is not the accuracy of these predictions.
    """
    unit = None if predicted is None else unit_of(predicted.right, table)
    if predicted is None or unit is None:
        return None
    variance = independent_errors(predicted.right, axis=axis)
    return None if variance is None else Luck(float(np.sqrt(variance)) / unit, len(predicted.targets))


def luck_at_most(churn: float | None, examples: int | None) -> Luck | None:
    """A bound from labels alone, for accuracies in percent: where two runs disagree, at most one of them is right.

    Args:
        churn: mean churn in percent of runs that differ in one thing.
        examples: size of the test set.
    """
    if churn is None or not examples:
        return None
    return Luck(float(np.sqrt(100 * churn / 2 / examples)), examples, at_most=True, by="churn")


def independent_errors(right: Right, *, axis: int) -> float | None:
    """Variance of an accuracy in percent by independent errors, without bias; None where no two runs can be compared.

    Args:
        right: 100 where a run is right and 0 where not, shape (noises, seeds, examples); NaN for a missing run.
        axis: along which runs are compared; which of them count, `strata` says.
    """
    parts = strata(right, axis)
    return float(sum(part.of_examples.sum() for part in parts) / right.shape[-1] ** 2) if parts else None


def luck_by_error_rate(table: Table, examples: int | None, *, hundred: float = 100.0) -> Luck | None:
    """A bound from error rates alone: Σ p_i (1 − p_i) / n² is at most p (1 − p) / n for the mean p, the binomial's.

    Args:
        table: accuracies, shape (noises, seeds).
        examples: size of the test set.
        hundred: the accuracy of a run that is always right, 100 or 1.
    """
    if not examples or np.isnan(table).all():
        return None
    p = float(np.nanmean(table))
    return Luck(float(np.sqrt(p * (hundred - p) / examples)), examples, at_most=True, by="error rate")


def luck_if_calibrated(error: float, examples: int) -> float:
    """Standard deviation, in percent, that two classes and a class-calibrated ensemble give: √(error / 2n).

    Calibrated means: of the examples that a share q of all runs puts into a class, a share q belongs there. Then the
    mean of p_i (1 − p_i) is half the error rate (K. Jordan, arXiv 2304.01910). This is a prediction and no bound. Where
    runs err on the same examples, it predicts too much.

    Args:
        error: mean error rate in percent.
        examples: size of the test set.
    """
    return float(np.sqrt(100 * error / 2 / examples))


def unit_of(right: Right, table: Table) -> float | None:
    """How many percent the metric's unit is, where the metric is the accuracy of the predictions; else None.

    Args:
        right: 100 where a run is right and 0 where not, shape (noises, seeds, examples).
        table: the metric, shape (noises, seeds).
    """
    accuracies = right.mean(-1)
    known = ~np.isnan(table) & ~np.isnan(accuracies)
    for unit, rounded in _ROUNDED.items():
        if known.any() and np.abs(table * unit - accuracies)[known].max() <= rounded:
            return unit
    return None
