"""The regimes over a grid of learning rates and weight decays, with the theoretical bounds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray
from threadpoolctl import threadpool_limits

from lastbit.errors import LastbitError
from lastbit.pde.bounds import check_lr, check_weight_decay, weight_decay_bounds
from lastbit.pde.cells import run_cells
from lastbit.pde.linearisation import Linearisation
from lastbit.pde.model import Model
from lastbit.pde.momentum import Momentum
from lastbit.pde.simulation import check_start, check_steps, in_precision

Array = NDArray[np.floating]

# Largest size of the stored histories, in numbers: a larger grid or a longer run is computed in parts.
HISTORY = 2**24


@dataclass(frozen=True, eq=False)
class BoundCurve:
    """The stable weight decays of one regime's linear PDE, as curves over the learning rates."""

    regime: str  # "transitioning", "activated" or "not activated"
    window: str  # "infinite" or "exact"
    lower: Array  # (A,)
    upper: Array  # (A,): below ``lower`` where no weight decay is stable


@dataclass(frozen=True, eq=False)
class Phase:
    """The regimes of simulations over a grid of A learning rates and B weight decays."""

    lr: Array  # (A,)
    weight_decay: Array  # (B,)
    regimes: NDArray[np.int8]  # (A, B), indices into `lastbit.pde.REGIMES`
    blow_up_step: NDArray[
        np.int64
    ]  # (A, B): number of updates after which a run was not finite; -1 if it stayed finite
    curves: tuple[BoundCurve, ...]  # of each linear PDE that the model passes through, exact and infinite


def phase(
    model: Model,
    kernel: ArrayLike,
    *,
    lr: ArrayLike,
    weight_decay: ArrayLike,
    steps: int = 1000,
    momentum: float = 0.0,
    nesterov: bool = False,
    dtype: DTypeLike | None = None,
) -> Phase:
    """Simulate every cell of a grid from the same kernel and classify it by the rules of `classify`.

    The cells are advanced together, and finished ones are removed; see `run_cells`. Each cell computes what `simulate`
    does, up to the order in which sums are rounded.

    Args:
        model: a `OneLayerCNN`, or one of its linearisations.
        kernel: the initial kernel, (W, W).
        lr: the learning rates, (A,).
        weight_decay: the weight decays, (B,).
        steps: number of updates of each run.
        momentum: mu, see `Momentum`.
        nesterov: whether the momentum is Nesterov's.
        dtype: "float32" or "float64"; by default the model's precision.

    Raises:
        LastbitError: the grid is empty, or an argument is out of range.
    """
    scheme = Momentum(momentum, nesterov)
    check_steps(steps)
    rates, decays = _axis("learning rates", lr), _axis("weight decays", weight_decay)
    for rate, decay in np.nditer([rates[:, None], decays]):
        check_lr(float(rate))
        check_weight_decay(float(decay))
    model = in_precision(model, dtype)
    start = check_start(model, kernel)
    x, y = (values.ravel() for values in np.meshgrid(rates, decays, indexing="ij"))
    share = max(1, HISTORY // (3 * steps))
    # Products this small are done before a second thread wakes up, and waiting for it costs more than they do.
    with threadpool_limits(1, "blas"):
        parts = [
            run_cells(model, scheme, start, x[i : i + share], y[i : i + share], steps) for i in range(0, x.size, share)
        ]
    regimes, blow_up_step = (np.concatenate(part).reshape(rates.size, decays.size) for part in zip(*parts, strict=True))
    return Phase(rates, decays, regimes, blow_up_step, _curves(model, rates, scheme.edge))


def bound_curve(linear: Linearisation, lr: ArrayLike, edge: float, window: str) -> BoundCurve:
    """Return the α with 0 ≤ Δt·(λ + α) ≤ edge for every mode λ of a linear PDE, at each Δt of `lr`, of shape (A,)."""
    spectrum = linear.spectrum(window)
    bounds = [
        weight_decay_bounds(spectrum, float(rate), edge, regime=linear.regime, window=window)
        for rate in np.atleast_1d(np.asarray(lr, np.float64))
    ]
    return BoundCurve(linear.regime, window, np.array([b.lower for b in bounds]), np.array([b.upper for b in bounds]))


def _curves(model: Model, lr: Array, edge: float) -> tuple[BoundCurve, ...]:
    windows = ("exact", "infinite")
    return tuple(bound_curve(linear, lr, edge, window) for linear in model.linearisations() for window in windows)


def _axis(name: str, values: ArrayLike) -> Array:
    axis = np.atleast_1d(np.asarray(values, np.float64))
    if axis.ndim != 1 or axis.size == 0:
        raise LastbitError(f"the grid needs a list of at least one of its {name}, not an array of shape {axis.shape}")
    return axis
