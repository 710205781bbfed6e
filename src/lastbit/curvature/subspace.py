"""Rayleigh-Ritz in a growing subspace, and random Krylov spaces with the probability that they miss an eigenvalue.

A small residual says that some eigenvalue is near, not that it is the largest: a start without a component along the
top eigenvector never finds it. A Lanczos run from a direction uniform on the sphere misses with bounded probability:
after m steps its largest Ritz value lies more than eps (lambda_max - lambda_min) below lambda_max with probability at
most 1.648 sqrt(n) exp(-sqrt(eps) (2m - 1)) (Kuczynski and Wozniakowski 1992, theorem 4.2, real symmetric matrices).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor

from lastbit.curvature.operator import CurvatureOperator


class SymmetricMatrix(Protocol):
    """A curvature operator, a torch matrix, or anything else that has products with vectors."""

    shape: Any
    dtype: Any
    device: Any

    def __matmul__(self, vector: Tensor, /) -> Tensor:
        """Product with a flat vector (size,)."""


class Counted:
    """A symmetric matrix that counts its products."""

    def __init__(self, operator: CurvatureOperator | Tensor | SymmetricMatrix) -> None:
        self._operator = operator
        self.size = int(operator.shape[0])
        self.products = 0

    def __matmul__(self, vector: Tensor) -> Tensor:
        self.products += 1
        return self._operator @ vector

    def empty(self, rows: int) -> Tensor:
        """Uninitialised rows for so many vectors."""
        return torch.empty(rows, self.size, dtype=self._operator.dtype, device=self._operator.device)

    def random_direction(self, generator: torch.Generator) -> Tensor:
        """A direction uniform on the sphere, drawn on the CPU."""
        drawn = torch.randn(self.size, generator=generator, dtype=self._operator.dtype, device=generator.device)
        return drawn.to(self._operator.device)


@dataclass(frozen=True, eq=False)
class Ritz:
    """Ritz pairs, the algebraically largest first."""

    values: Tensor  # (pairs,), float64, on the CPU
    vectors: Tensor = field(repr=False)  # (pairs, size), orthonormal rows
    products: Tensor = field(repr=False)  # (pairs, size), H times each

    def residuals(self) -> Tensor:
        """Hv - value v of each pair, shape (pairs, size)."""
        values: Tensor = self.values.to(self.vectors)[:, None]
        return self.products - values * self.vectors

    def residual_norms(self) -> Tensor:
        """The 2-norms of the residuals, shape (pairs,), on the CPU."""
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
        apart_from: orthonormal vectors, shape (count, size), to which every direction is made orthogonal and which
            are not part of the space.
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
        """Widen the space by a direction, for one product; False if only rounding lies outside it."""
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
        if not self.finite:  # NaN spoils all pairs
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
    """The unit part of a direction orthogonal to orthonormal rows; None where only rounding is left."""
    unit = direction
    before: Tensor = torch.linalg.vector_norm(unit)
    # Each pass removes what rounding left of the last; two are enough unless the norm collapses in between.
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


def lanczos(operator: Counted, steps: int, generator: torch.Generator, *, apart_from: Tensor | None = None) -> Subspace:
    """The Krylov space of a random direction, with full reorthogonalisation.

    Args:
        operator: the symmetric matrix.
        steps: most products to spend; fewer where the Krylov space is exhausted.
        generator: the source of the direction.
        apart_from: orthonormal vectors to stay orthogonal to: the run is then that of the matrix projected on their
            complement.
    """
    space = Subspace(operator, apart_from=apart_from)
    direction = operator.random_direction(generator)
    while len(space) < steps and space.finite and space.add(direction):
        direction = space.last_product()
    return space


def miss_probability(size: int, products: int, relative_gap: float) -> float:
    """Bound on the probability that a random start misses an eigenvalue by more than a part of the spectrum's width.

    Args:
        size: rows of the matrix.
        products: Lanczos steps from the random start.
        relative_gap: eps in the bound at the top of this module.
    """
    if products >= size:
        return 0.0
    return min(1.0, 1.648 * math.sqrt(size) * math.exp(-math.sqrt(relative_gap) * (2 * products - 1)))


def steps_needed(size: int, relative_gap: float, probability: float) -> int:
    """Lanczos steps that bring `miss_probability` under a probability; never more than there are rows."""
    exponent = math.log(1.648 * math.sqrt(size) / probability) / math.sqrt(relative_gap)
    return min(size, max(1, math.ceil((exponent + 1) / 2)))
