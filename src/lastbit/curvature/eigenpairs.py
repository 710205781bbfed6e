"""The largest eigenpairs of a symmetric matrix by a Davidson iteration with recycled corrections."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lastbit.curvature.bound import DRIFT, Ceiling, upper_bounds
from lastbit.curvature.counted import Counted
from lastbit.curvature.recycled import Recycled, reaches
from lastbit.curvature.subspace import Ritz, Subspace

LARGEST_BASIS = 64  # vectors, before the space is restarted with its best Ritz pairs: memory is twice that
BOUNDING = 8  # pairs beside the k that may enter a bound


@dataclass(frozen=True, eq=False)
class Bounded:
    """Ritz pairs, the largest first, with upper bounds on the eigenvalues of the first k."""

    ritz: Ritz
    uppers: Tensor  # (k,), float64: value + residual, or less where a ceiling is known

    @property
    def slack(self) -> Tensor:
        """By how much each of the k eigenvalues may exceed its Ritz value, shape (k,)."""
        return self.uppers - self.ritz.values[: len(self.uppers)]

    def first(self, count: int) -> Bounded:
        """The first pairs alone."""
        return Bounded(self.ritz.first(count), self.uppers[:count])


def converge(
    operator: Counted, space: Subspace, k: int, tol: float, budget: int, recycled: Recycled | None = None
) -> Bounded:
    """Widen a subspace until the k largest eigenvalues are bounded within tol times the largest modulus.

    Each product goes to the correction of the pair whose bound is worst, or of one that may pass the k-th. Without
    recycled pairs the correction is the residual itself, and the iteration is Lanczos's with thick restarts.

    Args:
        operator: the symmetric matrix.
        space: where to start; it has k dimensions at least.
        k: pairs wanted.
        tol: largest distance from a value to its upper bound, relative to the largest Ritz value's modulus.
        budget: most products that the operator may have taken in the end.
        recycled: approximate eigenpairs to correct with, and to bound what lies outside the space.

    Returns:
        All Ritz pairs of the final space, the first k bounded.
    """
    ceiling = None if recycled is None else _ceiling(space.ritz(k), recycled)
    while True:
        pairs = _bounded(space.ritz(k + BOUNDING), k, ceiling)
        open_ones = _unsettled(pairs, k, tol)
        if not open_ones or not space.finite or operator.products >= budget:
            return Bounded(space.ritz(), pairs.uppers)
        if len(space) >= LARGEST_BASIS:
            space = Subspace(operator, start=space.ritz(k + LARGEST_BASIS // 3))
        # A correction may lie in the space already, but for rounding.
        if not any(space.add(_correction(pairs.ritz, index, recycled)) for index in open_ones):
            return Bounded(space.ritz(), pairs.uppers)


def _unsettled(pairs: Bounded, k: int, tol: float) -> list[int]:
    """Indices of the pairs that need a product: the k with loose bounds, the worst first, else those that may pass.

    A pair beside the k whose residual reaches above the k-th bound may belong to a larger eigenvalue.
    """
    loose = pairs.slack > tol * pairs.ritz.values[:k].abs().max()
    if bool(loose.any()):
        order: list[int] = pairs.slack.argsort(descending=True).tolist()
        return order
    passing = reaches(pairs.ritz)[k:] > pairs.uppers[-1]
    return [k + index for index in passing.nonzero().flatten().tolist()]


def _ceiling(start: Ritz, recycled: Recycled) -> Ceiling:
    """From how far the tracked eigenvectors turned: what moved them may have raised others as much."""
    turned = float(start.residual_norms().max()) / int(recycled.ages[0])  # a measurement, since they were seen
    return Ceiling(recycled, max(turned, DRIFT * float(start.values.abs().max())))


def _bounded(ritz: Ritz, k: int, ceiling: Ceiling | None) -> Bounded:
    plain = ritz.values[:k] + ritz.first(k).residual_norms()
    return Bounded(ritz, torch.minimum(plain, upper_bounds(ritz, k, ceiling)))


def _correction(ritz: Ritz, index: int, recycled: Recycled | None) -> Tensor:
    residual = ritz.residuals()[index]
    return residual if recycled is None else recycled.correction(residual, float(ritz.values[index]))
