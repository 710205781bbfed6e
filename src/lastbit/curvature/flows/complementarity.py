"""Semidefinite complementarity: the covariance that keeps curvatures at an edge, and none that are below it."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]
_MOST, _CLOSE = 2000, 1e-10  # iterations, and the change relative to the solution at which they end


def pairs_of(count: int) -> list[tuple[int, int]]:
    """Index pairs i <= j of a symmetric matrix, in the order of its coordinates."""
    return [(i, j) for i in range(count) for j in range(i, count)]


def coordinates(matrix: Matrix) -> Matrix:
    """A symmetric matrix's entries from the diagonal on, those off it times √2, so that lengths are kept."""
    count = len(matrix)
    return np.array([matrix[i, j] * (1.0 if i == j else math.sqrt(2)) for i, j in pairs_of(count)])


def symmetric(vector: Matrix, count: int) -> Matrix:
    """The symmetric matrix (count, count) with these coordinates."""
    matrix = np.zeros((count, count))
    for value, (i, j) in zip(vector, pairs_of(count), strict=True):
        matrix[i, j] = matrix[j, i] = value / (1.0 if i == j else math.sqrt(2))
    return matrix


def complementary(offset: Matrix, response: Matrix, start: Matrix | None = None) -> Matrix:
    """The positive semidefinite X with offset + response X positive semidefinite and at right angles to X.

    It minimises <X, response X> / 2 + <offset, X> over positive semidefinite X, found by projected gradients with
    momentum (Beck and Teboulle 2009), which start over where they turn back.

    Args:
        offset: a symmetric matrix (k, k) in `coordinates`, (k (k + 1) / 2,).
        response: positive semidefinite, between coordinates.
        start: a guess, in coordinates.

    Returns:
        X, in coordinates.
    """
    count = (math.isqrt(8 * len(offset) + 1) - 1) // 2
    steepest = max(float(np.linalg.eigvalsh(response)[-1]), 1e-300)
    point = start if start is not None and start.shape == offset.shape else np.zeros_like(offset)
    ahead, speed = point, 1.0
    for _ in range(_MOST):
        following = _projected(ahead - (response @ ahead + offset) / steepest, count)
        change = following - point
        if float((ahead - following) @ change) > 0:
            speed = 1.0
        faster = (1 + math.sqrt(1 + 4 * speed**2)) / 2
        ahead = following + (speed - 1) / faster * change
        point, speed = following, faster
        if float(np.linalg.norm(change)) <= _CLOSE * float(np.linalg.norm(point)):
            break
    return point


def _projected(vector: Matrix, count: int) -> Matrix:
    """The nearest positive semidefinite matrix, in coordinates."""
    values, vectors = np.linalg.eigh(symmetric(vector, count))
    return coordinates((vectors * np.maximum(values, 0.0)) @ vectors.T)
