"""Where the variance of one reported accuracy comes from: the test set, the order of the batches, the last bit.

The runs of a study are a nested random-effects model, y[k, s] = μ + S_s + N_ks: every seed draws a batch order, and
within it every run draws last-bit noise. Their analysis of variance gives the two variances. The variance of drawing
another test set is not in the spread of the runs, since all share one test set; it is estimated example by example.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy import special

from lastbit.statistics.examples import Correctness, sampling_variance
from lastbit.statistics.means import ROUNDING, largest, variance
from lastbit.statistics.spread import COVERAGE, Table, complete_seeds, noise_spread

_TAIL = (1 - COVERAGE) / 2


@dataclass(frozen=True)
class Component:
    """The standard deviation that one source alone gives an accuracy, with its 95 % interval, in points."""

    std: float
    lower: float
    upper: float
    truncated: bool = False  # the estimate of the variance was negative, and is set to 0


@dataclass(frozen=True)
class VarianceSplit:
    """The sources of an accuracy's variance; None where the runs do not determine one."""

    test_set: Component | None
    batch_order: Component | None
    last_bit: Component | None
    by_example: bool  # whether `test_set` comes from single examples of several runs, else from the binomial
    dropped_seeds: int  # left out of `batch_order`, since a run of theirs is missing

    def shares(self) -> dict[str, float]:
        """The share of each known source in the sum of the known variances; empty where that is 0."""
        variances = {name: source.std**2 for name, source in self._sources().items() if source is not None}
        total = sum(variances.values())
        return {name: variance / total for name, variance in variances.items()} if total > 0 else {}

    def as_json(self) -> dict[str, Any]:
        """As the results of a study hold it."""
        shares = self.shares()
        return {
            **{
                name: None if source is None else {**asdict(source), "share": shares.get(name)}
                for name, source in self._sources().items()
            },
            "test_set_by": "examples" if self.by_example else "binomial",
            "dropped_seeds": self.dropped_seeds,
        }

    def _sources(self) -> dict[str, Component | None]:
        return {"test_set": self.test_set, "batch_order": self.batch_order, "last_bit": self.last_bit}


def variance_split(table: Table, predicted: Correctness | None, *, examples: int | None = None) -> VarianceSplit:
    """Split the variance of one accuracy.

    Args:
        table: accuracies in percent, shape (noises, seeds); NaN where a run is missing.
        predicted: which run is right on which example, where that was stored.
        examples: size of the test set where it is known without `predicted`.
    """
    exact = None if predicted is None else _by_example(predicted)
    size = examples if predicted is None else len(predicted.targets)
    complete, last_bit = complete_seeds(table), noise_spread(table)
    return VarianceSplit(
        test_set=exact or _binomial(table, size),
        batch_order=_batch_order(complete),
        last_bit=None if last_bit is None else Component(last_bit.std, last_bit.lower, last_bit.upper),
        by_example=exact is not None,
        dropped_seeds=table.shape[1] - complete.shape[1],
    )


def sampling_error(accuracy: float, examples: int) -> float:
    """Binomial standard error, in percent, of an accuracy measured on a test set: √(p(1 − p)/n).

    Args:
        accuracy: percent.
        examples: size of the test set.
    """
    p = accuracy / 100
    return float(100 * np.sqrt(p * (1 - p) / examples))


def between_groups(between: float, dof: float, within: float, dof_within: float, size: float) -> Component:
    """Standard deviation between groups, σ = √((MS_between − MS_within) / size), in a balanced one-way model.

    The interval is Tukey's and Williams' (Williams 1962, Biometrika 49): close to exact, and never short by much.

    Args:
        between: mean square between groups.
        dof: its degrees of freedom.
        within: mean square within groups.
        dof_within: its degrees of freedom.
        size: of each group; the harmonic mean where groups differ.
    """
    # Of two equal mean squares, each a sum of rounded squares, the difference is rounding.
    square = 0.0 if abs(between - within) <= ROUNDING * max(between, within) else (between - within) / size
    bounds = []
    for tail in (_TAIL, 1 - _TAIL):  # the upper quantiles of F and chi-square give the lower bound
        f, chi2 = special.fdtri(dof, dof_within, 1 - tail), special.chdtri(dof, tail)
        bounds.append(np.sqrt(max(0.0, dof * (between - f * within) / (size * chi2))))
    return Component(float(np.sqrt(max(0.0, square))), float(bounds[0]), float(bounds[1]), truncated=square < 0)


def _batch_order(complete: Table) -> Component | None:
    noises, seeds = complete.shape
    if noises < 2 or seeds < 2:
        return None
    scale = largest(complete)
    within = float(np.mean([variance(runs, scale) for runs in complete.T]))
    between = noises * variance(complete.mean(0), scale)
    return between_groups(between, seeds - 1, within, seeds * (noises - 1), noises)


def _by_example(predicted: Correctness) -> Component | None:
    """From the means of several seeds, or from the runs of a single one; None for a single network."""
    networks = predicted.per_seed
    if len(networks) == 1:
        networks = predicted.at_seed(int(np.flatnonzero(~np.isnan(predicted.right[..., 0]).all(0))[0]))
    if len(networks) < 2 or len(predicted.targets) < 2:
        return None
    sampled = sampling_variance(networks)
    reach, std = special.ndtri(1 - _TAIL) * sampled.error, float(np.sqrt(max(0.0, sampled.variance)))
    if sampled.variance <= reach:  # zero is within the interval
        return Component(std, 0.0, float(np.sqrt(max(0.0, sampled.variance + reach))), truncated=sampled.variance < 0)
    # The estimate of a variance is skewed: its logarithm is more nearly normal.
    factor = float(np.exp(reach / sampled.variance / 2))
    return Component(std, std / factor, std * factor)


def _binomial(table: Table, examples: int | None) -> Component | None:
    """The binomial standard error of one accuracy, with Clopper's and Pearson's interval of it."""
    if not examples or np.isnan(table).all():
        return None
    mean = float(np.nanmean(table))
    right = examples * mean / 100
    low = special.betaincinv(right, examples - right + 1, _TAIL) if right > 0 else 0.0
    high = special.betaincinv(right + 1, examples - right, 1 - _TAIL) if right < examples else 1.0
    stds = [sampling_error(100 * share, examples) for share in (low, high)]
    largest = sampling_error(50, examples) if low < 0.5 < high else max(stds)
    return Component(sampling_error(mean, examples), min(stds), largest)
