"""What a measurement leaves for the next: Ritz pairs that start it and steer its corrections."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from lastbit.curvature.subspace import Ritz, orthogonalised

BENEATH = 0.7  # Rayleigh quotient of a residual's direction, relative to the pair's value


@dataclass(frozen=True, eq=False)
class Recycled:
    """Approximate eigenpairs of an earlier matrix, the largest first."""

    values: Tensor  # (pairs,), float64
    vectors: Tensor = field(repr=False)  # (pairs, size), orthonormal rows
    ages: Tensor  # (pairs,), measurements since the pair was last in the subspace
    reaches: Tensor  # (pairs,), float64, up to where the residual lets the eigenvalue lie

    def correction(self, residual: Tensor, value: float) -> Tensor:
        """Approximate -(H - value)^-1 residual: first-order perturbation theory in the recycled eigenvectors.

        Along a recycled eigenvector the residual is divided by its distance from the value, everywhere else by the
        distance of zero, near which most of a network's eigenvalues lie, or of the lowest recycled one below it.
        """
        gaps = value - self.values
        widest = max(abs(value), float(gaps.abs().max()))
        # A floor, for a pair as close as the residual is large would swallow the correction.
        gaps = gaps.abs().clamp(min=0.02 * widest)
        shares = self.vectors @ residual
        weights = (widest / gaps - 1).to(residual)
        return residual + (weights * shares) @ self.vectors


def recycle(ritz: Ritz, earlier: Recycled | None, most: int) -> Recycled:
    """The first Ritz pairs, filled up with what earlier pairs hold beside them."""
    kept = list(ritz.vectors[:most])
    values, ages = ritz.values[:most].tolist(), [0] * len(kept)
    heights = reaches(ritz.first(most)).tolist()
    for index in range(0 if earlier is None else len(earlier.values)):
        assert earlier is not None
        unit = orthogonalised(earlier.vectors[index], torch.stack(kept)) if len(kept) < most else None
        # Only a vector that the new ones hardly contain is still the eigenvector it was.
        if unit is not None and float(unit @ earlier.vectors[index]) > 0.7:
            kept.append(unit)
            values.append(float(earlier.values[index]))
            ages.append(int(earlier.ages[index]) + 1)
            heights.append(float(earlier.reaches[index]))
    doubles = (torch.tensor(numbers, dtype=torch.float64) for numbers in (values, heights))
    return Recycled(next(doubles), torch.stack(kept), torch.tensor(ages), next(doubles))


def reaches(ritz: Ritz) -> Tensor:
    """The larger eigenvalue of [[value, residual], [residual, BENEATH value]] for each pair.

    What the residual of a pair that is far from converged points to has a smaller Rayleigh quotient than the pair.
    """
    values, residuals = ritz.values, ritz.residual_norms()
    half = (1 - BENEATH) / 2 * values.abs()
    return values - half + (half**2 + residuals**2).sqrt()
