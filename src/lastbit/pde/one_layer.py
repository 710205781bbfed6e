"""The one-layer convolutional network of the paper's section 5, its gradient, its linearisations and its bounds."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from math import isfinite

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from lastbit.errors import LastbitError
from lastbit.pde.bounds import Bounds, stability_bounds
from lastbit.pde.correlation import METHODS, Correlation, choose_correlation
from lastbit.pde.head import PooledHead, regime_shares, swish, swish_and_slope, swish_curvature
from lastbit.pde.linearisation import Evaluation, Linearisation
from lastbit.pde.momentum import Momentum
from lastbit.pde.spectrum import Hessian, Spectrum

Array = NDArray[np.floating]


@dataclass(frozen=True, eq=False)
class OneLayerCNN(PooledHead):
    """f(K) = sigmoid(P), P = pool(r(I * K)): one image I, one kernel K, Swish r, cross-correlation * (eq. 6-7).

    The loss is l(y, f) + (weight decay / 2) |K|^2. Everything is computed in the image's precision, float32 or
    float64; kernels are converted to it. Kernels may carry leading batch axes, (..., W, W); a weight decay of
    shape (...) then gives each its own.

    Args:
        image: I, a square matrix of finite numbers, (N, N).
        kernel: W, the side of the kernel, 1 ... N.
        label: y, 0 or 1.
        beta: Swish's steepness, not negative.
        pool: "sum", as in the paper's analysis, or "mean", as in its non-linear experiments.
        boundary: "valid", "same" (zero padding, the odd zero at the end) or "circular".
        objective: l, "cross-entropy" or "squared", (f - y)^2.
        method: how correlations are computed: "fft", "direct" (a product with the image's distinct patches), or
            "auto", whichever should be faster. They agree to rounding.

    Raises:
        LastbitError: an argument is out of range.
    """

    image: NDArray[np.floating]  # (N, N), read-only
    kernel: int = 32
    label: int = 1
    beta: float = 1.0
    pool: str = "sum"
    boundary: str = "valid"
    objective: str = "cross-entropy"
    method: str = "auto"

    def __post_init__(self) -> None:
        self._check_head(method=METHODS)
        size = self.image.shape[0]
        if not 1 <= self.kernel <= size:
            raise LastbitError(f"the kernel must be 1 ... {size} pixels wide (the image's size), not {self.kernel}")

    @property
    def saturating(self) -> bool:
        """True: Swish's slope and the residual are bounded, so only weight decay can cause a blow-up."""
        return True

    @cached_property
    def correlation(self) -> Correlation:
        """The correlation with the image; its transform or patches are computed once."""
        return choose_correlation(self.image, self.kernel, self.boundary, self.method)

    @cached_property
    def scale(self) -> float:
        """What pooling multiplies the sum over output positions by: 1 for a sum, 1 / M for a mean."""
        return self.pool_weight(self.correlation.positions)

    def loss(self, kernels: ArrayLike, weight_decay: ArrayLike = 0.0) -> Array:
        """Return the loss, shape (...)."""
        return self.loss_and_gradient(kernels, weight_decay)[0]

    def gradient(self, kernels: ArrayLike, weight_decay: ArrayLike = 0.0) -> Array:
        """Return the gradient in the kernel, a I * r'(I * K) + alpha K on the window (eq. 8-9), (..., W, W)."""
        return self.loss_and_gradient(kernels, weight_decay)[1]

    def evaluate(self, kernels: ArrayLike, weight_decay: ArrayLike = 0.0) -> Evaluation:
        """Return loss, gradient and responses for one forward and one backward pass."""
        k, correlation = self._checked_kernels(kernels), self.correlation
        response = correlation.forward(k)
        activation, slope = swish_and_slope(response, self.beta)
        loss, gradient = self._complete(k, weight_decay, correlation.total(activation), correlation.adjoint(slope))
        return Evaluation(loss, gradient, response)

    def loss_and_gradient(self, kernels: ArrayLike, weight_decay: ArrayLike = 0.0) -> tuple[Array, Array]:
        """Return the loss, (...), and the gradient, (..., W, W), of a batch of kernels, tile by tile of positions."""
        k = self._checked_kernels(kernels)
        total, gathered = np.zeros(k.shape[:-2], self.dtype), np.zeros_like(k)
        scratch: Array | None = None
        for tile in self.correlation.tiles:
            response = tile.forward(k)
            if scratch is None or scratch.shape[1:] != response.shape:  # the last tile may be smaller
                scratch = np.empty((3, *response.shape), self.dtype)
            activation, slope = swish_and_slope(response, self.beta, scratch)
            total += tile.total(activation)
            gathered += tile.adjoint(slope)
        return self._complete(k, weight_decay, total, gathered)

    def _complete(self, k: Array, weight_decay: ArrayLike, total: Array, gathered: Array) -> tuple[Array, Array]:
        """Loss and gradient from the sum of r(z) over all positions and from I * r'(z), (..., W, W), overwritten."""
        alpha, pooled = np.asarray(weight_decay, self.dtype), total * self.dtype.type(self.scale)
        loss = self.data_loss(pooled) + 0.5 * alpha * np.sum(k * k, axis=(-2, -1))
        residual = np.asarray(self.scale * self.loss_slope(pooled), self.dtype)
        gathered *= residual[..., None, None]
        gathered += alpha[..., None, None] * k
        return loss, gathered

    def pooled(self, kernels: ArrayLike) -> Array:
        """Return the pooled response P, shape (...); the network's output is sigmoid(P)."""
        return self._pool(swish(self.response(kernels), self.beta))

    def response(self, kernels: ArrayLike) -> Array:
        """Return z = I * K at the distinct output positions, shape (..., U); see `correlation`."""
        return self.correlation.forward(self._checked_kernels(kernels))

    def shares(self, response: Array) -> Array:
        """Return the shares of positions that are activated, transitioning and not activated, (..., 3)."""
        return regime_shares(response, self.beta, self.correlation)

    def residual(self, pooled: ArrayLike = 0.0) -> Array:
        """Return a = dl/dP at a pooled response, in float64; by default that of an untrained network."""
        return self.loss_slope(np.asarray(pooled, np.float64))

    def hessian(self, kernel: ArrayLike, weight_decay: float = 0.0) -> Hessian:
        """Return the loss's exact Hessian at a kernel (W, W), in float64."""
        net = self.astype(np.float64)
        response = net.response(kernel)
        activation, slope = swish_and_slope(response, self.beta)
        pooled = net._pool(activation)
        return Hessian(
            correlation=net.correlation,
            weights=float(self.residual(pooled)) * self.scale * swish_curvature(response, self.beta),
            pooled_gradient=self.scale * net.correlation.adjoint(slope),
            curvature=float(self.loss_curvature(pooled)),
            weight_decay=weight_decay,
        )

    def hessian_extremes(self, kernel: ArrayLike, weight_decay: float = 0.0, start: Spectrum | None = None) -> Spectrum:
        """Return the extreme modes of the Hessian; the highest eigenvalue is the sharpness."""
        return self.hessian(kernel, weight_decay).spectrum(start)

    def astype(self, dtype: DTypeLike) -> OneLayerCNN:
        """Return this network in another precision; itself if it is that already."""
        if np.dtype(dtype) == self.dtype:
            return self
        if np.dtype(dtype) == np.float64:
            return self._double
        return replace(self, image=self.image.astype(dtype))

    def transitioning(self, residual: float | None = None) -> Linearisation:
        """Return the linear PDE around I * K = 0 with the residual a held constant (theorem 5.2).

        Args:
            residual: a; by default its value at an untrained network's P = 0, which is 1/2 - y for cross-entropy.

        Raises:
            LastbitError: the residual is not finite.
        """
        a = float(self.residual()) if residual is None else float(residual)
        if not isfinite(a):
            raise LastbitError(f"the residual must be finite, not {residual}")
        offset = float(self.data_loss(0.0))
        return self._linear("transitioning", gram=a * self.beta / 2.0, source=a / 2.0, offset=offset)

    def transitioning_moving_residual(self, pooled: float = 0.0) -> Linearisation:
        """Return the linear PDE around I * K = 0 with the residual linear in K (appendix D.4).

        a(P) is replaced by its tangent at ``pooled`` and P by its linear part <D, K> / 2. That shifts the constant
        part to a - a' P, of either sign, and adds the rank-one term (a'/4) D D^T. At ``pooled`` = 0 it is the exact
        first-order expansion of the gradient at K = 0.
        """
        a, slope, offset = self.slope_tangent(pooled)
        return self._linear("transitioning", a * self.beta / 2.0, slope / 4.0, a / 2.0, offset)

    def activated(self, pooled: float = 0.0) -> Linearisation:
        """Return the linear PDE where I * K is far above 0: r(z) = z, and a linear around ``pooled`` (appendix D.5)."""
        a, slope, offset = self.slope_tangent(pooled)
        return self._linear("activated", rank_one=slope, source=a, offset=offset)

    def not_activated(self) -> Linearisation:
        """Return the linear PDE where I * K is far below 0: nothing but weight decay."""
        return self._linear("not activated", offset=float(self.data_loss(0.0)))

    def linearisations(self) -> tuple[Linearisation, ...]:
        """Return the linear PDEs of the three regimes (table 3), around an untrained network's P = 0."""
        return self.transitioning(), self.activated(), self.not_activated()

    def bounds(
        self,
        *,
        lr: float | None = None,
        weight_decay: float | None = None,
        window: str = "exact",
        residual: float | None = None,
        momentum: float = 0.0,
        nesterov: bool = False,
        damping_free: bool = False,
    ) -> Bounds:
        """Return the stable weight decays at a learning rate, or learning rates at a weight decay (theorems 5.4, 5.6).

        They are those of the transitioning regime; `lastbit.pde.bisection` has the other two (table 3).
        On a constant image every frequency but 0 vanishes: one bound is that of the kernel's mean, the other that of
        weight decay alone. On a zero image both are those of weight decay alone.

        Args:
            lr: the learning rate; then the bounds are on weight decay. Give exactly one of lr and weight_decay.
            weight_decay: the weight decay; then the bounds are on the learning rate.
            window: "infinite" (the paper's Fourier bounds, eq. 14), "pixel" (a kernel of one entry, eq. 19) or
                "exact" (the extreme eigenvalues of the operator on the W x W kernel).
            residual: a, negative for label 1; by default its value at an untrained network's P = 0.
            momentum: mu, see `Momentum`.
            nesterov: whether the momentum is Nesterov's.
            damping_free: take the paper's bound that holds for every damping, dt^2 z <= 4/3, for Nesterov's edge.

        Raises:
            LastbitError: an argument is out of range.
        """
        scheme = Momentum(momentum, nesterov)
        edge = scheme.damping_free_edge if damping_free else scheme.edge
        linear = self.transitioning(residual)
        return stability_bounds(linear, window=window, edge=edge, lr=lr, weight_decay=weight_decay)

    @cached_property
    def _double(self) -> OneLayerCNN:
        # Kept, so that a float32 run whose Hessian is measured at every step transforms the image once.
        return replace(self, image=self.image.astype(np.float64))

    def _linear(
        self, regime: str, gram: float = 0.0, rank_one: float = 0.0, source: float = 0.0, offset: float = 0.0
    ) -> Linearisation:
        return Linearisation(regime, self.correlation, self.scale, gram, rank_one, source, offset, self.beta)

    def _pool(self, activation: Array) -> Array:
        return np.asarray(self.correlation.total(activation) * self.dtype.type(self.scale))

    def _checked_kernels(self, kernels: ArrayLike) -> Array:
        k: Array = np.asarray(kernels, self.image.dtype)
        if k.shape[-2:] != (self.kernel, self.kernel):
            raise LastbitError(f"kernels must be of shape (..., {self.kernel}, {self.kernel}), not {k.shape}")
        return k
