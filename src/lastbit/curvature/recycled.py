"""What a measurement leaves for the next: eigenpairs that start it and steer its corrections, and their prediction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from lastbit.curvature.subspace import Ritz, orthogonalised

MEMORY = 5  # measurements that the longest rule and its test need
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


@dataclass(frozen=True)
class Rule:
    """Predicts the eigenvectors of `lag` measurements ago, unchanged or moved on by their last change."""

    lag: int
    linear: bool

    @property
    def reach(self) -> int:
        """Earlier measurements that it needs."""
        return 2 * self.lag if self.linear else self.lag

    def vector(self, history: Sequence[Recycled], index: int) -> Tensor:
        """The predicted unit eigenvector of that index."""
        vector = history[-self.lag].vectors[index]
        if not self.linear:
            return vector
        earlier = history[-2 * self.lag].vectors[index]
        moved = 2 * vector - torch.sign(torch.dot(vector, earlier)) * earlier
        unit: Tensor = moved / torch.linalg.vector_norm(moved)
        return unit


# Near its edge gradient descent jumps from side to side of a valley, so that every second Hessian is alike; elsewhere
# it glides.
RULES = tuple(Rule(lag, linear) for lag in (1, 2) for linear in (False, True))


def best_rule(history: Sequence[Recycled]) -> Rule:
    """The rule that would have predicted the last measurement's first eigenvector best; costs no product."""
    past, last = history[:-1], history[-1].vectors[0]
    usable = [rule for rule in RULES if rule.reach <= len(past)]
    overlap = {rule: abs(float(torch.dot(rule.vector(past, 0), last))) for rule in usable}
    return max(usable, key=lambda rule: overlap[rule], default=RULES[0])
