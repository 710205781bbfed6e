"""Dynamical systems whose Lyapunov exponents are known, as oracles of growth rates."""

import numpy as np

LOGISTIC, HENON, LORENZ = np.log(2), 0.41922, 0.9056  # the last per unit of time (Sprott 2003, appendix A)


def logistic(x, steps):
    """x ← 4x(1 − x), shape (steps, 1)."""
    path = []
    for _ in range(steps):
        path.append(x)
        x = 4 * x * (1 - x)
    return np.array(path)[:, None]


def henon(point, steps):
    """x ← 1 − 1.4x² + y, y ← 0.3x, shape (steps, 2)."""
    path, (x, y) = [], point
    for _ in range(steps):
        path.append((x, y))
        x, y = 1 - 1.4 * x * x + y, 0.3 * x
    return np.array(path)


def lorenz(point, steps, dt):
    """Lorenz's equations at σ = 10, ρ = 28, β = 8/3 by the classical Runge-Kutta method, shape (steps, 3)."""
    path = []
    for _ in range(steps):
        path.append(point)
        a = _flow(point)
        b = _flow(point + dt / 2 * a)
        c = _flow(point + dt / 2 * b)
        point = point + dt / 6 * (a + 2 * b + 2 * c + _flow(point + dt * c))
    return np.array(path)


def tangent_henon(rng, steps):
    """Logarithm of the length of a tangent vector along an orbit: a separation that never saturates."""
    x, y = henon(rng.uniform(0, 0.1, 2), 100)[-1]
    vector, total, lengths = rng.standard_normal(2), 0.0, []
    for _ in range(steps):
        vector = np.array([-2.8 * x * vector[0] + vector[1], 0.3 * vector[0]])
        total += np.log(size := np.linalg.norm(vector))
        vector, (x, y) = vector / size, (1 - 1.4 * x * x + y, 0.3 * x)
        lengths.append(total)
    return np.array(lengths)


def _flow(point):
    x, y, z = point
    return np.array([10 * (y - x), x * (28 - z) - y, x * y - 8 / 3 * z])
