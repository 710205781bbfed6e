"""Bounds from above on the largest eigenvalues, from a subspace and a ceiling on what lies outside it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lastbit.curvature.recycled import Recycled, reaches
from lastbit.curvature.subspace import Ritz

UNSEEN = 0.93  # of the largest value: up to here eigenvalues are reckoned with that no recycled pair tells of
DRIFT = 0.02  # of the largest value: least that a recycled eigenvalue is taken to have risen by for each call since


@dataclass(frozen=True, eq=False)
class Ceiling:
    """What is known of the eigenvalues outside a subspace: an estimate, whose truth was measured (docs/curvature.md).

    A recycled eigenvalue is taken as far up as its residual reaches and as it may have risen since it was last seen;
    `UNSEEN` stands for all that no recycled pair tells of.
    """

    recycled: Recycled
    rise: float  # of an eigenvalue from one call to the next

    def over(self, ritz: Ritz, count: int) -> float:
        """Of the complement of the first Ritz vectors: the recycled pairs as far as they stick out, and the others."""
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

    Every choice of the first k or more pairs gives a bound; the least counts. Few pairs face a high ceiling, many
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
