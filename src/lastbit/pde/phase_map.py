"""Phase maps: runs over a grid of learning rates and weight decays, advanced together, and the theory's bounds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray
from threadpoolctl import threadpool_limits

from lastbit.errors import LastbitError
from lastbit.pde.bounds import check_lr, check_weight_decay, weight_decay_bounds
from lastbit.pde.classification import (
    BLOW_UP,
    RESTRAINED,
    STABLE,
    WINDOWS,
    Path,
    classify,
    rounding_level,
    unit_roundoff,
)
from lastbit.pde.linearisation import Linearisation, Model
from lastbit.pde.momentum import Momentum
from lastbit.pde.simulation import check_start, check_steps, in_precision

Array = NDArray[np.floating]

# Steps of all cells between two removals of the finished ones.
ROUND = 32
_UNKNOWN = -1  # the regime of a cell that is not known yet

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


@dataclass(frozen=True, eq=False)
class _Cells:
    """The state of n unfinished cells; every field has n entries on its first axis."""

    index: NDArray[np.intp]  # (n,): which cells of the grid these are
    lr: Array  # (n, 1, 1)
    weight_decay: Array  # (n,)
    kernel: Array  # (n, W, W)
    heading: Array  # (n, W, W): the direction of the last update, 0 before the first
    buffer: Array  # (n, W, W): momentum's buffer, 0 before the first step

    def take(self, rows: slice | NDArray[np.bool_]) -> _Cells:
        """Return the cells of some rows."""
        return _Cells(*(getattr(self, field.name)[rows] for field in fields(self)))


def run_cells(
    model: Model, scheme: Momentum, start: Array, lr: Array, weight_decay: Array, steps: int
) -> tuple[NDArray[np.int8], NDArray[np.int64]]:
    """Run C cells from one kernel; return their regimes (C,) and, where they blew up, after how many updates, else -1.

    A cell is taken out once its regime is known: when it has blown up, or by its updates over `ROUND` steps: when they
    have stayed at rounding level, or have shrunk fast enough for rule 4 of `classify` while no longer than a tenth of
    the square root of a unit roundoff of the norm (stable), or when they have reversed at every step with lengths equal
    to rounding level, a locked two-step cycle (restrained). The others are classified at the end.

    Args:
        model: the model, in the precision to compute in.
        scheme: the momentum scheme.
        start: the initial kernel, (W, W).
        lr: learning rates, (C,).
        weight_decay: weight decays, (C,).
        steps: number of updates.
    """
    regime, blow_up_step = np.full(lr.size, _UNKNOWN, np.int8), np.full(lr.size, -1)
    history = np.zeros((steps, 3, lr.size))
    cells, first = _initial(model, start, lr, weight_decay), 0
    with np.errstate(over="ignore", invalid="ignore"):
        while first < steps and cells.index.size:
            cells, window = _advance_all(model, scheme, cells, min(ROUND, steps - first))
            history[first : first + len(window), :, cells.index] = window
            blown, finished = _blown(window), _finished(window, model.dtype, steps)
            blow_up_step[cells.index[blown]] = first + np.isinf(window[:, 0, blown]).argmax(axis=0)
            regime[cells.index] = np.where(blown, BLOW_UP, finished)
            cells, first = cells.take(~blown & (finished == _UNKNOWN)), first + len(window)
        if cells.index.size:
            overflowed = np.isinf(_gradient_and_norm(model, cells)[1])
            blow_up_step[cells.index[overflowed]] = steps
            path = Path(*np.moveaxis(history[:, :, cells.index], 1, 0))
            saturating = model.saturating
            regime[cells.index] = classify(path, model.dtype, saturating=saturating, blown_up=overflowed)
    return regime, blow_up_step


def _initial(model: Model, start: Array, lr: Array, weight_decay: Array) -> _Cells:
    kernels = np.broadcast_to(start, (lr.size, *start.shape))
    return _Cells(
        index=np.arange(lr.size),
        lr=lr.astype(model.dtype)[:, None, None],
        weight_decay=weight_decay.astype(model.dtype),
        kernel=kernels.copy(),
        heading=np.zeros_like(kernels),
        buffer=np.zeros_like(kernels),
    )


def _advance_all(model: Model, scheme: Momentum, cells: _Cells, steps: int) -> tuple[_Cells, Array]:
    """Advance every cell, block by block; return the cells and their histories over these steps, (steps, 3, n)."""
    count, width = cells.index.size, model.correlation.batch
    window = np.empty((steps, 3, count))
    blocks = [slice(i, i + width) for i in range(0, count, width)]
    return _joined([_advance(model, scheme, cells.take(b), window[:, :, b]) for b in blocks]), window


def _joined(parts: Sequence[_Cells]) -> _Cells:
    return _Cells(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(_Cells)))


def _advance(model: Model, scheme: Momentum, cells: _Cells, window: Array) -> _Cells:
    for norm, step_length, alignment in window:
        gradient, norm[:] = _gradient_and_norm(model, cells)
        direction, buffer = scheme.advance(gradient, cells.buffer)
        kernel = cells.kernel - cells.lr * direction
        update = kernel - cells.kernel
        step_length[:] = np.linalg.norm(update, axis=(1, 2))
        heading = update / np.where(step_length > 0.0, step_length, 1.0).astype(model.dtype)[:, None, None]
        alignment[:] = np.einsum("nij,nij->n", heading, cells.heading)
        cells = replace(cells, kernel=kernel, heading=heading, buffer=buffer)
    return cells


def _gradient_and_norm(model: Model, cells: _Cells) -> tuple[Array, Array]:
    """Return the gradients, and the norms, infinite where the loss or the norm is not finite."""
    loss, gradient = model.loss_and_gradient(cells.kernel, cells.weight_decay)
    norm = np.linalg.norm(cells.kernel, axis=(1, 2))
    return gradient, np.where(np.isfinite(loss) & np.isfinite(norm), norm, np.inf)


def _blown(window: Array) -> NDArray[np.bool_]:
    return np.asarray(np.isinf(window[:, 0]).any(axis=0))


def _finished(window: Array, dtype: np.dtype[np.floating], steps: int) -> NDArray[np.int8]:
    """Return the regime of each cell whose updates over a full round decide it, `_UNKNOWN` for the others."""
    norm, step_length, alignment = np.moveaxis(window, 1, 0)
    outcome = np.full(norm.shape[1], _UNKNOWN, np.int8)
    if len(window) == ROUND:
        level = rounding_level(norm.min(axis=0), dtype)
        before, after = step_length[: ROUND // 2].max(axis=0), step_length[ROUND // 2 :].max(axis=0)
        shortest, longest = step_length.min(axis=0), np.maximum(before, after)
        # Updates a thousand times the rounding level that differ by no more than it do not decay in any run's length.
        equal = (longest - shortest <= level) & (shortest > 1000.0 * level)
        outcome[equal & (alignment.max(axis=0) < -1.0 + 1e-6)] = RESTRAINED
        # So close to a fixed point the path is linear and keeps its rate: it shrinks by half or more in three windows.
        close = longest <= 0.1 * np.sqrt(unit_roundoff(dtype)) * norm.min(axis=0)
        shrinking = after <= 0.5 ** (ROUND / 2 / (3 * steps / WINDOWS)) * before
        outcome[(close & shrinking) | (longest <= level)] = STABLE
    return outcome
