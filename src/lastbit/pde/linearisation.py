"""The linear PDEs that the one-layer network obeys in each regime of its activation (paper, table 3 and appendix D).

Each is K_t = -(Z K + alpha K + s D) on the kernel's window, with Z = g G + rho D D^T, where G K = I * (I * K) is
the Gram operator of the image's patches, D(u) = sum_x I(x + u) the sum of the image as each kernel entry sees it
(the paper's I-bar, the same everywhere for an infinite window), and pooling by mean divides both by the number of
output positions. The regimes differ in the three numbers g, rho, s alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from lastbit.pde.correlation import Correlation
from lastbit.pde.spectrum import Spectrum, eigenvalue_extremes, symbol_extremes

Array = NDArray[np.floating]

WINDOWS = ("infinite", "pixel", "exact")


@dataclass(frozen=True, eq=False)
class Linearisation:
    """One of the linear PDEs; weight decay is left out of Z and given to each method instead."""

    regime: str  # "transitioning", "activated" or "not activated"
    correlation: Correlation
    scale: float  # 1 when pooling by sum, 1 / M by mean
    gram: float  # g, the coefficient of G
    rank_one: float  # rho, the coefficient of D D^T
    source: float  # s, the coefficient of D
    offset: float  # the loss at K = 0 of the quadratic model that descends this PDE

    @cached_property
    def _image_sum(self) -> Array:
        corr = self.correlation
        ones = np.ones(corr.positions if corr.multiplicity is None else corr.multiplicity.size, corr.image.dtype)
        return self.scale * corr.adjoint(ones)

    def apply(self, kernels: Array) -> Array:
        """Return Z K, shape (..., W, W): the linear operator without weight decay."""
        image_sum = self._image_sum
        result = np.zeros_like(kernels)
        if self.gram != 0.0:
            result += (self.gram * self.scale) * self.correlation.adjoint(self.correlation.forward(kernels))
        if self.rank_one != 0.0:
            overlap = np.tensordot(kernels, image_sum, axes=2)
            result += self.rank_one * overlap[..., None, None] * image_sum
        return result

    def loss_and_gradient(self, kernels: Array, weight_decay: Array | float = 0.0) -> tuple[Array, Array]:
        """Return the quadratic loss that this PDE descends, shape (...), and its gradient, (..., W, W).

        The loss is offset + s <D, K> + <K, (Z + alpha) K> / 2; the gradient minus the PDE's right-hand side.
        """
        alpha = np.asarray(weight_decay, kernels.dtype)[..., None, None]
        source = np.asarray(self.source * self._image_sum)
        force = self.apply(kernels) + alpha * kernels
        loss = self.offset + np.sum(kernels * (0.5 * force + source), axis=(-2, -1))
        return loss, force + source

    def symbol(self) -> Array:
        """Return the Fourier symbol of Z for an infinite window, shape (N, N): g |I^|^2 + rho N^2 I-bar^2 at 0.

        Theorem 5.3, and appendices D.4 and D.5 for the term at frequency 0. The DFT is unnormalised.
        """
        image = self.correlation.image.astype(np.float64)
        power = np.abs(scipy.fft.fft2(image)) ** 2
        symbol: Array = self.gram * self.scale * power + 0.0  # no negative zeros
        # D is constant, I-bar, on all N^2 entries, so D D^T has the one eigenvalue N^2 I-bar^2, at frequency 0.
        symbol[0, 0] += self.rank_one * self.scale**2 * image.size * power[0, 0]
        return symbol

    def amplification(self, lr: float, weight_decay: float) -> Array:
        """Return the amplification factor A(omega) = 1 - lr (alpha + Z^(omega)), shape (N, N), of theorem 5.3.

        Axes are DFT indices, `numpy.fft.fftshift` centres them. Forward Euler, that is plain gradient descent.
        """
        return 1.0 - lr * (weight_decay + self.symbol())

    def spectrum(self, window: str) -> Spectrum:
        """Return the extreme modes of Z for a ``window``: "infinite" (Fourier symbol), "pixel" or "exact".

        "exact" is the operator on the W x W kernel. "pixel" is a kernel of one entry (eq. 19): by Parseval, the
        symbol |I^|^2 is replaced by its mean over the frequencies.
        """
        if window == "infinite":
            return symbol_extremes(self.symbol())
        corr = self.correlation
        side = 1 if window == "pixel" else corr.kernel
        double = type(corr)(corr.image.astype(np.float64), side, corr.boundary)
        linear = Linearisation(self.regime, double, self.scale, self.gram, self.rank_one, 0.0, 0.0)
        return eigenvalue_extremes(linear.apply, side, linear.norm_bound())

    def norm_bound(self) -> float:
        """Return an upper bound on the operator norm of Z: the symbol's maximum, and the length of D."""
        corr = self.correlation
        n = corr.image.shape[0] if corr.boundary == "circular" else corr.image.shape[0] + corr.kernel - 1
        power = np.abs(scipy.fft.rfft2(corr.image.astype(np.float64), s=(n, n))) ** 2
        bound = abs(self.gram) * self.scale * power.max() + abs(self.rank_one) * np.sum(self._image_sum**2)
        return float(bound)
