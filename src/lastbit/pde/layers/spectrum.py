"""Both ends of a symmetric operator's spectrum, with certified residuals, and the stability conditions they imply."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import eigh_tridiagonal
from torch import Tensor

Product = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Extremes:
    """The lowest and highest curvature of a layer, and the stability conditions that follow.

    Gradient descent with coupled weight decay multiplies the error along an eigenvector of eigenvalue c by a factor
    of modulus below one iff 0 < lr (c + weight_decay) < edge (the paper's eq. 14, one eigenvalue at a time). The right
    inequality is strictest at `highest` and bounds the learning rate. The left one fails at every learning rate if
    `lowest` + weight_decay < 0 (the paper's case a < 0); only more weight decay helps.
    """

    lowest: float
    highest: float
    resolution: float  # curvature below this is indistinguishable from zero

    @property
    def min_weight_decay(self) -> float:
        """Weight decay below which some direction grows at any learning rate; 0 without negative curvature."""
        return 0.0 if self.lowest >= -self.resolution else -self.lowest

    def max_lr(self, weight_decay: float, edge: float) -> float:
        """Learning rate above which the stiffest direction overshoots and grows; infinite if there is none."""
        stiffness = self.highest + weight_decay
        return math.inf if stiffness <= 0 else edge / stiffness

    def lr_range(self, weight_decay: float, edge: float) -> tuple[float, float]:
        """Stable open interval of learning rates; (0, 0), which is empty, if the weight decay is too small."""
        stable = weight_decay >= self.min_weight_decay
        return 0.0, self.max_lr(weight_decay, edge) if stable else 0.0

    def weight_decay_range(self, lr: float, edge: float) -> tuple[float, float]:
        """Stable interval of weight decay at a learning rate; empty where its lower end is not below its upper end."""
        return self.min_weight_decay, edge / lr - self.highest


@dataclass(frozen=True)
class BlockSpectrum(Extremes):
    """Measured ends of an operator on one layer's weight.

    Each value is the Rayleigh quotient of its unit vector v, recomputed by a fresh product, and its residual is
    ||Hv - value v||: some eigenvalue lies within one residual of the value, and the values never lie outside the
    true spectrum.
    """

    lowest_residual: float
    highest_residual: float
    lowest_vector: NDArray[np.floating] = field(repr=False, compare=False)  # unit length, shape of the weight
    highest_vector: NDArray[np.floating] = field(repr=False, compare=False)  # unit length, shape of the weight
    products: int  # number of operator products
    converged: bool  # whether both residuals are within the tolerance


def rounding_resolution(lowest: float, highest: float, dtype: torch.dtype) -> float:
    """Curvature below which a sum of products in `dtype` is noise: a hundred units of rounding of the larger end."""
    return 100 * torch.finfo(dtype).eps * max(abs(lowest), abs(highest))


def block_spectrum(
    product: Product, like: Tensor, *, tolerance: float, max_products: int, seed: int = 0
) -> BlockSpectrum:
    """Both extreme eigenpairs of a symmetric operator by the Lanczos iteration with full reorthogonalisation.

    One Krylov space serves both ends, and the stopping test is relative to the larger end in modulus, so an end that is
    zero or tiny does not stall it. The result is zero for a zero operator, and NaN for one that returns NaN or
    infinities.

    Args:
        product: the operator, from a tensor shaped as `like` to another.
        like: a tensor of the shape, dtype and device of the operator's domain.
        tolerance: stop when both residuals are at most this times the larger end.
        max_products: the most products, apart from the two that certify the residuals.
        seed: of the generator of the starting vector.
    """
    basis, diagonal, off_diagonal = _krylov_space(product, _start(like, seed), tolerance, max_products)
    if not all(map(math.isfinite, diagonal + off_diagonal)):
        return _not_finite(like, len(diagonal))
    _, vectors = eigh_tridiagonal(diagonal, off_diagonal[:-1])
    low = _certified(product, _combine(basis, vectors[:, 0]))
    high = _certified(product, _combine(basis, vectors[:, -1]))
    if low[0] > high[0]:  # a spectrum of one point: the ends differ by rounding only
        low, high = high, low
    scale = max(abs(low[0]), abs(high[0]))
    return BlockSpectrum(
        low[0],
        high[0],
        rounding_resolution(low[0], high[0], like.dtype),
        low[1],
        high[1],
        low[2].cpu().numpy(),
        high[2].cpu().numpy(),
        products=len(diagonal) + 2,
        # The recurrence's estimate met the tolerance; the fresh residual may exceed it by rounding.
        converged=max(low[1], high[1]) <= 1.1 * tolerance * scale or scale == 0,
    )


def _start(like: Tensor, seed: int) -> Tensor:
    """Unit vector with a component along every eigenvector, almost surely."""
    generator = torch.Generator().manual_seed(seed)
    vector = torch.randn(like.shape, generator=generator, dtype=torch.float64).to(like)
    return _unit(vector)


def _krylov_space(
    product: Product, start: Tensor, tolerance: float, max_products: int
) -> tuple[list[Tensor], list[float], list[float]]:
    """Orthonormal Lanczos basis and the entries of the tridiagonal matrix, stopped by the residuals of both ends."""
    basis, diagonal, off_diagonal = [start], list[float](), list[float]()
    while True:
        image = product(basis[-1]).clone()
        diagonal.append(_dot(basis[-1], image))
        # A second pass removes the components that rounding left after the first.
        for vector in basis * 2:
            image.sub_(vector, alpha=float((vector * image).sum()))
        off_diagonal.append(float(image.norm()))
        exhausted = len(diagonal) >= min(max_products, start.numel())
        if exhausted or not math.isfinite(off_diagonal[-1]) or _settled(diagonal, off_diagonal, tolerance):
            return basis, diagonal, off_diagonal
        basis.append(image / off_diagonal[-1])


def _settled(diagonal: list[float], off_diagonal: list[float], tolerance: float) -> bool:
    """Whether the residual estimates of both extreme Ritz pairs, |last beta * last component|, are small enough."""
    values, vectors = eigh_tridiagonal(diagonal, off_diagonal[:-1])
    residual = off_diagonal[-1] * max(abs(vectors[-1, 0]), abs(vectors[-1, -1]))
    return bool(residual <= tolerance * max(abs(values[0]), abs(values[-1])))


def _combine(basis: list[Tensor], weights: NDArray[np.float64]) -> Tensor:
    """Unit Ritz vector."""
    vector = torch.zeros_like(basis[0])
    for weight, direction in zip(weights, basis, strict=True):
        vector.add_(direction, alpha=float(weight))
    return _unit(vector)


def _unit(vector: Tensor) -> Tensor:
    unit: Tensor = vector / torch.linalg.vector_norm(vector)
    return unit


def _certified(product: Product, vector: Tensor) -> tuple[float, float, Tensor]:
    """Rayleigh quotient of a unit vector, the norm of its residual, and the vector."""
    image = product(vector)
    value = _dot(vector, image)
    return value, float((image - value * vector).norm()), vector


def _dot(left: Tensor, right: Tensor) -> float:
    """Inner product; double precision, because float32 sums over a large layer lose three digits."""
    return float(torch.dot(left.flatten().double(), right.flatten().double()))


def _not_finite(like: Tensor, products: int) -> BlockSpectrum:
    """The result for an operator with NaN or infinities: all NaN, not converged."""
    nothing = np.full(tuple(like.shape), math.nan)
    nan = math.nan
    return BlockSpectrum(nan, nan, nan, nan, nan, nothing, nothing, products=products, converged=False)
