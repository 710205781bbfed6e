"""The extreme modes of a self-adjoint operator on kernels, by Fourier symbol or by eigenvalues.

`Hessian` is such an operator: the exact Hessian of the one-layer network's loss.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh

from lastbit.pde.correlation import Correlation

Array = NDArray[np.floating]

# Up to this many kernel entries (16 x 16) the operator is assembled as a dense matrix and diagonalised, which is no
# slower than Lanczos and cannot fail to converge. A few columns are assembled at a time, to bound the memory.
DENSE_LIMIT = 256
COLUMNS = 16
# Up to this many (48 x 48) it is also diagonalised densely if Lanczos fails, at a tight cluster of eigenvalues.
DENSE_FALLBACK = 2304
# Residuals that an eigenpair must reach, relative to the bound on the operator's norm, in at most RESTARTS restarts.
# An eigenvalue's error is at most the residual, and of the order of its square over the gap to the next one.
TOLERANCES = (1e-10, 1e-7, 1e-4)
RESTARTS = 100


@dataclass(frozen=True, eq=False)
class Mode:
    """One mode of a linear operator: a frequency of its symbol, or an eigenvector on the kernel's support."""

    value: float  # the symbol's value, or the Rayleigh quotient
    frequency: tuple[int, int] | None  # DFT indices (row, column) on the image's grid; None for an eigenvector
    vector: Array | None  # (W, W), unit length, largest entry positive; None for a frequency
    residual: float  # |Z v - value v|: an eigenvalue lies this close to ``value``; 0 for a frequency


@dataclass(frozen=True, eq=False)
class Spectrum:
    """The two ends of an operator's spectrum."""

    lowest: Mode
    highest: Mode
    products: int  # number of operator-vector products; 0 for a symbol

    def shifted(self, shift: float) -> Spectrum:
        """Return the spectrum of the operator plus ``shift`` times the identity."""
        lowest, highest = (replace(mode, value=mode.value + shift) for mode in (self.lowest, self.highest))
        return Spectrum(lowest, highest, self.products)


def symbol_extremes(symbol: Array) -> Spectrum:
    """Return the extremes over the frequencies of a real Fourier symbol, shape (N, N)."""
    return Spectrum(_frequency_mode(symbol, symbol.argmin()), _frequency_mode(symbol, symbol.argmax()), products=0)


def eigenvalue_extremes(
    product: Callable[[Array], Array],
    side: int,
    norm_bound: float,
    start: Spectrum | None = None,
) -> Spectrum:
    """Return the extreme eigenpairs of a self-adjoint operator on side x side kernels.

    A small operator is diagonalised densely, a larger one by implicitly restarted Lanczos (ARPACK) on twice
    ``norm_bound`` plus or minus the operator. Both ends are then the largest eigenvalue of a positive operator, so an
    end at 0, where a relative stopping test would never be met, costs no more than the other. A shift by ``norm_bound``
    alone would turn the bound times the identity, the Hessian of a saturated network, into the zero operator, which
    ARPACK refuses. The Rayleigh quotients lie inside the true spectrum; the residuals of the modes certify them.

    Args:
        product: the operator; it maps (..., W, W) to (..., W, W).
        side: W.
        norm_bound: an upper bound on the operator's norm, 0 for the zero operator.
        start: the spectrum of a nearby operator, whose eigenvectors to start from.

    Raises:
        ArithmeticError: an end of the spectrum of a very large kernel did not converge to any tolerance.
    """
    entries = side * side
    if norm_bound == 0.0:  # any vector is an eigenvector
        mode = _eigen_mode(product, np.full((side, side), 1.0 / side))
        return Spectrum(mode, mode, products=1)
    if entries <= DENSE_LIMIT:
        return _dense_extremes(product, side, 0)
    counter = _Counter(product)
    starts = (None, None) if start is None else (start.lowest.vector, start.highest.vector)
    for tolerance in TOLERANCES:
        with contextlib.suppress(ArpackNoConvergence):
            ends = zip((-1.0 / norm_bound, 1.0 / norm_bound), starts, strict=True)
            lowest, highest = [_top_eigenvector(counter, side, factor, v, tolerance) for factor, v in ends]
            return Spectrum(_eigen_mode(counter, lowest), _eigen_mode(counter, highest), products=counter.calls)
        if entries <= DENSE_FALLBACK:
            return _dense_extremes(product, side, counter.calls)
    raise ArithmeticError(f"no extreme eigenvalue of the operator on {side} x {side} kernels converged")


