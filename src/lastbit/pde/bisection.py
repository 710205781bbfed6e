"""The bounds of a network: of theory in all three regimes, and those between which simulations stay stable.

The regimes are those of the paper's table 3; the bounds of linear simulations are found by bisection, as for its tables
2 and 9.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lastbit.errors import LastbitError
from lastbit.pde.bounds import Bounds, check_lr, stability_bounds
from lastbit.pde.linearisation import Linearisation
from lastbit.pde.momentum import Momentum
from lastbit.pde.one_layer import OneLayerCNN
from lastbit.pde.simulation import check_start, check_steps

Array = NDArray[np.floating]


@dataclass(frozen=True, eq=False)
class EmpiricalBounds:
    """The weight decays at which simulations turn from stable to unstable."""

    lower: float  # the smallest stable weight decay; 0 if no weight decay is needed
    upper: float  # the largest stable weight decay; NaN, like ``lower``, if there is none
    tolerance: float  # relative width to which each was bracketed
    simulations: int  # simulations run
    steps: int  # updates of each

    @property
    def empty(self) -> bool:
        """Whether no weight decay was stable."""
        return bool(np.isnan(self.lower))


def empirical_bounds(
    linear: Linearisation,
    kernel: ArrayLike,
    *,
    lr: float,
    steps: int = 1000,
    momentum: float = 0.0,
    nesterov: bool = False,
    tolerance: float = 1e-3,
) -> EmpiricalBounds:
    """Bisect the weight decays at which simulations of a linear PDE turn unstable.

    The search does not use the theory. It looks for a weight decay at which the simulated kernel shrinks, then bisects
    on either side. The growth is a convex function of the weight decay (for plain descent the larger of two moduli of
    affine functions), so a golden-section search finds that point. A finite run shows a mode only as far as it grows:
    with T steps the gain lr (alpha + z) at the bounds is off by a few over T, unless other modes have died out by then.

    Args:
        linear: the linear PDE, for instance `OneLayerCNN.transitioning`. Its source only moves the fixed point, and is
            left out.
        kernel: the initial kernel, (W, W); it must not be orthogonal to the mode that becomes unstable first.
        lr: the learning rate.
        steps: updates of each simulation.
        momentum: mu, see `Momentum`.
        nesterov: whether the momentum is Nesterov's.
        tolerance: relative width to which to bracket each bound.

    Raises:
        LastbitError: an argument is out of range, or the kernel is zero.
    """
    check_lr(lr)
    check_steps(steps)
    if not 0.0 < tolerance < 1.0:
        raise LastbitError(f"the tolerance must lie between 0 and 1, not {tolerance}")
    start = check_start(linear, kernel)
    if not start.any():
        raise LastbitError("the initial kernel must not be zero: nothing would grow")
    probe = _Probe(linear, start, lr, Momentum(momentum, nesterov), steps)
    inside = _find_stable(probe, tolerance)
    if inside is None:
        return EmpiricalBounds(np.nan, np.nan, tolerance, probe.simulations, steps)
    lower = 0.0 if probe.stable(0.0) else _bisect(probe, inside, 0.0, tolerance)
    upper = _bisect(probe, inside, _unstable_above(probe, inside), tolerance)
    return EmpiricalBounds(lower, upper, tolerance, probe.simulations, steps)


@dataclass
class _Probe:
    """Source-free simulations at given weight decays, counted."""

    linear: Linearisation
    start: Array
    lr: float
    scheme: Momentum
    steps: int
    simulations: int = 0

    def growth(self, weight_decay: float) -> float:
        """Return the logarithm of the kernel's growth over the last quarter of a run."""
        self.simulations += 1
        kernel, buffer, growth = self.start / np.linalg.norm(self.start), None, 0.0
        for step in range(self.steps):
            gradient = self.linear.apply(kernel) + weight_decay * kernel
            direction, buffer = self.scheme.advance(gradient, buffer)
            kernel = kernel - self.lr * direction
            size = float(np.linalg.norm(kernel))
            if size == 0.0:
                return -np.inf
            # The run is linear, so it can be rescaled as it goes: it neither overflows nor underflows.
            kernel, buffer = kernel / size, buffer / size
            if step >= 3 * self.steps // 4:
                growth += float(np.log(size))
        return growth

    def stable(self, weight_decay: float) -> bool:
        """Whether no mode has grown at this weight decay."""
        # A mode of gain 0 neither grows nor decays, and counts as stable, as in the theory: allow for rounding.
        return self.growth(weight_decay) <= 1e-13 * self.steps


def _unstable_above(probe: _Probe, inside: float) -> float:
    """Return an unstable weight decay above a stable one."""
    outside = max(2.0 * inside, 1.0 / probe.lr)
    while probe.stable(outside):
        outside *= 2.0
    return outside


def _find_stable(probe: _Probe, tolerance: float) -> float | None:
    """Return a stable weight decay by golden-section search for the least growth, or None if there is none."""
    low, high = 0.0, 1.0 / probe.lr
    while (growth := probe.growth(high)) > 0.0 and probe.growth(2.0 * high) < growth:
        high *= 2.0
    if growth < 0.0:
        return high
    high *= 2.0
    ratio = (sqrt(5.0) - 1.0) / 2.0
    left, right = high - ratio * (high - low), low + ratio * (high - low)
    at_left, at_right = probe.growth(left), probe.growth(right)
    while min(at_left, at_right) >= 0.0 and high - low > tolerance * high:
        if at_left < at_right:
            high, right, at_right = right, left, at_left
            left = high - ratio * (high - low)
            at_left = probe.growth(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + ratio * (high - low)
            at_right = probe.growth(right)
    if min(at_left, at_right) >= 0.0:
        return None
    return left if at_left < at_right else right


def _bisect(probe: _Probe, inside: float, outside: float, tolerance: float) -> float:
    """Return the stable end of a bracket between a stable and an unstable weight decay."""
    while abs(outside - inside) > tolerance * max(inside, outside):
        middle = (inside + outside) / 2.0
        if probe.stable(middle):
            inside = middle
        else:
            outside = middle
    return inside


def regime_bounds(
    net: OneLayerCNN,
    *,
    lr: float | None = None,
    weight_decay: float | None = None,
    window: str = "exact",
    residual: float | None = None,
    pooled: float = 0.0,
    momentum: float = 0.0,
    nesterov: bool = False,
) -> tuple[Bounds, Bounds, Bounds]:
    """Return the bounds of the transitioning, the activated and the not activated regime, in this order.

    Where all three hold, a path is stable in every regime that it passes through. Where only the transitioning regime's
    fail, the other two can restrain the path. In the not activated regime only weight decay acts: lr alpha < 2 for
    plain descent.

    Args:
        net: the network.
        lr: the learning rate; then the bounds are on weight decay. Give exactly one of lr and weight_decay.
        weight_decay: the weight decay; then the bounds are on the learning rate.
        window: "infinite", "pixel" or "exact", see `OneLayerCNN.bounds`.
        residual: a in the transitioning regime; by default its value at an untrained network's P = 0.
        pooled: P, around which the residual of the activated regime is linearised; its slope for cross-entropy is
            largest at 0.
        momentum: mu, see `Momentum`.
        nesterov: whether the momentum is Nesterov's.

    Raises:
        LastbitError: an argument is out of range.
    """
    edge = Momentum(momentum, nesterov).edge
    transitioning, activated, not_activated = (
        stability_bounds(linear, window=window, edge=edge, lr=lr, weight_decay=weight_decay)
        for linear in (net.transitioning(residual), net.activated(pooled), net.not_activated())
    )
    return transitioning, activated, not_activated
