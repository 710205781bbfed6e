"""The order at which an error falls with a size."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from lastbit.errors import LastbitError


@dataclass(frozen=True)
class Order:
    """p in error = C size^p."""

    value: float  # least-squares slope of log error over log size
    lowest: float  # of the slopes between neighbouring sizes: how far from a power law the errors are
    highest: float


def fitted_order(sizes: ArrayLike, errors: ArrayLike) -> Order:
    """Fit p in error = C size^p to errors at two or more distinct sizes, both of shape (n,).

    Raises:
        LastbitError: fewer than two sizes, or one that is not positive, or an error that is not.
    """
    x, y = np.asarray(sizes, np.float64), np.asarray(errors, np.float64)
    if x.ndim != 1 or x.shape != y.shape or len(np.unique(x)) < 2:
        raise LastbitError(f"an order needs errors at two or more sizes, not shapes {x.shape} and {y.shape}")
    if not (np.all(x > 0.0) and np.all(y > 0.0)):
        raise LastbitError("an order needs sizes and errors above 0")
    by_size = np.argsort(x)
    x, y = np.log(x[by_size]), np.log(y[by_size])
    slopes = np.diff(y) / np.diff(x)
    return Order(float(np.polyfit(x, y, 1)[0]), float(slopes.min()), float(slopes.max()))
