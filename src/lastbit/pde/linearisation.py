"""The linear PDE of the one-layer network in each regime of its activation (paper, table 3 and appendix D).

Each is K_t = -(Z K + alpha K + s D) on the kernel's window, with Z = g G + rho D D^T, where G K = I * (I * K) is
the Gram operator of the image's patches, D(u) = sum_x I(x + u) the sum of the image as each kernel entry sees it
(the paper's I-bar, constant for an infinite window). Pooling by mean divides both by the number of output positions.
The regimes differ only in the three numbers g, rho and s. `Model` is what they have in common with the network itself.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol, Self

import numpy as np
import scipy.fft
from numpy.typing import ArrayLike, DTypeLike, NDArray

from lastbit.errors import LastbitError
from lastbit.pde.correlation import Correlation
from lastbit.pde.head import regime_shares
from lastbit.pde.spectrum import Spectrum, eigenvalue_extremes, symbol_extremes

Array = NDArray[np.floating]

WINDOWS = ("infinite", "pixel", "exact")


@dataclass(frozen=True, eq=False)
class Evaluation:
    """A model's loss, gradient and responses at kernels (..., W, W)."""

    loss: Array  # (...), weight decay included
    gradient: Array  # (..., W, W), weight decay included
    response: Array  # (..., U): z = I * K at the U distinct output positions


@dataclass(frozen=True, eq=False)
class Linearisation:
    """The linear PDE of one regime. Weight decay is no part of Z; it is an argument of the methods."""

    regime: str  # "transitioning", "activated" or "not activated"
    correlation: Correlation
    scale: float  # 1 when pooling by sum, 1 / M by mean
    gram: float  # g, the coefficient of G
    rank_one: float  # rho, the coefficient of D D^T
    source: float  # s, the coefficient of D
    offset: float  # at K = 0, the quadratic loss that this PDE descends
    beta: float = 1.0  # Swish's steepness, for the regime that the network would be in

    @property
    def kernel(self) -> int:
        """W, the side of the kernel."""
        return self.correlation.kernel

    @property
    def dtype(self) -> np.dtype[np.floating]:
        """The precision everything is computed in, the image's."""
        return self.correlation.image.dtype

    @property
    def saturating(self) -> bool:
        """False: nothing restrains a linear PDE."""
        return False

    @cached_property
    def _image_sum(self) -> Array:
        ones = np.ones(self.correlation.distinct, self.correlation.image.dtype)
        return self.scale * self.correlation.adjoint(ones)

    def apply(self, kernels: Array) -> Array:
        """Return Z K, shape (..., W, W): the linear operator without weight decay."""
        return self._operator(kernels, self.correlation.forward(kernels) if self.gram != 0.0 else None)

    def _operator(self, kernels: Array, response: Array | None) -> Array:
        result = np.zeros_like(kernels)
        if self.gram != 0.0 and response is not None:
            result += (self.gram * self.scale) * self.correlation.adjoint(response)
        if self.rank_one != 0.0:
            overlap = np.tensordot(kernels, self._image_sum, axes=2)
            result += self.rank_one * overlap[..., None, None] * self._image_sum
        return result

    def loss_and_gradient(self, kernels: ArrayLike, weight_decay: ArrayLike = 0.0) -> tuple[Array, Array]:
        """Return the quadratic loss that this PDE descends, shape (...), and its gradient, (..., W, W)."""
        now = self.evaluate(kernels, weight_decay)
        return now.loss, now.gradient

    def evaluate(self, kernels: ArrayLike, weight_decay: ArrayLike = 0.0) -> Evaluation:
        """Return the quadratic loss that this PDE descends, its gradient, and the responses I * K.

        The loss is offset + s <D, K> + <K, (Z + alpha) K> / 2; its gradient is minus the right-hand side of the PDE.
        """
        k: Array = np.asarray(kernels, self.dtype)
        alpha = np.asarray(weight_decay, self.dtype)[..., None, None]
        source = self.dtype.type(self.source) * self._image_sum
        response = self.correlation.forward(k)
        force = self._operator(k, response) + alpha * k
        loss = self.offset + np.sum(k * (0.5 * force + source), axis=(-2, -1), dtype=np.float64)
        return Evaluation(np.asarray(loss), force + source, response)

    def hessian_extremes(self, kernel: ArrayLike, weight_decay: float = 0.0, start: Spectrum | None = None) -> Spectrum:
        """Return the extreme modes of Z + alpha on the W x W kernel; they are the same at every kernel."""
        del kernel, start
        return self._exact_spectrum.shifted(weight_decay)

    def shares(self, response: Array) -> Array:
        """Return the shares of positions that are activated, transitioning and not activated, (..., 3)."""
        return regime_shares(response, self.beta, self.correlation)

    def linearisations(self) -> tuple[Linearisation, ...]:
        """Return this linear PDE, the only one it passes through."""
        return (self,)

    def astype(self, dtype: DTypeLike) -> Linearisation:
        """Return the same linear PDE in another precision."""
        if np.dtype(dtype) == self.dtype:
            return self
        corr = self.correlation
        return replace(self, correlation=replace(corr, image=corr.image.astype(dtype)))

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

        Raises:
            LastbitError: an unknown window.
        """
        if window not in WINDOWS:
            raise LastbitError(f"window must be one of {', '.join(WINDOWS)}, not {window!r}")
        if window == "infinite":
            return symbol_extremes(self.symbol())
        return self._on_side(1)._exact_spectrum if window == "pixel" else self._exact_spectrum

    @cached_property
    def _exact_spectrum(self) -> Spectrum:
        double = self.astype(np.float64)
        return eigenvalue_extremes(double.apply, self.kernel, double.norm_bound())

    def _on_side(self, kernel: int) -> Linearisation:
        return replace(self, correlation=replace(self.correlation, kernel=kernel))

    def norm_bound(self) -> float:
        """Return an upper bound on the operator norm of Z."""
        gram = abs(self.gram) * self.scale * self.correlation.gram_bound
        return float(gram + abs(self.rank_one) * np.sum(self._image_sum**2))


class Model(Protocol):
    """A loss of a kernel under weight decay."""

    @property
    def kernel(self) -> int:
        """W, the side of the kernel."""

    @property
    def dtype(self) -> np.dtype[np.floating]:
        """The precision everything is computed in."""

    @property
    def correlation(self) -> Correlation:
        """The correlation with the image."""

    @property
    def saturating(self) -> bool:
        """Whether the data's pull on the kernel is bounded, so that only weight decay can drive a blow-up."""

    def astype(self, dtype: DTypeLike) -> Self:
        """Return the model in another precision."""

    def linearisations(self) -> tuple[Linearisation, ...]:
        """Return the linear PDEs that the model passes through."""

    def evaluate(self, kernels: ArrayLike, weight_decay: ArrayLike = 0.0) -> Evaluation:
        """Return loss, gradient and responses."""

    def loss_and_gradient(self, kernels: ArrayLike, weight_decay: ArrayLike = 0.0) -> tuple[Array, Array]:
        """Return the loss and the gradient alone, which is faster for a batch of kernels."""

    def shares(self, response: Array) -> Array:
        """Return the shares of positions activated, transitioning and not activated, shape (..., 3)."""

    def hessian_extremes(self, kernel: ArrayLike, weight_decay: float = 0.0, start: Spectrum | None = None) -> Spectrum:
        """Return the extreme modes of the Hessian at a kernel (W, W), starting from a nearby spectrum if given."""
