"""Means over examples that come in groups: sentences of a document, images of a patient.

Examples of one group are right or wrong together, so they count as fewer than they are. The standard error is computed
from the groups, with the correction for few of them.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lastbit.errors import LastbitError
from lastbit.statistics.means import ROUNDING, MeanTest, largest, mean_of, t_test
from lastbit.statistics.spread import Table


def clustered_t(values: Table, groups: ArrayLike, *, size: float | None = None) -> MeanTest:
    """Test whether the mean over grouped examples is 0; for a difference of two recipes, give it example by example.

    The variance is the cluster-robust CR2 of Bell & McCaffrey (2002), unbiased for independent examples and for groups
    of one size; for a mean it is Σ_g (Σ_{i in g} e_i)² / (1 - n_g / N) / N². The degrees of freedom are theirs too
    (Satterthwaite's under independence): groups - 1 where all have one size, fewer where a few groups hold most
    examples.

    Args:
        values: one for each example, shape (examples,).
        groups: the group of each example, shape (examples,), numbers or texts.
        size: of the numbers that the values are differences of; what their rounding leaves is taken for 0. By default
            the largest value.

    Raises:
        LastbitError: fewer than two groups, or another number of groups' names than of values.
    """
    names: NDArray[Any] = np.asarray(groups)
    if len(names) != len(values):
        raise LastbitError(f"{len(values)} examples and the groups of {len(names)}: give each example one group")
    _, index = np.unique(names, return_inverse=True)
    sizes = np.bincount(index).astype(float)
    if len(sizes) < 2:
        raise LastbitError("all examples are in one group, which tells nothing about how far groups spread")
    scale = largest(values) if size is None else size
    total, mean = sizes.sum(), mean_of(values, scale)
    sums = np.bincount(index, weights=values - mean)
    sums[np.abs(sums) <= ROUNDING * scale * sizes] = 0.0
    error = float(np.sqrt(np.sum(sums**2 / (1 - sizes / total)))) / total
    return t_test("clustered t", mean, error, _degrees_of_freedom(sizes))


def _degrees_of_freedom(sizes: Table) -> float:
    """(tr P)² / tr P² of the matrix P whose quadratic form the variance is, for independent examples.

    P has n_g on its diagonal and -n_g n_h / N · a_g a_h beside it, a_g = (1 - n_g / N)^(-1/2).
    """
    total = sizes.sum()
    squares = sizes**2 / (1 - sizes / total) / total
    beside = squares.sum() ** 2 - np.sum(squares**2)
    return float(total**2 / (np.sum(sizes**2) + beside))
