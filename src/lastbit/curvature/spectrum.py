"""The density of a curvature matrix's eigenvalues and its trace, estimated with error bars."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from lastbit.curvature.operator import CurvatureOperator
from lastbit.curvature.subspace import Counted, Subspace, lanczos
from lastbit.errors import LastbitError


@dataclass(frozen=True, eq=False)
class Estimate:
    """A function of the eigenvalue, averaged over independent probes."""

    mean: Tensor  # (points,)
    error: Tensor  # (points,), standard error of the mean


@dataclass(frozen=True, eq=False)
class SpectralDensity:
    """Quadrature rules whose mean is the distribution of the eigenvalues: each probe's weights sum to 1."""

    nodes: Tensor = field(repr=False)  # (probes, steps), float64
    weights: Tensor = field(repr=False)  # (probes, steps), float64; 0 where a probe's Krylov space ended early
    size: int  # number of eigenvalues
    matvecs: int  # products spent

    def below(self, thresholds: Tensor) -> Estimate:
        """The fraction of eigenvalues at or below each threshold; times `size`, their number."""
        inside = (self.nodes[:, :, None] <= thresholds.double()).double()
        return self._averaged(inside)

    def density(self, points: Tensor, *, width: float) -> Estimate:
        """The density of eigenvalues at each point, blurred by a Gaussian of that standard deviation.

        Raises:
            LastbitError: the width is not positive.
        """
        if not width > 0:
            raise LastbitError(f"width={width} is not allowed; give the positive standard deviation of the blur")
        distances = (self.nodes[:, :, None] - points.double()) / width
        return self._averaged(torch.exp(-(distances**2) / 2) / (width * math.sqrt(2 * math.pi)))

    def moment(self, power: int) -> Estimate:
        """The mean of the eigenvalues' powers; one point."""
        return self._averaged((self.nodes**power)[:, :, None])

    def _averaged(self, values: Tensor) -> Estimate:
        """Quadrature of values (probes, steps, points) by each probe, and their mean."""
        by_probe = (self.weights[:, :, None] * values).sum(1)
        return Estimate(by_probe.mean(0), by_probe.std(0) / math.sqrt(len(by_probe)))


def spectrum(
    operator: CurvatureOperator | Tensor, *, probes: int = 10, steps: int = 40, seed: int = 0
) -> SpectralDensity:
    """The eigenvalue distribution by stochastic Lanczos quadrature (Ubaru, Chen and Saad 2017; Ghorbani et al. 2019).

    Each probe is a Lanczos run from a random direction; its Ritz values are the nodes and the squared first components
    of the Ritz vectors the weights. Error bars come from the spread of at least 2 probes. They do
    not cover what the quadrature blurs: k steps match 2k - 1 moments.

    Args:
        operator: the matrix.
        probes: random starts, 2 at least.
        steps: products for each.
        seed: of the random directions, drawn from a separate generator.

    Raises:
        LastbitError: too few probes or steps.
    """
    if probes < 2 or steps < 1:
        raise LastbitError(
            f"probes={probes}, steps={steps} is not allowed; error bars need 2 probes, of 1 step or more"
        )
    counted, generator = Counted(operator), torch.Generator().manual_seed(seed)
    rules = [_rule(counted, steps, generator) for _ in range(probes)]
    nodes, weights = (torch.stack(part) for part in zip(*rules, strict=True))
    return SpectralDensity(nodes, weights, counted.size, counted.products)


def _rule(counted: Counted, steps: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Nodes and weights of one probe, filled up with nodes of no weight."""
    values, components = lanczos(counted, steps, generator).quadrature()
    missing = (0, steps - len(values))
    return torch.nn.functional.pad(values, missing), torch.nn.functional.pad(components**2, missing)


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
        seed: of the random directions, drawn from a separate generator.

    Raises:
        LastbitError: fewer than 6 products.
    """
    if products < 6:
        raise LastbitError(f"products={products} is not allowed; the standard error needs 6 or more")
    counted, generator = Counted(operator), torch.Generator().manual_seed(seed)
    third = products // 3
    space = Subspace(counted)
    for _ in range(min(third, counted.size)):
        # Normal, not signs: a small matrix has few patterns of signs, which may not span the space.
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
    probe = counted.random_direction(generator).sign()  # independent random signs
    outside = probe - (basis @ probe) @ basis
    return float(torch.dot(outside.double(), (counted @ outside).double()))
