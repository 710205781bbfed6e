"""The paper's network of L convolutions, the gradient of all its kernels, and the bounds of each (section 5.5).

    h_0 = I,   z_l = h_{l-1} * K_l,   h_l = r(z_l),   f = sigmoid(pool(h_L)),

with * the cross-correlation and r Swish. Theorem 5.7 and appendix F give the gradient in K_l,

    a h_{l-1} * (g_l r'(z_l)) + alpha K_l,   g_L = d pool / dh_L,   g_{l-1} = (g_l r'(z_l)) convolved with K_l,

with a the loss's slope in the pooled response. It has the form of the one-layer gradient: while g_l is constant, layer
l obeys the one-layer bounds with h_{l-1} for the image and a g_l for the residual.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lastbit.errors import LastbitError
from lastbit.pde.bounds import Bounds, stability_bounds
from lastbit.pde.correlation import FourierCorrelation
from lastbit.pde.head import PooledHead, swish_and_slope
from lastbit.pde.linearisation import Linearisation
from lastbit.pde.momentum import Momentum

Array = NDArray[np.floating]

# r' in each regime of the activation (paper, table 3): z near 0, z >> 0 and z << 0.
REGIME_SLOPES = {"transitioning": 0.5, "activated": 1.0, "not activated": 0.0}


@dataclass(frozen=True, eq=False)
class LayerState:
    """One layer at the network's present kernels."""

    correlation: FourierCorrelation  # with the layer's input h_{l-1}, (N_l, N_l)
    response: Array  # z_l, (M_l, M_l)
    output: Array  # h_l = r(z_l), (M_l, M_l)
    slope: Array  # r'(z_l), (M_l, M_l)

    @property
    def input(self) -> Array:
        """The layer's input h_{l-1}, (N_l, N_l)."""
        return self.correlation.image


