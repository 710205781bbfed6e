"""Nesterov's scheme as a discretisation of the PDE K_tt + d K_t = -grad L(K), and the PDE's solution (theorem 5.5).

`fitted_order` gives the order at which the distance between two such paths falls with the time step.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.integrate import solve_ivp

from lastbit.errors import LastbitError
from lastbit.pde.momentum import from_damping

Array = NDArray[np.floating]
Gradient = Callable[[Array], Array]

# Tolerances of the reference solution: far below the errors of the scheme.
_RELATIVE, _ABSOLUTE = 1e-10, 1e-12


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
