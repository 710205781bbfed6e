"""The heat equation u_t = kappa Laplacian(u) by forward Euler, in any dimension (paper, section 3.1 and figure 1)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from lastbit.errors import LastbitError
from lastbit.pde.grid import GridRun, check_field, check_positive, run_scheme

Array = NDArray[np.floating]


def amplification(*omega: ArrayLike, dt: float, dx: float = 1.0, diffusivity: float = 1.0) -> Array:
    """Return the amplification factor 1 - (2 kappa dt / dx^2) sum_i (1 - cos(omega_i dx)), of the broadcast shape.

    Args:
        *omega: angular frequencies, one array for each dimension of space, in radians per unit length.
        dt: the time step.
        dx: the grid spacing.
        diffusivity: kappa.
    """
    waves = sum(1.0 - np.cos(np.asarray(frequency, np.float64) * dx) for frequency in omega)
    return np.asarray(1.0 - 2.0 * diffusivity * dt / dx**2 * waves)


def amplification_max(*, dt: float, dimensions: int = 1, dx: float = 1.0, diffusivity: float = 1.0) -> float:
    """Return the largest |amplification factor| over all frequencies: at 0, or at pi / dx on every axis."""
    highest = [np.pi / dx] * dimensions
    return max(1.0, abs(float(amplification(*highest, dt=dt, dx=dx, diffusivity=diffusivity))))


def max_stable_dt(dimensions: int = 1, *, dx: float = 1.0, diffusivity: float = 1.0) -> float:
    """Return the CFL step dx^2 / (2 d kappa) in d dimensions; a larger one amplifies the highest frequency.

    Raises:
        LastbitError: an argument is not positive.
    """
    if dimensions < 1:
        raise LastbitError(f"space has at least 1 dimension, not {dimensions}")
    return check_positive("dx", dx) ** 2 / (2.0 * dimensions * check_positive("the diffusivity", diffusivity))


def tent(points: int = 31) -> NDArray[np.float64]:
    """Return the initial state of figure 1: rising by 0.1 a point from 0 to the middle, falling back to 0.

    Raises:
        LastbitError: fewer than 3 points.
    """
    if points < 3:
        raise LastbitError(f"a tent needs at least 3 points, not {points}")
    return np.minimum(np.arange(points), np.arange(points)[::-1]) / 10.0


def laplacian(u: Array, dx: float = 1.0) -> Array:
    """Return the second central differences summed over the axes; 0 on the boundary, which therefore does not move."""
    result = np.zeros_like(u)
    inside = (slice(1, -1),) * u.ndim
    for axis in range(u.ndim):
        last, mid, first = (
            (*inside[:axis], part, *inside[axis + 1 :]) for part in (slice(2, None), slice(1, -1), slice(None, -2))
        )
        result[inside] += u[last] - 2.0 * u[mid] + u[first]
    return result / u.dtype.type(dx**2)


def simulate(
    start: ArrayLike,
    *,
    dt: float,
    steps: int,
    dx: float = 1.0,
    diffusivity: float = 1.0,
    k: int = 1,
    dtype: DTypeLike | None = None,
    snapshots: Sequence[int] = (),
) -> GridRun:
    """Run the heat equation from ``start`` with the boundary held at its initial values.

    Args:
        start: the initial state, of any dimension.
        dt: the time step.
        steps: number of updates.
        dx: the grid spacing.
        diffusivity: kappa.
        k: the last-bit perturbation, see `perturbed_update`.
        dtype: "float32" or "float64"; by default that of ``start``.
        snapshots: the numbers of updates after which to keep the state.

    Raises:
        LastbitError: an argument is out of range, or the initial state is not finite.
    """
    check_positive("dx", dx)
    check_positive("the diffusivity", diffusivity)
    state = check_field("the initial state", start, dtype)
    kappa = state.dtype.type(diffusivity)
    return run_scheme(lambda u: kappa * laplacian(u, dx), state, dt=dt, steps=steps, k=k, snapshots=snapshots)