@dataclass
class _Counter:
    product: Callable[[Array], Array]
    calls: int = 0

    def __call__(self, vector: Array) -> Array:
        self.calls += 1
        return self.product(vector)


def _frequency_mode(symbol: Array, index: np.intp) -> Mode:
    row, column = np.unravel_index(index, symbol.shape)
    return Mode(float(symbol[row, column]), (int(row), int(column)), None, 0.0)


def _dense_extremes(product: Callable[[Array], Array], side: int, spent: int) -> Spectrum:
    entries = side * side
    units = np.eye(entries).reshape(-1, side, side)
    columns = [product(units[i : i + COLUMNS]) for i in range(0, entries, COLUMNS)]
    matrix = np.concatenate(columns).reshape(entries, entries)
    # All eigenvectors: LAPACK's drivers for a subset may return none for the checkerboard's degenerate spectrum.
    vectors = np.linalg.eigh((matrix + matrix.T) / 2.0)[1]
    lowest, highest = (_eigen_mode(product, vectors[:, i].reshape(side, side)) for i in (0, -1))
    return Spectrum(lowest, highest, products=spent + entries + 2)


def _top_eigenvector(
    product: Callable[[Array], Array], side: int, factor: float, start: Array | None, tolerance: float
) -> Array:
    """Return the eigenvector of the largest eigenvalue of 2 + factor x operator."""

    def shifted(vector: Array) -> Array:
        """Return (2 + factor · Z) v, whose top eigenvector is the result."""
        square = vector.reshape(side, side)
        return (2.0 * square + factor * product(square)).ravel()

    # A fixed start makes the result reproducible; ARPACK's own is random.
    v0 = np.random.RandomState(0).randn(side * side) if start is None else start.ravel()
    operator = LinearOperator((side * side, side * side), matvec=shifted, dtype=np.float64)
    vectors = eigsh(operator, k=1, which="LA", v0=v0, tol=tolerance, maxiter=RESTARTS)[1]
    return np.asarray(vectors[:, 0]).reshape(side, side)


def _eigen_mode(product: Callable[[Array], Array], vector: Array) -> Mode:
    vector = vector * (np.sign(vector.flat[np.abs(vector).argmax()]) / np.linalg.norm(vector))
    image = product(vector)
    value = float(np.vdot(vector, image))
    return Mode(value, None, vector, float(np.linalg.norm(image - value * vector)))


@dataclass(frozen=True, eq=False)
class Hessian:
    """a Gram(r''(z)) + l''(P) grad P grad P^T + alpha, on W x W kernels, in float64.

    The first term, with r'' taken at 0, is the operator of the paper's linear PDE. The second is absent there,
    because the residual is held constant.
    """

    correlation: Correlation
    weights: Array  # (U,): a r''(z) at each output position, times the pooling scale
    pooled_gradient: Array  # (W, W): grad P
    curvature: float  # l''(P)
    weight_decay: float  # alpha

    def apply(self, direction: Array) -> Array:
        """Return the Hessian times a direction, (..., W, W)."""
        corr = self.correlation
        overlap = np.tensordot(direction, self.pooled_gradient, axes=2)
        result = corr.adjoint(self.weights * corr.forward(direction)) + self.weight_decay * direction
        result += self.curvature * overlap[..., None, None] * self.pooled_gradient
        return np.asarray(result)

    def norm_bound(self) -> float:
        """Return an upper bound on the operator norm."""
        gram = np.abs(self.weights).max() * self.correlation.gram_bound
        rank_one = abs(self.curvature) * np.sum(self.pooled_gradient**2)
        return float(gram + rank_one + self.weight_decay)

    def spectrum(self, start: Spectrum | None = None) -> Spectrum:
        """Return the extreme modes; a neighbouring Hessian's spectrum as ``start`` saves work."""
        return eigenvalue_extremes(self.apply, self.correlation.kernel, self.norm_bound(), start)
