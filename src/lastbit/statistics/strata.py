"""The analysis of variance of runs, example by example: the independent mean squares that a variance is made of.

Over the seeds of a table the pooled variance is (MS_s + (K − 1) MS_e) / K, with MS_s the mean square between seeds and
MS_e that of the interaction (`lastbit.statistics.spread.seed_spread`). Here each is kept with its deviations for every
test example, so that the variance of an accuracy and those of the single examples come from the same runs.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lastbit.statistics.examples import Right
from lastbit.statistics.spread import OVER_NOISES


class Stratum(NamedTuple):
    """One of the independent mean squares whose weighted sum is a variance over runs; a weight may be negative."""

    deviations: NDArray[np.float64]  # (rows, examples), whose squares are summed over the rows
    dof: float
    weight: float

    def mean_product(self, one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
        """The weighted mean product of two deviations, over the rows."""
        return np.asarray(self.weight / self.dof * np.einsum("r...,r...->...", one, other))

    @property
    def of_examples(self) -> NDArray[np.float64]:
        """What it adds to the variance of each example, shape (examples,)."""
        return self.mean_product(self.deviations, self.deviations)


def strata(right: Right, axis: int) -> list[Stratum]:
    """The mean squares of runs that differ in one thing, each with its deviations example by example.

    Over noises there is one, within seeds; a seed with fewer than two runs does not count. Over seeds there are two,
    between seeds and of the interaction; only seeds with a run at every noise count, as in `seed_spread`.

    Args:
        right: of any unit, shape (noises, seeds, examples); NaN for a missing run.
        axis: `OVER_NOISES` for runs of one seed, `OVER_SEEDS` for runs of one noise.

    Returns:
        An empty list where no two runs can be compared.
    """
    present = ~np.isnan(right[..., 0])
    if axis == OVER_NOISES:
        columns = [right[present[:, seed], seed] for seed in np.flatnonzero(present.sum(0) > 1)]
        if not columns:
            return []
        deviations = np.concatenate([runs - runs.mean(0) for runs in columns])
        return [Stratum(deviations, float(len(deviations) - len(columns)), 1.0)]
    runs = right[:, present.all(0)]
    noises, seeds, examples = runs.shape
    if seeds < 2 or noises < 1:
        return []
    means = runs.mean(0)
    of_seed = Stratum(means - means.mean(0), seeds - 1.0, 1.0)
    if noises == 1:
        return [of_seed]
    residual = (runs - means - runs.mean(1, keepdims=True) + means.mean(0)).reshape(-1, examples)
    return [of_seed, Stratum(residual, (seeds - 1.0) * (noises - 1), (noises - 1) / noises)]
