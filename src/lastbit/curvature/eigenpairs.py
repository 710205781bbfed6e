"""The largest eigenpairs of a symmetric matrix, by a Davidson iteration, with upper bounds on the eigenvalues.

The eigenpairs of an earlier matrix that was nearly the same start the iteration and precondition its corrections.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from lastbit.curvature.subspace import Counted, Ritz, Subspace, orthogonalised

LARGEST_BASIS = 64  # vectors, after which the space is restarted from its best Ritz pairs: memory is twice that
UNSEEN = 0.93  # of the largest value: eigenvalues that no recycled pair shows are taken to reach up to here
DRIFT = 0.02  # of the largest value: least that a recycled eigenvalue is assumed to have risen per measurement since
BOUNDING = 8  # pairs beside the k that may enter a bound


@dataclass(frozen=True, eq=False)
class Bounded:
    """Ritz pairs, the largest first, with upper bounds on the eigenvalues of the first k."""

    ritz: Ritz
    uppers: Tensor  # (k,), float64: value + residual, or less where a ceiling is known

    @property
    def slack(self) -> Tensor:
        """How far each of the k eigenvalues may exceed its Ritz value, shape (k,)."""
        return self.uppers - self.ritz.values[: len(self.uppers)]

    def first(self, count: int) -> Bounded:
        """The first pairs alone."""
        return Bounded(self.ritz.first(count), self.uppers[:count])


def converge(
    operator: Counted, space: Subspace, k: int, tol: float, budget: int, recycled: Recycled | None = None
) -> Bounded:
    """Widen a subspace until the k largest eigenvalues are bounded within tol times the largest modulus.

    Each product goes to the correction of the pair with the loosest bound, or of a pair that may pass the k-th. Without
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
    """Estimate the rise from how far the tracked eigenvectors turned: others may have risen as much."""
    turned = float(start.residual_norms().max()) / int(recycled.ages[0])  # per measurement
    return Ceiling(recycled, max(turned, DRIFT * float(start.values.abs().max())))


def _bounded(ritz: Ritz, k: int, ceiling: Ceiling | None) -> Bounded:
    plain = ritz.values[:k] + ritz.first(k).residual_norms()
    return Bounded(ritz, torch.minimum(plain, upper_bounds(ritz, k, ceiling)))


def _correction(ritz: Ritz, index: int, recycled: Recycled | None) -> Tensor:
    residual = ritz.residuals()[index]
    return residual if recycled is None else recycled.correction(residual, float(ritz.values[index]))


@dataclass(frozen=True, eq=False)
class Ceiling:
    """An upper estimate of the eigenvalues outside a subspace; how often it fails was measured (docs/curvature.md).

    A recycled eigenvalue counts as high as its residual reaches and as it may have risen since it was last seen;
    `UNSEEN` stands for the eigenvalues without a recycled pair.
    """

    recycled: Recycled
    rise: float  # of an eigenvalue from one measurement to the next

    def over(self, ritz: Ritz, count: int) -> float:
        """The ceiling on the complement of the first Ritz vectors."""
        floor = UNSEEN * float(ritz.values[0].abs())
        heights = self.recycled.reaches + self.rise * self.recycled.ages.double() - floor
        inside = (self.recycled.vectors @ ritz.vectors[:count].T).double().cpu()
        outside = torch.eye(len(heights), dtype=torch.float64, device=heights.device) - inside @ inside.T
        roots = heights.clamp(min=0).sqrt()
        highest = floor + float(torch.linalg.eigvalsh(roots[:, None] * outside * roots)[-1])
        beside: list[float] = reaches(ritz)[count:].tolist()
        return max([highest, *beside])


def upper_bounds(ritz: Ritz, k: int, ceiling: Ceiling | None) -> Tensor:
    """Upper bounds on the k largest eigenvalues of H, shape (k,); infinite without a ceiling.

    In an orthonormal basis that begins with Ritz vectors, H = [[T, S^T], [S, C]] with T their values and S^T S = G the
    Gram matrix of their residuals. Where no eigenvalue of C exceeds the ceiling c, replacing C by c raises H in
    Loewner's order and with it every eigenvalue (after Lehmann 1949; for one pair close to Kato and Temple's
    residual^2 / gap):

        lambda_i(H) <= lambda_i([[T, G^(1/2)], [G^(1/2), c]]).

    Every choice of the first k or more pairs gives a bound, and the least is taken. Few pairs face a high ceiling, many
    bring in residuals as large as their values.
    """
    none = torch.full((k,), torch.inf, dtype=torch.float64, device="cpu")
    if ceiling is None or not bool(ritz.values.isfinite().all()):
        return none
    residuals = ritz.residuals()
    gram = (residuals @ residuals.T).double().cpu()
    choices = range(k, len(ritz.values) + 1)
    bounds = [_bounds(ritz.values[:m], gram[:m, :m], ceiling.over(ritz, m))[:k] for m in choices]
    least: Tensor = torch.stack([none, *bounds]).amin(0)
    return least


