"""Explicit schemes: the update with a perturbed last bit, finite differences on a grid of any dimension, and runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from lastbit.errors import LastbitError

Array = NDArray[np.floating]


def perturbed_update(state: Array, velocity: Array, rate: float, k: int = 1) -> Array:
    """Return state + (rate k)(velocity / k), in the precision of ``state`` (paper, section 4.1).

    In exact arithmetic k changes nothing. In floating point an odd k > 1 rounds the last bit differently; a power of
    two only changes exponents, and so not the result (appendix B). ``rate * k`` is formed in double and
    rounded to the state's precision when it multiplies.

    Args:
        state: of any shape.
        velocity: the right-hand side; for gradient descent, minus the gradient.
        rate: the step, dt or the learning rate.
        k: the perturbation, an integer of at least 1; see `check_k`.
    """
    return state + state.dtype.type(rate * k) * (velocity / state.dtype.type(k))


def check_k(k: int) -> int:
    """Return ``k``; raise LastbitError unless it is an integer of at least 1."""
    if k != int(k) or k < 1:
        raise LastbitError(f"k must be an integer of at least 1, not {k}")
    return int(k)


def relative_l1(first: Array, second: Array) -> float:
    """Return RelL1 = 2 mean |a - b| / (|a| + |b|), in [0, 2] (paper, section 4.2); 0/0 counts as 0.

    NaN when either state holds a NaN or an infinity.
    """
    a, b = first.astype(np.float64), second.astype(np.float64)
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        return float("nan")
    # Halved so that the sum of two huge magnitudes cannot overflow.
    scale = np.abs(a / 2.0) + np.abs(b / 2.0)
    ratio = np.divide(np.abs(a / 2.0 - b / 2.0), scale, out=np.zeros_like(scale), where=scale > 0.0)
    return float(2.0 * ratio.mean())


@dataclass(frozen=True, eq=False)
class GridRun:
    """A run of an explicit scheme u <- u + dt F(u)."""

    final: Array  # the last state, shape of u
    blow_up_step: int | None  # number of updates after which the state was not finite; None if it stayed finite
    max_abs: Array  # (T + 1,): largest |u| after each of the T updates made, from 0 updates on
    measured: dict[str, Array]  # name -> (T + 1,): each requested measure, at the same states
    snapshot_steps: tuple[int, ...]  # the requested steps that were reached
    snapshots: Array  # (len(snapshot_steps), *shape of u)


def forward_differences(u: Array, dx: float) -> Array:
    """Return (u(x + dx) - u(x)) / dx along each axis, (d, ...); 0 at the end of an axis, so that no flux leaves."""
    padded = (np.diff(u, axis=axis, append=u.take([-1], axis=axis)) for axis in range(u.ndim))
    return np.stack(list(padded)) / u.dtype.type(dx)


def backward_divergence(flux: Array, dx: float) -> Array:
    """Return the divergence of a flux (d, ...) by backward differences: minus the adjoint of `forward_differences`.

    The flux out of the last point of an axis, like the flux into the first, is taken to be 0.
    """
    total = np.zeros_like(flux[0])
    for axis, component in enumerate(flux):
        inner = component.take(range(component.shape[axis] - 1), axis=axis)
        total += np.diff(inner, axis=axis, prepend=0.0, append=0.0).astype(flux.dtype)
    return np.asarray(total / flux.dtype.type(dx))


def run_scheme(
    velocity: Callable[[Array], Array],
    start: Array,
    *,
    dt: float,
    steps: int,
    k: int = 1,
    snapshots: Sequence[int] = (),
    measures: Mapping[str, Callable[[Array], float]] = MappingProxyType({}),
) -> GridRun:
    """Run u <- u + (dt k)(F(u) / k) from ``start``; stop once the state is no longer finite.

    Args:
        velocity: F, the right-hand side.
        start: the initial state, in the precision of the computation, float32 or float64.
        dt: the time step.
        steps: number of updates.
        k: the last-bit perturbation, see `perturbed_update`.
        snapshots: the numbers of updates after which to keep the state.
        measures: functions of the state, by name, evaluated at every state.

    Raises:
        LastbitError: dt is not positive and finite, steps is negative, k or a snapshot is out of range.
    """
    _check_run(dt, steps, k, snapshots)
    columns = {"max_abs": lambda u: np.abs(u).max(), **measures}
    u, kept, rows = start, {}, []
    with np.errstate(over="ignore", invalid="ignore"):
        for step in range(steps + 1):
            rows.append([float(measure(u)) for measure in columns.values()])
            if step in snapshots:
                kept[step] = u
            if step == steps or not np.isfinite(rows[-1][0]):
                break
            u = perturbed_update(u, velocity(u), dt, k)
    reached = tuple(step for step in snapshots if step in kept)
    max_abs, *others = np.array(rows).T
    return GridRun(
        final=u,
        blow_up_step=None if np.isfinite(max_abs[-1]) else len(rows) - 1,
        max_abs=max_abs,
        measured=dict(zip(measures, others, strict=True)),
        snapshot_steps=reached,
        snapshots=np.array([kept[step] for step in reached]).reshape(-1, *start.shape),
    )


def _check_run(dt: float, steps: int, k: int, snapshots: Sequence[int]) -> None:
    check_positive("the time step", dt)
    if steps < 0:
        raise LastbitError(f"the number of steps must be at least 0, not {steps}")
    wrong = [step for step in snapshots if not 0 <= step <= steps]
    if wrong:
        raise LastbitError(f"snapshots must be taken after 0 ... {steps} steps, not {wrong[0]}")
    check_k(k)


def check_field(name: str, field: ArrayLike, dtype: DTypeLike | None = None) -> Array:
    """Return a field in float32 or float64; raise LastbitError unless it is finite and of at least 1 dimension.

    Args:
        name: of the field, for messages.
        field: real numbers, of any shape.
        dtype: the precision; by default that of the field, or float64 if that is neither of the two.
    """
    array = np.array(field)
    if array.dtype.kind not in "biuf" or array.ndim == 0 or array.size == 0:
        raise LastbitError(
            f"{name} must be a non-empty array of real numbers, not {array.dtype} of shape {array.shape}"
        )
    single = np.dtype(array.dtype if dtype is None else dtype) == np.float32
    if dtype is not None and not single and np.dtype(dtype) != np.float64:
        raise LastbitError(f"the precision must be float32 or float64, not {dtype}")
    if not np.isfinite(array).all():
        raise LastbitError(f"{name} must be finite; it holds NaN or infinity")
    return array.astype(np.float32 if single else np.float64)


def check_positive(name: str, value: float) -> float:
    """Return ``value``; raise LastbitError unless it is positive and finite."""
    if not (np.isfinite(value) and value > 0.0):
        raise LastbitError(f"{name} must be positive and finite, not {value}")
    return value
