"""The paper's update with a perturbed last bit, and the relative L1 distance of two states."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

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
