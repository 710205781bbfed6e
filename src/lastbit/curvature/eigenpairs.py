"""The largest eigenpairs of a symmetric matrix by a Davidson iteration with recycled corrections."""

from __future__ import annotations

from torch import Tensor

from lastbit.curvature.counted import Counted
from lastbit.curvature.recycled import Recycled
from lastbit.curvature.subspace import Ritz, Subspace

LARGEST_BASIS = 64  # vectors, before the space is restarted with its best Ritz pairs: memory is twice that


def converge(
    operator: Counted, space: Subspace, k: int, tol: float, budget: int, recycled: Recycled | None = None
) -> Ritz:
    """Widen a subspace until the k largest Ritz pairs have residuals within tol times the largest modulus.

    Each product goes to the correction of the pair whose residual is worst. Without recycled pairs the correction is
    the residual itself, and the iteration is Lanczos's with thick restarts.

    Args:
        operator: the symmetric matrix.
        space: where to start; it has k dimensions at least.
        k: pairs wanted.
        tol: largest residual, relative to the largest Ritz value's modulus.
        budget: most products that the operator may have taken in the end.
        recycled: approximate eigenpairs to correct with.

    Returns:
        All Ritz pairs of the final space.
    """
    while True:
        ritz = space.ritz(k)
        norms = ritz.residual_norms()
        settled = bool((norms <= tol * ritz.values.abs().max()).all())
        if settled or not space.finite or operator.products >= budget:
            return space.ritz()
        if len(space) >= LARGEST_BASIS:
            space = Subspace(operator, start=space.ritz(k + LARGEST_BASIS // 3))
        # The worst residual first; a correction may lie in the space already, but for rounding.
        order = norms.argsort(descending=True).tolist()
        if not any(space.add(_correction(ritz, index, recycled)) for index in order):
            return space.ritz()


def _correction(ritz: Ritz, index: int, recycled: Recycled | None) -> Tensor:
    residual = ritz.residuals()[index]
    return residual if recycled is None else recycled.correction(residual, float(ritz.values[index]))
