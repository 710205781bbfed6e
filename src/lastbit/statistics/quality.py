"""How much of a spread of accuracy is a spread of quality, and how much the finite test set gives by itself.

The quality of a trained network is its accuracy on an unlimited test set. Runs of equal quality still get different
accuracies on a finite one, since each is right on examples of its own. Write c_i for whether a run is right on
example i of n. The variance of its accuracy over runs is

    Var(Σ c_i / n) = Σ_i Var(c_i) / n²  +  Σ_{i≠j} Cov(c_i, c_j) / n².

The first sum is the luck of the test set. Over test sets of independent examples, the second is (n − 1)/n times the
variance of quality, because two different examples agree in nothing but the network (K. Jordan, arXiv 2304.01910,
theorem 2). Both are estimated without bias from the same mean squares, once of the accuracies and once of every
example; the difference of the two is an estimate of the variance of quality that may be negative.

Assumptions: the runs that are compared are exchangeable, differing in nothing but what is drawn anew for each of them;
and the examples of the test set are drawn independently of each other and of the training. Copies of one example in the
test set move together, so their luck counts as quality. `benchmarks/quality_or_luck.py` shows how far.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lastbit.statistics.examples import Correctness
from lastbit.statistics.excess import excess_interval
from lastbit.statistics.luck import Luck, unit_of
from lastbit.statistics.spread import OVER_NOISES, Spread, Table, noise_spread, seed_spread
from lastbit.statistics.strata import Stratum, strata
from lastbit.statistics.variance import Component

ASSUMED = (
    "What an unlimited test set would show assumes that the runs are exchangeable and that the test examples are "
    "independent of each other: copies of an example would make luck look like quality."
)
LESS_THAN_LUCK = "Runs {}vary by less than that: what a run loses on some examples, it gains on others."

_ROUNDING = 1e-9
_FEW = 50  # contested examples; `benchmarks/quality_or_luck.py` has what intervals cover with as many and with fewer


@dataclass(frozen=True)
class Quality:
    """The spread that runs would have on an unlimited test set, with its 95 % interval, in the metric's unit.

    Where `luck_at_most` holds, the luck is only bounded from above. Then `variance` and `std` are lower bounds of the
    estimates, and the interval covers every luck between none and the bound.
    """

    std: float  # √variance, or 0 where that is negative
    lower: float
    upper: float
    variance: float  # estimate of the square, not cut at zero
    observed: float  # standard deviation of the accuracies on this test set
    luck: float  # standard deviation that this test set gives runs of equal quality
    examples: int
    luck_by: str = "predictions"  # or what bounds it: `churn`, `error rate`
    contested: int | None = None  # examples on which compared runs differ in being right; None where that is not known

    @property
    def shown(self) -> bool:
        """Whether the runs show a spread of quality: zero is outside the interval."""
        return self.lower > 0

    @property
    def rests_on_few(self) -> bool:
        """Whether so few examples set the runs apart that the interval may be too short."""
        return self.contested is not None and 0 < self.contested < _FEW

    def is_below_luck(self, upper: float) -> bool:
        """Whether the runs vary by less than independent errors would make them.

        The examples' covariances then add up to less than zero.

        Args:
            upper: end of the interval of the spread on this test set.
        """
        return not self.luck_at_most and 0 < upper < self.luck

    @property
    def luck_at_most(self) -> bool:
        """Whether the luck is an upper bound."""
        return self.luck_by != "predictions"


def quality(predicted: Correctness | None, table: Table, *, axis: int) -> Quality | None:
    """Split the spread of an accuracy over runs that differ in one thing.

    Over noises the spread is the one within seeds (`noise_spread`), over seeds that at a fixed noise (`seed_spread`),
    which holds last-bit noise as well.

    The interval is that of `excess_interval`, which holds at a spread of exactly zero too. It covers what other
    examples would give as well. It takes the quality of the runs as normally distributed.

    Args:
        predicted: which run is right on which example, where that was stored.
        table: the metric, shape (noises, seeds).
        axis: `OVER_NOISES` for runs of one seed, `OVER_SEEDS` for runs of one noise.

    Returns:
        None where it is not known: no two runs to compare, fewer than two examples, or the metric is not the accuracy
        of these predictions.
    """
    unit = None if predicted is None else unit_of(predicted.right, table)
    if predicted is None or unit is None or predicted.right.shape[-1] < 2:
        return None
    parts = strata(predicted.right / unit, axis)
    return split_quality(parts) if parts else None


def split_quality(parts: Sequence[Stratum]) -> Quality:
    """Split the variance of an accuracy, which is a weighted sum of mean squares, into quality and luck.

    Args:
        parts: the mean squares, with their deviations example by example, in the metric's unit: one or several, or one
            with another one to subtract from it. At least two examples.
    """
    examples = parts[0].deviations.shape[1]
    alone = np.array([part.of_examples for part in parts])
    accuracy = [part.deviations.mean(1) for part in parts]
    whole = np.array([part.mean_product(mean, mean) for part, mean in zip(parts, accuracy, strict=True)])
    by_luck = alone.sum(1) / examples**2
    error = _sampling_error(parts, alone, whole)
    ends = excess_interval(whole, by_luck, np.array([part.dof for part in parts]), error=error)
    split = _quality(ends, float(whole.sum()), float(by_luck.sum()), examples)
    # Where a run differs from another one, the mean squares are no less than a run's share of 1; rounding is far below.
    return replace(split, contested=int(np.count_nonzero(np.abs(alone).sum(0) > _ROUNDING)))


def known_quality(predicted: Correctness | None, table: Table, known: Luck | None, *, axis: int) -> Quality | None:
    """The split where predictions and true labels give it, or else what a bound on the luck leaves.

    Args:
        predicted: which run is right on which example, where that was stored.
        table: the metric, shape (noises, seeds).
        known: what `known_luck` gives.
        axis: `OVER_NOISES` for runs of one seed, `OVER_SEEDS` for runs of one noise.
    """
    if predicted is not None:
        return quality(predicted, table, axis=axis)
    return quality_within(noise_spread(table) if axis == OVER_NOISES else seed_spread(table), known)


def quality_within(observed: Spread | Component | None, luck: Luck | None) -> Quality | None:
    """What a bound on the luck leaves, where no run is known to be right on any single example.

    The interval does not cover what other examples would give, which takes predictions to know.

    Args:
        observed: the spread of the accuracies.
        luck: an upper bound, in the same unit: `luck_at_most` from churn, or `luck_by_error_rate`.
    """
    if observed is None or luck is None or luck.examples < 2:
        return None
    ends = observed.lower**2 - luck.std**2, observed.upper**2
    return _quality(ends, observed.std**2, luck.std**2, luck.examples, by=luck.by)


def _sampling_error(parts: Sequence[Stratum], alone: NDArray[np.float64], whole: NDArray[np.float64]) -> float:
    """Standard error of the variance of quality by drawing other examples, which moves it where quality varies.

    The variance is a mean over pairs of examples, so its error is twice that of the mean of h_i, the covariance of
    example i with the accuracy on all others (Hoeffding 1948). Of the variance of the estimated h_i, the part that the
    chance of the runs gives is subtracted.

    Args:
        parts: mean squares of the runs.
        alone: variance of each example, shape (mean squares, examples).
        whole: that of the accuracy, shape (mean squares,).
    """
    examples = alone.shape[1]
    joint = sum(part.mean_product(part.deviations, part.deviations.mean(1)[:, None]) for part in parts)
    h = joint - alone.sum(0) / examples
    chance = np.mean(alone.T @ (whole / np.array([part.dof for part in parts])))
    return float(2 * np.sqrt(max(0.0, np.var(h, ddof=1) - chance) / examples))


def _quality(
    ends: tuple[float, float], whole: float, luck: float, examples: int, *, by: str = "predictions"
) -> Quality:
    """From variances on this test set; that of quality is n/(n − 1) times what luck leaves."""
    grown = examples / (examples - 1)
    variance = grown * (whole - luck)
    squares = (variance, grown * ends[0], grown * ends[1], whole, luck)  # differences of mean squares may be negative
    std, lower, upper, observed, by_luck = (float(np.sqrt(max(0.0, square))) for square in squares)
    return Quality(
        std=std,
        lower=lower,
        upper=upper,
        variance=variance,
        observed=observed,
        luck=by_luck,
        examples=examples,
        luck_by=by,
    )
