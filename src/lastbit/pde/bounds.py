"""Stability bounds on weight decay and learning rate (paper, theorems 5.4 and 5.6, eq. 14, 18 and 19).

A mode of the linear PDE with eigenvalue z of Z has gain lr (alpha + z). Its amplification factor does not exceed 1
in magnitude iff the gain lies between 0 and the scheme's edge (2 for plain gradient descent). All modes are stable
iff both extreme ones are:

    given lr         max(0, -z_lowest) < alpha < edge / lr - z_highest
    given alpha      0 < lr < edge / (alpha + z_highest),   provided alpha + z_lowest >= 0

With Z = (a beta / 2) G these are eq. 14 for both signs of a: for a < 0 the lowest mode is G's highest.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, isfinite

from lastbit.errors import LastbitError
from lastbit.pde.linearisation import Linearisation
from lastbit.pde.spectrum import Mode, Spectrum


@dataclass(frozen=True, eq=False)
class Bounds:
    """The open interval of weight decays, or of learning rates, for which a linear PDE is stable.

    The interval is empty when ``lower >= upper``; each number still states its own condition.
    """

    quantity: str  # "weight_decay" or "lr": what is bounded
    regime: str  # of the activation, whose linear PDE is bounded: "transitioning", "activated" or "not activated"
    window: str  # "infinite", "pixel" or "exact"
    edge: float  # the largest stable gain of the scheme
    lower: float
    upper: float  # inf when nothing bounds it
    lower_critical: Mode  # the mode whose amplification factor passes +1, where weight decay is too small
    upper_critical: Mode  # the mode that passes the scheme's edge (-1), where the step is too large

    @property
    def empty(self) -> bool:
        """Whether no value is stable."""
        return not self.lower < self.upper

    def __contains__(self, value: float) -> bool:
        """Return whether ``value`` lies strictly inside."""
        return self.lower < value < self.upper


def stability_bounds(
    linear: Linearisation, *, window: str, edge: float, lr: float | None = None, weight_decay: float | None = None
) -> Bounds:
    """Return the bounds of a linear PDE on weight decay given ``lr``, or on lr given ``weight_decay``.

    Args:
        linear: the linear PDE of a regime.
        window: "infinite", "pixel" or "exact", see `Linearisation.spectrum`.
        edge: the largest stable gain of the scheme, see `Momentum.edge`.
        lr: the learning rate.
        weight_decay: the weight decay.

    Raises:
        LastbitError: not exactly one of the two is given, or it is out of range.
    """
    if (lr is None) == (weight_decay is None):
        raise LastbitError("give exactly one of lr and weight_decay; the bounds are on the other")
    if lr is not None:
        check_lr(lr)
        return weight_decay_bounds(linear.spectrum(window), lr, edge, regime=linear.regime, window=window)
    assert weight_decay is not None
    check_weight_decay(weight_decay)
    return lr_bounds(linear.spectrum(window), weight_decay, edge, regime=linear.regime, window=window)


def weight_decay_bounds(spectrum: Spectrum, lr: float, edge: float, *, regime: str, window: str) -> Bounds:
    """Return the bounds on weight decay at a learning rate; the lower one is at least 0.

    Raises:
        LastbitError: the learning rate is not positive and finite.
    """
    check_lr(lr)
    lower = max(0.0, -spectrum.lowest.value)
    upper = edge / lr - spectrum.highest.value
    return Bounds("weight_decay", regime, window, edge, lower, upper, spectrum.lowest, spectrum.highest)


def lr_bounds(spectrum: Spectrum, weight_decay: float, edge: float, *, regime: str, window: str) -> Bounds:
    """Return the bounds on the learning rate at a weight decay.

    When the weight decay is too small for the lowest mode, that mode grows at every learning rate, and the
    interval is (0, 0). A mode of gain exactly 0 neither grows nor decays, and counts as stable.

    Raises:
        LastbitError: the weight decay is negative or not finite.
    """
    check_weight_decay(weight_decay)
    lowest, highest = weight_decay + spectrum.lowest.value, weight_decay + spectrum.highest.value
    upper = edge / highest if highest > 0.0 else inf
    if lowest < -spectrum.lowest.residual:
        upper = 0.0
    return Bounds("lr", regime, window, edge, 0.0, upper, spectrum.lowest, spectrum.highest)


def check_lr(lr: float) -> float:
    """Return ``lr``; raise LastbitError unless it is positive and finite."""
    if not (isfinite(lr) and lr > 0.0):
        raise LastbitError(f"the learning rate must be positive and finite, not {lr}")
    return lr


def check_weight_decay(weight_decay: float) -> float:
    """Return ``weight_decay``; raise LastbitError unless it is finite and not negative."""
    if not (isfinite(weight_decay) and weight_decay >= 0.0):
        raise LastbitError(f"weight decay must be finite and at least 0, not {weight_decay}")
    return weight_decay
