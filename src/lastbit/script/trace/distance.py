"""How far tensors are apart of which only norms, digests and sketches are known."""

from collections.abc import Sequence
from math import nan, prod
from typing import Any, TypeAlias

import numpy as np

from lastbit.script.trace.records import TensorSummary

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]

PROPORTIONAL = 1e-3  # relative distance of two sketches, after one is scaled, up to which they count as proportional
_SINGLE = 8  # elements up to which each has a number of the sketch to itself
_LEAST_SKETCH = 4  # numbers of a sketch; with fewer, tensors may be proportional by chance


class Summaries:
    """What is known of n tensors, in arrays.

    Args:
        summaries: of the tensors, in order.
    """

    def __init__(self, summaries: Sequence[TensorSummary]) -> None:
        self.summaries = summaries
        self.digests = np.array([_digest(summary) for summary in summaries], np.uint64)  # shape (n,); 0 without one
        self.plain = np.array([summary.digest is not None for summary in summaries], bool)  # whether there is one, (n,)
        self.norms = np.array([summary.norm for summary in summaries], float)  # shape (n,)
        width = max((len(summary.sketch) for summary in summaries), default=0)
        self.sketches = np.zeros((len(summaries), width))  # those of fewer buckets end with zeros
        for row, summary in zip(self.sketches, summaries, strict=True):
            row[: len(summary.sketch)] = summary.sketch
        self.whole = np.array([_is_whole(summary) for summary in summaries], bool)  # shape (n,)


def distances(one: Summaries, values: Array, other: Summaries, others: Array) -> Array:
    """Relative distances ‖x − y‖ / max(‖x‖, ‖y‖) of pairs of tensors of as many elements, by their sketches.

    A sketch sums the elements, each with a random sign, in r buckets that are chosen at random: the squared distance of
    two sketches has the mean ‖x − y‖² and, unless few elements dominate the difference, a relative standard deviation
    of sqrt(2 / r), so that the standard error of the distance is some 25 % with r = 8 (Charikar, Chen and
    Farach-Colton, "Finding frequent items in data streams", 2002). Up to 8 elements it is exact.

    Args:
        one: holds the first tensor of each pair.
        values: their numbers, shape (n,).
        other: holds the second.
        others: their numbers, shape (n,).

    Returns:
        Shape (n,). 0 for equal bits; NaN where one of two was not plain memory, or neither is finite; infinite where
        only one is, or where other elements are, or are infinite or no numbers, as far as sketches show single ones.
    """
    width = max(one.sketches.shape[1], other.sketches.shape[1])
    mine, theirs = _padded(one.sketches[values], width), _padded(other.sketches[others], width)
    norms = np.maximum(one.norms[values], other.norms[others])
    _, exponents = np.frexp(norms)
    with np.errstate(all="ignore"):
        # By a power of two each, so that neither the smallest nor the largest squares leave the range of float64.
        gaps = np.ldexp(mine, -exponents[:, None]) - np.ldexp(theirs, -exponents[:, None])
        relative = np.sqrt((gaps**2).sum(1)) / np.ldexp(norms, -exponents)
    relative[~np.isfinite(relative)] = np.inf
    known = one.whole[values] & other.whole[others]
    alike = (np.isfinite(mine) & np.isfinite(theirs)) | (mine == theirs) | (np.isnan(mine) & np.isnan(theirs))
    neither = ~np.isfinite(one.norms[values]) & ~np.isfinite(other.norms[others])
    relative[neither & (alike.all(1) | ~known)] = np.nan
    relative[(norms == 0) & ~(mine.any(1) | theirs.any(1))] = 0  # both are zeros, if perhaps of another sign
    relative[one.digests[values] == other.digests[others]] = 0
    relative[~(one.plain[values] & other.plain[others])] = np.nan
    return np.asarray(relative)


def growths(norms: Array, others: Array) -> Array:
    """The logarithms of the ratios of norms, without their signs; NaN where either is 0 or not finite.

    Args:
        norms: of any shape.
        others: of the same.
    """
    with np.errstate(all="ignore"):
        grown = np.abs(np.log(norms) - np.log(others))
    return np.where(np.isfinite(grown), grown, np.nan)


def proportion(mine: Array, others: Array) -> float | None:
    """The factor from one sketch to another, shape (r,); None where they are not proportional, or have few numbers.

    Args:
        mine: the sketch that is the factor times the other.
        others: the other.
    """
    if not np.isfinite(others).all():
        return None
    _, exponent = np.frexp(np.abs(others).max(initial=0.0))
    mine, others = np.ldexp(mine, -exponent), np.ldexp(others, -exponent)
    square = float(others @ others)
    if not np.isfinite(mine).all() or not np.isfinite(square) or square == 0 or len(mine) < _LEAST_SKETCH:
        return None
    ratio = float(mine @ others) / square
    size = float(np.linalg.norm(mine))
    apart = float(np.linalg.norm(mine - ratio * others))
    return ratio if size > 0 and apart <= PROPORTIONAL * size else None


def distance(one: TensorSummary, other: TensorSummary) -> float:
    """The relative distance of two tensors, as `distances` gives it; NaN where they have not as many elements.

    Args:
        one: of a record's `outputs`.
        other: of another's.
    """
    if prod(one.shape) != prod(other.shape):
        return nan
    first = np.array([0])
    return float(distances(Summaries([one]), first, Summaries([other]), first)[0])


def _padded(sketches: Array, width: int) -> Array:
    missing = width - sketches.shape[1]
    return np.pad(sketches, ((0, 0), (0, missing))) if missing else sketches


def _is_whole(summary: TensorSummary) -> bool:
    """Whether each number of a sketch is that of one element."""
    return prod(summary.shape) * (2 if summary.dtype.startswith("complex") else 1) <= _SINGLE


def _digest(summary: TensorSummary) -> int:
    return 0 if summary.digest is None else summary.digest & 0xFFFFFFFFFFFFFFFF