def _bounds(values: Tensor, gram: Tensor, ceiling: float) -> Tensor:
    """Eigenvalues of the matrix above, the largest first."""
    squares, vectors = torch.linalg.eigh(gram)
    root = (vectors * squares.clamp(min=0).sqrt()) @ vectors.T
    top = torch.cat([torch.diag(values), root], dim=1)
    bottom = torch.cat([root, ceiling * torch.eye(len(values), dtype=torch.float64, device=values.device)], dim=1)
    bounds: Tensor = torch.linalg.eigvalsh(torch.cat([top, bottom])).flip(0)
    return bounds


BENEATH = 0.7  # Rayleigh quotient of a residual's direction, relative to the pair's value


@dataclass(frozen=True, eq=False)
class Recycled:
    """Approximate eigenpairs of an earlier matrix, the largest first."""

    values: Tensor  # (pairs,), float64
    vectors: Tensor = field(repr=False)  # (pairs, size), orthonormal rows
    ages: Tensor  # (pairs,), measurements since each was seen
    reaches: Tensor  # (pairs,), float64, up to where the residual lets the eigenvalue lie

    def aged(self, calls: int) -> Recycled:
        """The same pairs, so many measurements later."""
        return replace(self, ages=self.ages + calls)

    def correction(self, residual: Tensor, value: float) -> Tensor:
        """Approximate -(H - value)^-1 residual: first-order perturbation theory in the recycled eigenvectors.

        Along a recycled eigenvector the residual is divided by its distance from the value, everywhere else by the
        distance of zero, near which most of a network's eigenvalues lie, or of the lowest recycled one below it.
        """
        gaps = value - self.values
        widest = max(abs(value), float(gaps.abs().max()))
        # A floor: a pair as close as the residual is large would swallow the correction.
        gaps = gaps.abs().clamp(min=0.02 * widest)
        shares = self.vectors @ residual
        weights = (widest / gaps - 1).to(residual)
        return residual + (weights * shares) @ self.vectors


def recycle(ritz: Ritz, k: int, earlier: Recycled | None, most: int) -> Recycled:
    """The first k Ritz pairs, then the largest of the others and of the earlier pairs beside them.

    A pair ranks by what is certain of it, its value less its reach above it: a pair that a few products left half
    resolved must not push out a well-known one.

    Args:
        ritz: all Ritz pairs of the present subspace.
        k: pairs that always come first.
        earlier: the pairs of an earlier measurement.
        most: pairs to keep.
    """
    pairs = _fresh(ritz) + ([] if earlier is None else _outside(earlier, ritz.vectors))
    kept: list[_Pair] = []
    for pair in [*pairs[:k], *sorted(pairs[k:], key=lambda pair: pair.reach - 2 * pair.value)]:
        unit = orthogonalised(pair.vector, torch.stack([other.vector for other in kept])) if kept else pair.vector
        # Only a vector that the kept ones hardly contain is still the eigenvector it was.
        if unit is not None and float(unit @ pair.vector) > 0.7:
            kept.append(replace(pair, vector=unit))
        if len(kept) == most:
            break
    values, heights = ([getattr(pair, name) for pair in kept] for name in ("value", "reach"))
    return Recycled(
        values=torch.tensor(values, dtype=torch.float64, device="cpu"),
        vectors=torch.stack([pair.vector for pair in kept]),
        ages=torch.tensor([pair.age for pair in kept], device="cpu"),
        reaches=torch.tensor(heights, dtype=torch.float64, device="cpu"),
    )


@dataclass(frozen=True, eq=False)
class _Pair:
    value: float
    reach: float
    age: int
    vector: Tensor  # (size,)


def _fresh(ritz: Ritz) -> list[_Pair]:
    numbers = zip(ritz.values.tolist(), reaches(ritz).tolist(), ritz.vectors, strict=True)
    return [_Pair(value, reach, 0, vector) for value, reach, vector in numbers]


def _outside(earlier: Recycled, basis: Tensor) -> list[_Pair]:
    """The pairs of which an orthonormal basis holds less than half: the others were resolved in it."""
    shares = (earlier.vectors @ basis.T).square().sum(1)
    numbers = zip(earlier.values.tolist(), earlier.reaches.tolist(), earlier.ages.tolist(), strict=True)
    pairs = [_Pair(*known, vector) for known, vector in zip(numbers, earlier.vectors, strict=True)]
    return [pair for pair, share in zip(pairs, shares.tolist(), strict=True) if share < 0.5]


def reaches(ritz: Ritz) -> Tensor:
    """The larger eigenvalue of [[value, residual], [residual, BENEATH value]] for each pair.

    The residual of a pair that is far from converged points in a direction whose Rayleigh quotient is below the pair's.
    """
    values, residuals = ritz.values, ritz.residual_norms()
    half = (1 - BENEATH) / 2 * values.abs()
    return values - half + (half**2 + residuals**2).sqrt()
