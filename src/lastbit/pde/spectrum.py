"""The extreme modes of a self-adjoint operator on kernels, by Fourier symbol or by eigenvalues."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh

Array = NDArray[np.floating]

# Up to this many kernel entries the operator is written out and diagonalised densely.
DENSE_LIMIT = 100
# Residuals asked of an eigenpair, relative to the bound on the operator's norm, each in at most RESTARTS restarts.
# An eigenvalue's error is at most the residual, and of the order of its square over the gap to the next one: an
# end that is a tight cluster misses the first tolerances and hardly suffers by it.
TOLERANCES = (1e-10, 1e-7, 1e-4)
RESTARTS = 50


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
    products: int  # operator-vector products spent; 0 for a symbol


def symbol_extremes(symbol: Array) -> Spectrum:
    """Return the extremes over the frequencies of a real Fourier symbol, shape (N, N)."""
    return Spectrum(_frequency_mode(symbol, symbol.argmin()), _frequency_mode(symbol, symbol.argmax()), products=0)


def eigenvalue_extremes(
    product: Callable[[Array], Array],
    side: int,
    norm_bound: float,
    start: tuple[Array | None, Array | None] = (None, None),
) -> Spectrum:
    """Return the extreme eigenpairs of a self-adjoint operator on side x side kernels.

    Dense for a few entries, else by implicitly restarted Lanczos (ARPACK) on ``norm_bound`` plus or minus the
    operator: both ends are then the largest eigenvalue of a positive operator, so that an end at 0, where a
    relative stopping test would never be met, costs no more than the other. The Rayleigh quotients lie inside
    the true spectrum; the modes' residuals certify them.

    Args:
        product: the operator; it maps (..., W, W) to (..., W, W).
        side: W.
        norm_bound: an upper bound on the operator's norm, 0 for the zero operator.
        start: approximate eigenvectors (W, W) of the lowest and the highest end, to start from.
    """
    if side * side <= DENSE_LIMIT or norm_bound == 0.0:
        return _dense_extremes(product, side)
    counter = _Counter(product)
    vectors = (_top_eigenvector(counter, side, norm_bound, sign, v) for sign, v in zip((-1.0, 1.0), start, strict=True))
    lowest, highest = (_eigen_mode(counter, vector) for vector in vectors)
    return Spectrum(lowest, highest, products=counter.calls)


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


def _dense_extremes(product: Callable[[Array], Array], side: int) -> Spectrum:
    if side * side > DENSE_LIMIT:  # the zero operator: any vector is an eigenvector
        mode = _eigen_mode(product, np.full((side, side), 1.0 / side))
        return Spectrum(mode, mode, products=1)
    matrix = product(np.eye(side * side).reshape(-1, side, side)).reshape(side * side, side * side)
    vectors = np.linalg.eigh((matrix + matrix.T) / 2.0)[1]
    lowest, highest = (_eigen_mode(product, vectors[:, i].reshape(side, side)) for i in (0, -1))
    return Spectrum(lowest, highest, products=side * side + 2)


def _top_eigenvector(
    product: Callable[[Array], Array], side: int, norm_bound: float, sign: float, start: Array | None
) -> Array:
    def shifted(vector: Array) -> Array:
        square = vector.reshape(side, side)
        return (square + (sign / norm_bound) * product(square)).ravel()

    # A fixed start, so that the same question has the same answer; ARPACK's own is drawn at random.
    v0 = np.random.RandomState(0).randn(side * side) if start is None else start.ravel()
    operator = LinearOperator((side * side, side * side), matvec=shifted, dtype=np.float64)
    for tolerance in TOLERANCES:
        with contextlib.suppress(ArpackNoConvergence):
            vectors = eigsh(operator, k=1, which="LA", v0=v0, tol=tolerance, ncv=40, maxiter=RESTARTS)[1]
            return np.asarray(vectors[:, 0]).reshape(side, side)
    raise ArithmeticError(f"no extreme eigenvalue of the operator on {side} x {side} kernels converged")


def _eigen_mode(product: Callable[[Array], Array], vector: Array) -> Mode:
    vector = vector * (np.sign(vector.flat[np.abs(vector).argmax()]) / np.linalg.norm(vector))
    image = product(vector)
    value = float(np.vdot(vector, image))
    return Mode(value, None, vector, float(np.linalg.norm(image - value * vector)))
