"""The amplification factors of the momentum schemes as roots of their polynomials, which the library never forms."""

import numpy as np


def roots(scheme, gain):
    """Of a mode of gain lr z: with velocity v, v' = mu v - gain x, and x' = x + v' (heavy ball).

    Nesterov's scheme takes the gradient at x + mu v. The factors are the eigenvalues of this step of (x, v).
    """
    at = scheme.mu if scheme.nesterov else 0.0
    velocity = np.array([-gain, scheme.mu - gain * at])
    return np.linalg.eigvals(np.array([[1.0, 0.0], [0.0, 0.0]]) + velocity)


def largest_root(scheme, gain):
    return np.abs(roots(scheme, gain)).max()
