"""Two recipes compared example by example on one test set."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lastbit.study.comparison.means import MeanTest, t_test
from lastbit.study.correctness import Right, sampling_variance


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
        """Pairs of single runs that McNemar's test tells apart at 5 %."""
        return sum(pair.p <= 0.05 for pair in self.pairs)


def example_test(runs: MeanTest, a: Right, b: Right, *, paired: bool, pairs: tuple[McNemar, ...]) -> ExampleTest:
    """Add the test set's uncertainty to a test of the runs.

    The variance is MS_run + max(0, MS_example - MS_interaction) over (runs x examples), that of a two-way random model,
    with the degrees of freedom of Hillis (2007, Statistics in Medicine 26), who made it for readers and cases.

    Args:
        runs: the test on this test set.
        a: percent right of each replicate on each example, shape (replicates, examples).
        b: those of the other recipe, on the same examples.
        paired: whether row for row a and b belong together.
        pairs: McNemar's tests of single runs.
    """
    found = sampling_variance(a - b) if paired else sampling_variance(a, b)
    extra, own = max(0.0, found.variance), runs.standard_error**2
    dof = runs.dof * ((own + extra) / own) ** 2 if own > 0 else float(found.examples - 1)
    both = t_test(runs.kind, runs.difference, float(np.sqrt(own + extra)), dof)
    return ExampleTest(found.examples, float(np.sqrt(extra)), both, pairs)


def mcnemar(a: NDArray[np.bool_], b: NDArray[np.bool_], *, seed: int, noise: str) -> McNemar:
    """McNemar's exact test: of the examples on which one network alone is right, as many should fall to either.

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
