"""What single test examples say: which network is right on which of them.

They give the variance that another test set would add to an accuracy or a difference of two (`sampling_variance`,
`example_test`), and a test of two single networks (`mcnemar`).
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lastbit.statistics.means import MeanTest, t_test

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


@dataclass(frozen=True)
class SamplingVariance:
    """Variance that drawing another test set of the same size gives a mean accuracy, or a difference of two."""

    variance: float  # not cut at zero: it is a difference of two mean squares
    error: float  # its standard error, over examples
    examples: int


def sampling_variance(networks: Right, minus: Right | None = None) -> SamplingVariance:
    """Estimate it example by example, from several trained networks tested on the same examples.

    How often an example is classified correctly varies over examples for two reasons: some are harder than others,
    which moves all networks together, and which networks are right on it is partly chance, which the spread of runs
    contains already. The second is the interaction of networks and examples in a two-way analysis of variance, and is
    subtracted.

    Args:
        networks: percent right, shape (networks, examples), at least two networks and two examples.
        minus: those of another recipe, whose mean is subtracted.
    """
    groups = [networks] if minus is None else [networks, minus]
    mean = networks.mean(0) - (0 if minus is None else minus.mean(0))
    examples = len(mean)
    parts = ((mean - mean.mean()) ** 2 - sum(_chance(group) for group in groups)) / (examples - 1)
    return SamplingVariance(float(parts.mean()), float(parts.std(ddof=1) / np.sqrt(examples)), examples)


def _chance(networks: Right) -> Right:
    """For each example, the part of its mean's square that is the interaction of networks and examples."""
    rows = len(networks)
    residual = networks - networks.mean(0) - networks.mean(1, keepdims=True) + networks.mean()
    return np.asarray((residual**2).sum(0) / (rows * (rows - 1)))


@dataclass(frozen=True)
class McNemar:
    """Two trained networks on the same examples: McNemar's exact test."""

    seed: int
    noise: str
    only_a: int  # examples on which a's network alone is right
    only_b: int
    p: float  # two-sided binomial


@dataclass(frozen=True)
class ExampleTest:
    """What the single examples say about a difference of accuracies, in points."""

    examples: int
    standard_error: float  # by drawing another test set of this size, for these networks
    any_test_set: MeanTest  # the difference with both uncertainties, of the runs and of the test set
    pairs: tuple[McNemar, ...]  # of runs with the same seed and noise

    @property
    def pairs_that_differ(self) -> int:
        """Pairs of single runs that McNemar's test distinguishes at the 5 % level."""
        return sum(pair.p <= 0.05 for pair in self.pairs)


def example_test(runs: MeanTest, a: Right, b: Right, *, paired: bool, pairs: tuple[McNemar, ...]) -> ExampleTest:
    """Add the test set's uncertainty to a test of the runs.

    The variance is MS_run + max(0, MS_example - MS_interaction) over (runs x examples), that of a two-way random model,
    with the degrees of freedom of Hillis (2007, Statistics in Medicine 26), who made it for readers and cases. They
    take the test set's part for known, and promise too much where there are few runs: of simulated comparisons of three
    pairs the interval covers 92 %. So it is never narrower, and p never smaller, than on this test set, which makes
    that 95 %.

    Args:
        runs: the test on this test set.
        a: percent right of each replicate on each example, shape (replicates, examples).
        b: those of the other recipe, on the same examples.
        paired: whether a[i] and b[i] belong together.
        pairs: McNemar's tests of single runs.
    """
    sampled = sampling_variance(a - b) if paired else sampling_variance(a, b)
    extra, own = max(0.0, sampled.variance), runs.standard_error**2
    dof = runs.dof * ((own + extra) / own) ** 2 if own > 0 else float(sampled.examples - 1)
    both = t_test(runs.kind, runs.difference, float(np.sqrt(own + extra)), dof)
    p = max(both.p, runs.p)
    if both.upper - both.lower < runs.upper - runs.lower:
        both = replace(both, lower=runs.lower, upper=runs.upper)
    return ExampleTest(sampled.examples, float(np.sqrt(extra)), replace(both, p=p), pairs)


def mcnemar(a: NDArray[np.bool_], b: NDArray[np.bool_], *, seed: int, noise: str) -> McNemar:
    """McNemar's exact test: are the examples that one network alone gets right split evenly between the two?

    Args:
        a: whether the first network is right, shape (examples,).
        b: the same of the second.
        seed: of both.
        noise: of both.
    """
    from scipy import stats  # only here: it takes over a second to import

    only_a, only_b = int(np.sum(a & ~b)), int(np.sum(b & ~a))
    split = only_a + only_b
    return McNemar(seed, noise, only_a, only_b, float(stats.binomtest(only_a, split).pvalue) if split else 1.0)
