"""Momentum schemes: amplification factors, edge of stability, and the PDE that they discretise.

For a linear gradient z K, a mode of gain g = lr z obeys a two-step recursion whose amplification factors are the
roots xi of

    plain        xi - (1 - g)
    heavy ball   xi^2 - (1 + mu - g) xi + mu
    Nesterov     xi^2 - (1 - g)(1 + mu) xi + (1 - g) mu        (paper, theorem E.1)

Every root lies in the unit disc iff 0 < g < edge (Jury's conditions; the upper one is a root at -1).

Nesterov's scheme discretises the PDE K_tt + d K_t = -grad L(K) (theorem 5.5). `fitted_order` gives the order at which
the distance between a path of the scheme and the PDE's solution falls with the time step.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.integrate import solve_ivp

from lastbit.errors import LastbitError

Array = NDArray[np.floating]
Gradient = Callable[[Array], Array]

# Tolerances of the reference solution: far below the errors of the scheme.
_RELATIVE, _ABSOLUTE = 1e-10, 1e-12


@dataclass(frozen=True)
class Momentum:
    """A momentum scheme: plain gradient descent for ``mu = 0``, else heavy ball or Nesterov.

    The buffer is b <- mu b + g, started at the first gradient g; the step is along b, or g + mu b for Nesterov.
    Deep-learning libraries have the same convention.

    Raises:
        LastbitError: ``mu`` is not in [0, 1), or Nesterov is asked for without momentum.
    """

    mu: float = 0.0
    nesterov: bool = False

    def __post_init__(self) -> None:
        if not 0.0 <= self.mu < 1.0:
            raise LastbitError(f"momentum must lie in [0, 1), not {self.mu}")
        if self.nesterov and self.mu == 0.0:
            raise LastbitError("Nesterov needs a momentum above 0")

    @property
    def edge(self) -> float:
        """The largest stable gain lr z: 2, 2 (1 + mu), or (2 + 2 mu) / (1 + 2 mu)."""
        if self.nesterov:
            return (2.0 + 2.0 * self.mu) / (1.0 + 2.0 * self.mu)
        return 2.0 * (1.0 + self.mu)

    @property
    def damping_free_edge(self) -> float:
        """The paper's Nesterov edge, dt^2 z <= 4/3 for every damping (theorem 5.6), as a gain lr z.

        It is the limit of no damping (mu -> 1) of the exact edge in dt^2 z, hence the strictest.

        Raises:
            LastbitError: the scheme is not Nesterov's; the paper gives the bound for no other.
        """
        if not self.nesterov:
            raise LastbitError("the damping-free bound is for Nesterov momentum only")
        return 4.0 / 3.0 * (1.0 + self.mu) / 2.0

    def amplification(self, gain: ArrayLike) -> Array:
        """Return the spectral radius max |xi| of modes of gain lr z, elementwise."""
        g = np.asarray(gain, dtype=np.float64)
        trace = (1.0 - g) * (1.0 + self.mu) if self.nesterov else 1.0 + self.mu - g
        determinant = (1.0 - g) * self.mu if self.nesterov else np.full_like(g, self.mu)
        root = np.sqrt((trace**2 - 4.0 * determinant).astype(np.complex128))
        radius: Array = np.maximum(np.abs(trace + root), np.abs(trace - root)) / 2.0
        return radius

    def advance(self, gradient: Array, buffer: Array | None) -> tuple[Array, Array]:
        """Return the direction to step along and the new buffer; ``buffer`` is None at the first step."""
        if self.mu == 0.0:
            return gradient, gradient
        buffer = gradient if buffer is None else self.mu * buffer + gradient
        return (gradient + self.mu * buffer if self.nesterov else buffer), buffer


def from_damping(dt: float, damping: float) -> tuple[float, float]:
    """Return (lr, momentum) of the discretised K_tt + damping K_t = -gradient with time step dt (eq. 67-68).

    lr = 2 dt^2 / (2 + damping dt) and momentum = (2 - damping dt) / (2 + damping dt).

    Raises:
        LastbitError: dt is not positive, or damping dt is not in [0, 2], where the momentum would be negative.
    """
    if not dt > 0.0:
        raise LastbitError(f"the time step must be positive, not {dt}")
    if not 0.0 <= damping * dt <= 2.0:
        raise LastbitError(f"damping * dt must lie in [0, 2], not {damping * dt}")
    return 2.0 * dt**2 / (2.0 + damping * dt), (2.0 - damping * dt) / (2.0 + damping * dt)


def to_damping(lr: float, momentum: float) -> tuple[float, float]:
    """Return (dt, damping), the inverse of `from_damping`: dt = sqrt(2 lr / (1 + momentum)).

    Raises:
        LastbitError: lr is not positive, or the momentum is not in [0, 1].
    """
    if not lr > 0.0:
        raise LastbitError(f"the learning rate must be positive, not {lr}")
    if not 0.0 <= momentum <= 1.0:
        raise LastbitError(f"momentum must lie in [0, 1], not {momentum}")
    dt = sqrt(2.0 * lr / (1.0 + momentum))
    return dt, 2.0 * (1.0 - momentum) / (1.0 + momentum) / dt


def semi_implicit_path(gradient: Gradient, start: ArrayLike, *, dt: float, damping: float, steps: int) -> Array:
    """Return the partial updates V_0 ... V_steps of eq. 16-17, (steps + 1, ...).

    V_n = K_n + mu (K_n - K_{n-1}) and K_{n+1} = V_n - lr grad L(V_n), from K_{-1} = K_0 = start, with the lr and mu
    of `from_damping`.
    """
    lr, mu = from_damping(dt, damping)
    kernel = previous = np.array(start, np.float64)
    path = []
    for _ in range(steps + 1):
        ahead = kernel + mu * (kernel - previous)
        path.append(ahead)
        previous, kernel = kernel, ahead - lr * gradient(ahead)
    return np.array(path)


def optimizer_path(gradient: Gradient, start: ArrayLike, *, dt: float, damping: float, steps: int) -> Array:
    """Return the weights that `torch.optim.SGD` with Nesterov momentum passes through, (steps + 1, ...)."""
    lr, mu = from_damping(dt, damping)
    weights = torch.tensor(np.array(start, np.float64))
    optimizer = torch.optim.SGD([weights], lr=lr, momentum=mu, nesterov=True)
    path = [weights.numpy().copy()]
    for _ in range(steps):
        weights.grad = torch.tensor(gradient(weights.numpy()))
        optimizer.step()
        path.append(weights.numpy().copy())
    return np.array(path)


def damped_flow(gradient: Gradient, start: ArrayLike, *, damping: float, times: ArrayLike) -> Array:
    """Return the PDE's solution from rest at ascending times (n,) from 0 on, by Dormand and Prince's method, (n, ...).

    Raises:
        ArithmeticError: the solver gave up.
    """
    first, at = np.array(start, np.float64), np.asarray(times, np.float64)

    def right_hand_side(_: float, state: Array) -> Array:
        """Return (K_t, −∇L − d K_t) of the state (K, K_t), flattened."""
        kernel, velocity = state.reshape(2, *first.shape)
        return np.concatenate([velocity.ravel(), (-gradient(kernel) - damping * velocity).ravel()])

    state = np.concatenate([first.ravel(), np.zeros(first.size)])
    solution = solve_ivp(
        right_hand_side, (0.0, float(at[-1])), state, "DOP853", t_eval=at, rtol=_RELATIVE, atol=_ABSOLUTE
    )
    if not solution.success:
        raise ArithmeticError(f"the damped flow could not be followed: {solution.message}")
    return np.asarray(solution.y[: first.size].T.reshape(-1, *first.shape))


@dataclass(frozen=True)
class FittedOrder:
    """p in error = C size^p."""

    value: float  # least-squares slope of log error over log size
    lowest: float  # smallest slope between neighbouring sizes; far from `value`, the errors are no power law
    highest: float  # largest slope between neighbouring sizes


def fitted_order(sizes: ArrayLike, errors: ArrayLike) -> FittedOrder:
    """Fit p in error = C size^p to errors at two or more distinct sizes, both of shape (n,).

    Raises:
        LastbitError: there are fewer than two sizes, or a size or an error is not positive.
    """
    x, y = np.asarray(sizes, np.float64), np.asarray(errors, np.float64)
    if x.ndim != 1 or x.shape != y.shape or len(np.unique(x)) < 2:
        raise LastbitError(f"an order needs errors at two or more sizes, not shapes {x.shape} and {y.shape}")
    if not (np.all(x > 0.0) and np.all(y > 0.0)):
        raise LastbitError("an order needs sizes and errors above 0")
    by_size = np.argsort(x)
    x, y = np.log(x[by_size]), np.log(y[by_size])
    slopes = np.diff(y) / np.diff(x)
    return FittedOrder(float(np.polyfit(x, y, 1)[0]), float(slopes.min()), float(slopes.max()))