@dataclass(frozen=True, eq=False)
class MultiLayerCNN(PooledHead):
    """The L-layer network at given kernels, computed in the image's precision, float32 or float64.

    Layers are numbered from 1, as in the paper. To take a step, `dataclasses.replace` the kernels. A network that
    has blown up returns infinities and NaN, without warnings.

    Args:
        image: I, a square matrix of finite numbers, (N, N).
        kernels: K_1 ... K_L, square, each no larger than its layer's input.
        label: y, 0 or 1.
        beta: Swish's steepness, not negative.
        pool: "sum", as in the paper's analysis, or "mean", as in its non-linear experiments.
        boundary: "valid", "same" (zero padding) or "circular".
        objective: l, "cross-entropy" or "squared", (f - y)^2.

    Raises:
        LastbitError: an argument is out of range.
    """

    image: Array  # (N, N), read-only
    kernels: Sequence[Array]  # K_1 ... K_L, each (W_l, W_l), read-only
    label: int = 1
    beta: float = 1.0
    pool: str = "sum"
    boundary: str = "valid"
    objective: str = "cross-entropy"

    def __post_init__(self) -> None:
        self._check_head()
        kernels = tuple(_checked_kernel(number, k, self.dtype) for number, k in enumerate(self.kernels, 1))
        object.__setattr__(self, "kernels", kernels)
        if not self.kernels:
            raise LastbitError("there are no kernels; a network has at least one layer")
        side = self.image.shape[0]
        for number, kernel in enumerate(self.kernels, 1):
            if len(kernel) > side:
                raise LastbitError(f"kernel {number} is {len(kernel)} wide, wider than its layer's {side}-pixel input")
            side -= len(kernel) - 1 if self.boundary == "valid" else 0

    @cached_property
    def layers(self) -> tuple[LayerState, ...]:
        """The states of layers 1 ... L, computed once."""
        states: list[LayerState] = []
        with np.errstate(over="ignore", invalid="ignore"):
            for kernel in self.kernels:
                state = self._layer(states[-1].output if states else self.image, kernel)
                states.append(state)
        return tuple(states)

    def _layer(self, incoming: Array, kernel: Array) -> LayerState:
        correlation = FourierCorrelation(incoming, len(kernel), self.boundary)
        response = correlation.forward(kernel).reshape(correlation.side, correlation.side)
        return LayerState(correlation, response, *swish_and_slope(response, self.beta))

    @property
    def pooled(self) -> float:
        """The pooled response P, the logit of the network's output."""
        with np.errstate(over="ignore", invalid="ignore"):
            return self.pool_weight(self.layers[-1].output.size) * float(self.layers[-1].output.sum())

    @property
    def residual(self) -> float:
        """The paper's a: the slope of the loss in P, f - y for cross-entropy."""
        return float(self.loss_slope(self.pooled))

    def loss(self, weight_decay: float = 0.0) -> float:
        """The loss, with weight_decay / 2 times the sum of all kernels' squares."""
        with np.errstate(over="ignore", invalid="ignore"):
            squares = sum(float(np.vdot(kernel, kernel)) for kernel in self.kernels)
            return float(self.data_loss(self.pooled)) + 0.5 * weight_decay * squares

    def gradients(self, weight_decay: float = 0.0) -> tuple[Array, ...]:
        """Gradients of the loss in K_1 ... K_L (Theorem 5.7, eq. 23)."""
        with np.errstate(over="ignore", invalid="ignore"):
            return tuple(
                self.residual * state.correlation.adjoint((signal * state.slope).reshape(-1)) + weight_decay * kernel
                for state, signal, kernel in zip(self.layers, self.signals(), self.kernels, strict=True)
            )

    def signals(self, regime: str | None = None) -> tuple[Array, ...]:
        """Backpropagated signals g_1 ... g_L, g_l = dP/dh_l, each of the shape of its layer's output (eq. 24).

        Args:
            regime: hold r' at its value in this regime, "transitioning" (1/2), "activated" (1) or "not activated"
                (0), in the layers above, as the paper does to argue that g_l does not depend on K_l (eq. 25); by
                default r' is that of the present kernels.
        """
        slopes = [state.slope for state in self.layers]
        if regime is not None:
            slopes = [np.full_like(slope, _regime_slope(regime)) for slope in slopes]
        signals = [np.full_like(slopes[-1], self.pool_weight(slopes[-1].size))]
        with np.errstate(over="ignore", invalid="ignore"):
            for slope, kernel in zip(slopes[:0:-1], self.kernels[:0:-1], strict=True):
                signals.append(_convolved(signals[-1] * slope, kernel, self.boundary))
        return tuple(reversed(signals))

    def mean_signal(self, layer: int, regime: str | None = "transitioning") -> float:
        """The paper's constant for g_l: the arithmetic mean over all output positions of the layer.

        See `signals` for the regime of the layers above.
        """
        return float(self.signals(regime)[self._index(layer)].mean())

    def bounds(
        self,
        layer: int,
        *,
        lr: float | None = None,
        weight_decay: float | None = None,
        window: str = "exact",
        signal: float | None = None,
        residual: float | None = None,
        momentum: float = 0.0,
        nesterov: bool = False,
    ) -> Bounds:
        """Bounds on a layer's weight decay at a learning rate, or on its learning rate at a weight decay.

        The one-layer bounds of the transitioning regime (Theorem 5.4; Theorem 5.6 for momentum) with h_{l-1} for the
        image and a times a constant for a. They leave out the curvature of the layers above as K_l moves. That term
        grows with the power of their kernels; `layer_bounds` includes it.

        Args:
            layer: its number, from 1.
            lr: the learning rate; give this or the weight decay.
            weight_decay: the weight decay.
            window: "infinite", "pixel" or "exact", as for `OneLayerCNN.bounds`.
            signal: the constant for g_l, `mean_signal(layer)` by default. The strictest, which the paper would choose
                to be safe, is an extreme of `signals("transitioning")`.
            residual: a, by default the network's own.
            momentum: mu, see `Momentum`.
            nesterov: whether the momentum is Nesterov's.

        Raises:
            LastbitError: an argument is out of range, the layer's input is not finite, or not exactly one of lr and
                weight_decay is given.
        """
        linear, edge = self._linearisation(layer, signal, residual), Momentum(momentum, nesterov).edge
        return stability_bounds(linear, window=window, edge=edge, lr=lr, weight_decay=weight_decay)

    def _linearisation(self, layer: int, signal: float | None, residual: float | None) -> Linearisation:
        """The linear PDE of one layer, (a g beta / 2) times the Gram operator of its input, without the source."""
        correlation = self.layers[self._index(layer)].correlation
        constant = self.mean_signal(layer) if signal is None else signal
        slope = self.residual if residual is None else residual
        if not (np.isfinite(correlation.image).all() and np.isfinite(constant * slope)):
            raise LastbitError(f"the input or the signal of layer {layer} is not finite: the network has blown up")
        return Linearisation("transitioning", correlation, 1.0, slope * constant * self.beta / 2, 0.0, 0.0, 0.0)

    def _index(self, layer: int) -> int:
        if not 1 <= layer <= len(self.kernels):
            raise LastbitError(f"layer is {layer}; layers are numbered 1 to {len(self.kernels)}")
        return layer - 1


def _convolved(signal: Array, kernel: Array, boundary: str) -> Array:
    """True convolution, the adjoint of correlating with the kernel in the layer's input."""
    from scipy.signal import fftconvolve  # imported here, because it takes half a second

    full: Array = fftconvolve(signal, kernel)
    if boundary == "valid":
        return full
    margin = len(kernel) - 1
    if boundary == "same":
        first = margin // 2
        return full[first : first + len(signal), first : first + len(signal)]
    for axis in (0, 1):  # periodic: what leaves on one side enters on the other
        tail, full = np.split(np.moveaxis(full, axis, 0), [len(signal)])[::-1]
        full = full.copy()
        full[:margin] += tail
        full = np.moveaxis(full, 0, axis)
    return full


def _regime_slope(regime: str) -> float:
    if regime not in REGIME_SLOPES:
        raise LastbitError(f"regime is {regime!r}; it must be one of {', '.join(REGIME_SLOPES)}")
    return REGIME_SLOPES[regime]


def _checked_kernel(number: int, kernel: ArrayLike, dtype: np.dtype[np.floating]) -> Array:
    """A kernel in the image's precision; NaN and infinities are allowed, because divergence is a result."""
    array: Array = np.array(kernel, dtype=dtype)
    if array.ndim != 2 or array.shape[0] != array.shape[1] or array.size == 0:
        raise LastbitError(f"kernel {number} has shape {array.shape}; it must be a square matrix")
    array.setflags(write=False)
    return array
