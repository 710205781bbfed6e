"""The Beltrami reaction-diffusion equation, the paper's example of a restrained instability (section 3.2, figure 2).

It descends E(u) = sum sqrt(|grad u|^2 + eps^2) + (lambda / 2) sum (u - f)^2:

    u_t = div(grad u / q) - lambda (u - f),    q = sqrt(|grad u|^2 + eps^2),

with forward differences for the gradient, their adjoint for the divergence and no flux through the boundary, so that
the scheme is exact gradient descent of the discrete E, in any dimension.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse
from numpy.typing import ArrayLike, NDArray
from scipy.sparse.linalg import spsolve

from lastbit.errors import LastbitError
from lastbit.pde.grid import GridRun, backward_divergence, check_field, check_positive, forward_differences, run_scheme

Array = NDArray[np.floating]


@dataclass(frozen=True, eq=False)
class Beltrami:
    """The equation for one input f.

    Args:
        f: the input, of any dimension, finite; everything is computed in its precision.
        epsilon: eps, which keeps q away from 0.
        fidelity: lambda, the weight of the input.
        dx: the grid spacing.

    Raises:
        LastbitError: f is not finite, or a number is not positive.
    """

    f: Array
    epsilon: float = 1e-3
    fidelity: float = 0.1
    dx: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "f", check_field("the input", self.f))
        check_positive("epsilon", self.epsilon)
        check_positive("the fidelity", self.fidelity)
        check_positive("dx", self.dx)

    def energy(self, u: ArrayLike) -> float:
        """Return E(u)."""
        state: Array = np.asarray(u, self.f.dtype)
        return float(np.sum(self.gradient_length(state)) + 0.5 * self.fidelity * np.sum((state - self.f) ** 2))

    def velocity(self, u: ArrayLike) -> Array:
        """Return u_t = -dE/du, of the shape of u."""
        state: Array = np.asarray(u, self.f.dtype)
        flux = forward_differences(state, self.dx) / self.gradient_length(state)
        return np.asarray(backward_divergence(flux, self.dx) - self.f.dtype.type(self.fidelity) * (state - self.f))

    def gradient_length(self, u: ArrayLike) -> Array:
        """Return q = sqrt(|grad u|^2 + eps^2) at every point."""
        gradient = forward_differences(np.asarray(u, self.f.dtype), self.dx)
        return np.asarray(np.sqrt(np.sum(gradient**2, axis=0) + self.f.dtype.type(self.epsilon**2)))

    def amplification(self, *omega: ArrayLike, dt: float, q: ArrayLike) -> Array:
        """Return 1 - dt (lambda + 2 / (dx^2 q) sum_i (1 - cos(omega_i dx))), the frozen-coefficient factor.

        Args:
            *omega: angular frequencies, one array for each dimension of space, in radians per unit length.
            dt: the time step.
            q: the local `gradient_length`, broadcast with the frequencies.
        """
        waves = sum(1.0 - np.cos(np.asarray(frequency, np.float64) * self.dx) for frequency in omega)
        return np.asarray(1.0 - dt * (self.fidelity + 2.0 * waves / (self.dx**2 * np.asarray(q, np.float64))))

    def local_dt(self, u: ArrayLike) -> Array:
        """Return the local CFL step 2 / (lambda + 4 d / (dx^2 q)) at every point: large where u is steep."""
        return np.asarray(2.0 / (self.fidelity + 4.0 * self.f.ndim / (self.dx**2 * self.gradient_length(u))))

    @property
    def strict_dt(self) -> float:
        """The CFL step that is stable for every u: the local one at q = eps, where u is flat."""
        return 2.0 / (self.fidelity + 4.0 * self.f.ndim / (self.dx**2 * self.epsilon))

    @property
    def blow_up_dt(self) -> float:
        """The step 2 / lambda beyond which no steepness restrains the instability."""
        return 2.0 / self.fidelity

    def stable_solution(self, *, tolerance: float = 1e-9, iterations: int = 10_000) -> Array:
        """Return the minimiser of E, which is unique, by lagged diffusivity; in float64.

        Each iteration solves (lambda - div (1/q) grad) u = lambda f with q from the last one. It converges from
        any start.

        Args:
            tolerance: stop once no |u_t| exceeds this share of lambda max |f|, the pull of the input.
            iterations: the most iterations.

        Raises:
            ArithmeticError: it did not converge.
        """
        problem = Beltrami(self.f.astype(np.float64), self.epsilon, self.fidelity, self.dx)
        differences = _difference_matrices(self.f.shape, self.dx)
        identity, source = scipy.sparse.identity(self.f.size), self.fidelity * problem.f.ravel()
        u = problem.f
        for _ in range(iterations):
            if np.abs(problem.velocity(u)).max() <= tolerance * self.fidelity * np.abs(problem.f).max():
                return u
            weights = scipy.sparse.diags(1.0 / problem.gradient_length(u).ravel())
            diffusion = sum(matrix.T @ weights @ matrix for matrix in differences)
            u = spsolve((self.fidelity * identity + diffusion).tocsc(), source).reshape(self.f.shape)
        raise ArithmeticError(f"lagged diffusivity did not reach {tolerance} in {iterations} iterations")

    def simulate(
        self,
        *,
        dt: float,
        steps: int,
        start: ArrayLike | None = None,
        k: int = 1,
        snapshots: Sequence[int] = (),
        reference: ArrayLike | None = None,
    ) -> GridRun:
        """Run the equation by forward Euler; `measured` holds "energy", and "deviation" if a reference is given.

        Args:
            dt: the time step; figure 2 takes 10 and 100 times `strict_dt`.
            steps: number of updates.
            start: the initial state; by default f.
            k: the last-bit perturbation, see `perturbed_update`.
            snapshots: the numbers of updates after which to keep the state.
            reference: measure the largest difference of each state from this one, such as `stable_solution`.

        Raises:
            LastbitError: an argument is out of range.
        """
        state = self.f if start is None else check_field("the initial state", start, self.f.dtype)
        if state.shape != self.f.shape:
            raise LastbitError(f"the initial state must be of the input's shape {self.f.shape}, not {state.shape}")
        measures: dict[str, Callable[[Array], float]] = {"energy": self.energy}
        if reference is not None:
            target: Array = np.asarray(reference)
            measures["deviation"] = lambda u: float(np.abs(u - target).max())
        return run_scheme(self.velocity, state, dt=dt, steps=steps, k=k, snapshots=snapshots, measures=measures)


def noisy_step(points: int = 128, noise: float = 0.05, seed: int = 0) -> NDArray[np.float64]:
    """Return a noisy step from 0 to 1 like figure 2's, of shape (points,); the noise is Gaussian, given by its STD.

    Raises:
        LastbitError: fewer than 2 points, a noise below 0 or not finite, or a seed outside 0 ... 2**32 - 1.
    """
    if not 0 <= noise < np.inf:
        raise LastbitError(f"the noise's standard deviation must be finite and at least 0, not {noise}")
    if not 0 <= seed < 2**32:
        raise LastbitError(f"a seed must lie in 0 ... 2**32 - 1, not {seed}")
    if points < 2:
        raise LastbitError(f"a step needs at least 2 points, not {points}")
    step = (np.arange(points) >= points // 2).astype(np.float64)
    with np.errstate(over="ignore"):  # what is infinite is refused, as any field is, where it is used
        return np.asarray(step + noise * np.random.RandomState(seed).randn(points))


def _difference_matrices(shape: tuple[int, ...], dx: float) -> list[scipy.sparse.csr_matrix]:
    """Return `forward_differences` as one sparse matrix for each axis, on the flattened grid."""
    matrices = []
    for axis, length in enumerate(shape):
        diagonal = np.append(-np.ones(length - 1), 0.0)
        line = scipy.sparse.diags([diagonal, np.ones(length - 1)], [0, 1]) / dx
        before, after = int(np.prod(shape[:axis])), int(np.prod(shape[axis + 1 :]))
        full = scipy.sparse.kron(scipy.sparse.identity(before), scipy.sparse.kron(line, scipy.sparse.identity(after)))
        matrices.append(full.tocsr())
    return matrices
