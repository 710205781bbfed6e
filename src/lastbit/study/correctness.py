"""Who was right on which test example, run by run, and how much another test set would move an accuracy."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from lastbit.study.grid import Grid

Right = NDArray[np.float64]  # percent: 100 where a run is right and 0 where not, or means of these


@dataclass(frozen=True)
class Correctness:
    """The finished runs of a study on every example of its test set."""

    targets: NDArray[np.int64]  # (examples,)
    right: Right  # (noises, seeds, examples); NaN for a run that is missing

    @property
    def per_seed(self) -> Right:
        """Mean over the noises of each seed that has a finished run, shape (seeds, examples)."""
        present = self.right[:, ~np.isnan(self.right[..., 0]).all(0)]
        return np.asarray(np.nanmean(present, axis=0))

    def at_seed(self, seed: int) -> Right:
        """The finished runs at the seed of this index, shape (runs, examples)."""
        runs = self.right[:, seed]
        return runs[~np.isnan(runs[:, 0])]


def correctness(grid: Grid) -> Correctness | None:
    """Compare stored predictions with the true labels.

    None where no finished run stored both, or where they are of different test sets.
    """
    stored = {place: trial for place, trial in grid.stored.items() if trial.diverged_at is None}
    targets = {place: found for place, trial in stored.items() if (found := trial.targets()) is not None}
    if not targets:
        return None
    first = next(iter(targets.values()))
    if len(first) == 0 or not all(torch.equal(first, other) for other in targets.values()):
        return None
    right = np.full((len(grid.noises), len(grid.seeds), len(first)), np.nan)
    for place in targets:
        labels = stored[place].predictions()
        right[place] = 100.0 * (labels == first).numpy() if labels is not None else np.nan
    return Correctness(first.numpy(), right)


@dataclass(frozen=True)
class SamplingVariance:
    """Variance that drawing another test set of the same size gives a mean accuracy, or a difference of two."""

    variance: float  # not cut at zero: it is a difference of two mean squares
    error: float  # its standard error, over examples
    examples: int


def sampling_variance(networks: Right, minus: Right | None = None) -> SamplingVariance:
    """Estimate it example by example, from several trained networks tested on the same examples.

    How often an example is classified rightly varies over examples for two reasons: some are harder than others, which
    moves all networks together, and which networks are right on it is partly chance, which the spread of runs shows
    already. The second is estimated by the interaction of networks and examples in a two-way analysis of variance, and
    taken off.

    Args:
        networks: percent right, shape (networks, examples), at least two networks and two examples.
        minus: those of another recipe, whose mean is subtracted.
    """
    groups = [networks] if minus is None else [networks, minus]
    mean = networks.mean(0) - (0 if minus is None else minus.mean(0))
    examples = len(mean)
    each = ((mean - mean.mean()) ** 2 - sum(_chance(group) for group in groups)) / (examples - 1)
    return SamplingVariance(float(each.mean()), float(each.std(ddof=1) / np.sqrt(examples)), examples)


def _chance(networks: Right) -> Right:
    """Of each example, the part of its mean's square that is the interaction of networks and examples."""
    rows = len(networks)
    residual = networks - networks.mean(0) - networks.mean(1, keepdims=True) + networks.mean()
    return np.asarray((residual**2).sum(0) / (rows * (rows - 1)))
