"""The exact Hessian of the one-layer network's loss, and its extreme eigenvalues."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lastbit.pde.correlation import Correlation
from lastbit.pde.spectrum import Spectrum, eigenvalue_extremes

Array = NDArray[np.floating]


@dataclass(frozen=True, eq=False)
class Hessian:
    """a Gram(r''(z)) + l''(P) grad P grad P^T + alpha, on W x W kernels, in float64.

    The first term is the operator that the paper linearises (with r'' at 0); the second is what it freezes.
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
