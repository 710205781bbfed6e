"""The stability bounds of all three regimes of the activation (paper, table 3)."""

from __future__ import annotations

from lastbit.pde.bounds import Bounds, stability_bounds
from lastbit.pde.momentum import Momentum
from lastbit.pde.one_layer import OneLayerCNN


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
