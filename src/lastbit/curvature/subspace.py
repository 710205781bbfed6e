"""Rayleigh-Ritz in a growing subspace whose products are kept."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from lastbit.curvature.counted import Counted


@dataclass(frozen=True, eq=False)
class Ritz:
    """Ritz pairs, the algebraically largest first."""

    values: Tensor  # (pairs,), float64, on the processor
    vectors: Tensor = field(repr=False)  # (pairs, size), orthonormal rows
    products: Tensor = field(repr=False)  # (pairs, size), H times each

    def residuals(self) -> Tensor:
        """Hv - value v of each pair, shape (pairs, size)."""
        values: Tensor = self.values.to(self.vectors)[:, None]
        return self.products - values * self.vectors

    def residual_norms(self) -> Tensor:
        """Their 2-norms, shape (pairs,), on the processor."""
        norms: Tensor = torch.linalg.vector_norm(self.residuals(), dim=1)
        return norms.double().cpu()

    def first(self, count: int) -> Ritz:
        """The first pairs alone."""
        return Ritz(self.values[:count], self.vectors[:count], self.products[:count])


class Subspace:
    """An orthonormal basis V, its products HV and the projection V^T H V.

    Args:
        operator: the symmetric matrix.
        start: orthonormal vectors whose products are known already.
        apart_from: orthonormal vectors, shape (count, size), to which every direction is made orthogonal; they are no
            part of the space.
    """

    def __init__(self, operator: Counted, *, start: Ritz | None = None, apart_from: Tensor | None = None) -> None:
        self._operator = operator
        self._apart_from = operator.empty(0) if apart_from is None else apart_from
        self._basis, self._products = operator.empty(8), operator.empty(8)
        self._projected = torch.zeros(0, 0, dtype=torch.float64, device="cpu")
        if start is not None:
            self.join(start)

    def __len__(self) -> int:
        return len(self._projected)

    @property
    def finite(self) -> bool:
        """Whether no product held NaN or infinities."""
        return bool(self._projected.isfinite().all())

    def add(self, direction: Tensor) -> bool:
        """Widen the space by a direction, for one product; False if rounding is all that lies outside it."""
        unit = orthogonalised(direction, torch.cat([self._apart_from, self._basis[: len(self)]]))
        if unit is not None:
            self._append(unit, self._operator @ unit)
        return unit is not None

    def join(self, ritz: Ritz) -> None:
        """Widen the space by orthonormal vectors that are orthogonal to it and whose products are known."""
        for vector, product in zip(ritz.vectors, ritz.products, strict=True):
            self._append(vector, product)

    def last_product(self) -> Tensor:
        """H times the direction that came last."""
        return self._products[len(self) - 1]

    def ritz(self, count: int | None = None) -> Ritz:
        """The first Ritz pairs, all by default."""
        if not self.finite:  # a number that is none spoils all pairs
            pairs = slice(len(self) if count is None else min(count, len(self)))
            values = torch.full((len(self._projected[pairs]),), torch.nan, dtype=torch.float64, device="cpu")
            return Ritz(values, self._basis[: len(self)][pairs], self._products[: len(self)][pairs])
        values, weights = torch.linalg.eigh(self._projected)
        chosen = weights.flip(1).T[:count].to(self._basis)
        basis, products = self._basis[: len(self)], self._products[: len(self)]
        return Ritz(values.flip(0)[:count], chosen @ basis, chosen @ products)

    def quadrature(self) -> tuple[Tensor, Tensor]:
        """Ritz values, and the component of each Ritz vector along the first direction."""
        values, weights = torch.linalg.eigh(self._projected)
        return values, weights[0]

    def _append(self, unit: Tensor, product: Tensor) -> None:
        count = len(self)
        if count == len(self._basis):
            self._basis = torch.cat([self._basis, torch.empty_like(self._basis)])
            self._products = torch.cat([self._products, torch.empty_like(self._products)])
        self._basis[count], self._products[count] = unit, product
        column = (self._basis[: count + 1] @ product).double().cpu()
        wider = torch.zeros(count + 1, count + 1, dtype=torch.float64, device="cpu")
        wider[:count, :count] = self._projected
        wider[:, count] = wider[count, :] = column
        self._projected = wider


def orthogonalised(direction: Tensor, rows: Tensor) -> Tensor | None:
    """The unit part of a direction that is orthogonal to orthonormal rows; None where rounding is all of it."""
    unit = direction
    before: Tensor = torch.linalg.vector_norm(unit)
    # A pass removes what rounding left of the one before; twice is enough unless the norm collapses in between.
    for _ in range(3):
        if not bool(before > 0):
            return None
        unit = unit / before
        if not len(rows):
            return unit
        unit = unit - (rows @ unit) @ rows
        before = torch.linalg.vector_norm(unit)
        if not bool(before > 32 * torch.finfo(unit.dtype).eps):
            return None
    return unit / before
