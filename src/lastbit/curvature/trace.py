"""The trace of a curvature matrix, estimated with its standard error."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from lastbit.curvature.counted import Counted
from lastbit.curvature.operator import CurvatureOperator
from lastbit.curvature.subspace import Subspace
from lastbit.errors import LastbitError


@dataclass(frozen=True)
class Trace:
    """An unbiased estimate of a trace."""

    value: float
    error: float  # standard error, from the spread of the probes; 0 where the trace is exact
    matvecs: int  # products spent


def trace(operator: CurvatureOperator | Tensor, *, products: int = 60, seed: int = 0) -> Trace:
    """The trace of a symmetric matrix by Hutch++ (Meyer, Musco, Musco and Woodruff 2021, algorithm 1).

    A third of the products finds a subspace Q near the dominant eigenvectors, a third takes the trace there exactly,
    and a third estimates the trace on the complement from random signs; only that last part has an error.

    Args:
        operator: the matrix.
        products: most products to spend, 6 at least.
        seed: of the random directions, drawn from a generator of their own.

    Raises:
        LastbitError: fewer than 6 products.
    """
    if products < 6:
        raise LastbitError(f"products={products} is not allowed; the standard error needs 6 or more")
    counted, generator = Counted(operator), torch.Generator().manual_seed(seed)
    third = products // 3
    space = Subspace(counted)
    for _ in range(min(third, counted.size)):
        # Normal, not signs: few rows have few patterns of signs, which may not span the space.
        space.add(counted @ counted.random_direction(generator))
    inside = float(space.ritz().values.sum())
    if len(space) == counted.size:
        return Trace(inside, 0.0, counted.products)
    basis = space.ritz().vectors
    samples = torch.tensor(
        [_sample(counted, basis, generator) for _ in range(third)], dtype=torch.float64, device="cpu"
    )
    return Trace(inside + float(samples.mean()), float(samples.std()) / math.sqrt(third), counted.products)


def _sample(counted: Counted, basis: Tensor, generator: torch.Generator) -> float:
    """One estimate of the trace on the complement of a basis."""
    probe = _signs(counted, generator)
    outside = probe - (basis @ probe) @ basis
    return float(torch.dot(outside.double(), (counted @ outside).double()))


def _signs(counted: Counted, generator: torch.Generator) -> Tensor:
    """Independent random signs."""
    return counted.random_direction(generator).sign()
