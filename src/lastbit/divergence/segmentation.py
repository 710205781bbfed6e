"""Cut a series at its jumps, and between them into stretches that are straight lines, as few as the data ask for.

Optimal partitioning by dynamic programming (Jackson et al. 2005): the cut that minimises the sum of the pieces' costs,
-2 log likelihood each, plus a penalty for every piece. A piece is a line with errors that are either independent or add
up to a random walk (see `trend`), whichever is likelier; both costs come from running sums, so the search takes n²
steps.

A long series is first cut by the means of about fifty blocks, and each cut is then refined to a single value. The
distance of two chaotic orbits dips at random; block means smooth these dips, so that a change of slope stands out. (Of
48 pairs of orbits of Henon's map, from one ulp to saturation, all are cut in two this way; value by value a third are
not.)

A jump is a single step in which the distance between two runs leaps by orders of magnitude.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lastbit.divergence.trend import Series

Indices = NDArray[np.int64]

SHORTEST = 6  # values of a piece: with fewer, four parameters fit anything
_BLOCKS = 48
_PARAMETERS = 4  # of a piece: where it begins, level, slope and size of the error, each worth log n (BIC)
# Each piece's error variance is drawn towards the whole series' as by so many values. Without it, a few values that
# happen to lie on a line, as a chaotic orbit near a fixed point gives, would pass for a piece of their own.
_PRIOR_VALUES = 10
_LEAST_ERROR = 1e-3  # a tenth of a percent: finer bends in a distance are of no interest
_NEIGHBOURS = 3  # measurements on each side, whose median growth a jump must exceed
_APART = 10.0  # the least factor of a jump, by default


def pieces(steps: Series, values: Series) -> list[tuple[int, int]]:
    """First and last index of each piece, in order; together they hold every value.

    Args:
        steps: increasing, shape (n,).
        values: finite, shape (n,).
    """
    count = len(values)
    size = max(1, count // _BLOCKS) if np.ptp(np.diff(steps)) == 0 else 1
    first = count % size
    blocks = values[first:].reshape(-1, size).mean(1)
    cuts = [first + size * start for start, _ in _partition(steps[first::size], blocks)[1:]]
    placed = _place(steps, values, cuts, reach=size) if size > 1 else cuts
    return [(start, end - 1) for start, end in zip([0, *placed], [*placed, count], strict=True)]


def _place(steps: Series, values: Series, cuts: list[int], *, reach: int) -> list[int]:
    """Move each cut by at most `reach` values to where the two pieces beside it are likeliest."""
    sums, ends, placed = _Sums.of(steps, values), [0, *cuts, len(values)], []
    for low, cut, high in zip(ends, ends[1:], ends[2:], strict=False):
        places = range(max(low + SHORTEST, cut - reach), min(high - SHORTEST, cut + reach) + 1)
        costs = [sums.pair(low, place, high) for place in places]
        placed.append(places[int(np.argmin(costs))] if costs else cut)
    return placed


def _partition(steps: Series, values: Series) -> list[tuple[int, int]]:
    count = len(values)
    if count < 2 * SHORTEST:
        return [(0, count - 1)]
    penalty = _PARAMETERS * np.log(count)
    costs, sums = np.full(count + 1, np.inf), _Sums.of(steps, values)
    costs[0], cut = -penalty, np.zeros(count + 1, dtype=np.int64)
    for end in range(SHORTEST, count + 1):
        starts = np.arange(end - SHORTEST + 1)
        totals = costs[starts] + sums.cost(starts, end) + penalty
        cut[end] = int(np.argmin(totals))
        costs[end] = totals[cut[end]]
    return _trace(cut)


def _trace(cut: Indices) -> list[tuple[int, int]]:
    parts, end = [], len(cut) - 1
    while end > 0:
        parts.append((int(cut[end]), end - 1))
        end = int(cut[end])
    return parts[::-1]


@dataclass(frozen=True)
class _Sums:
    """Running sums of a series, from which the cost of any piece of it takes a few operations."""

    steps: Series  # (n,)
    values: Series  # (n,)
    moments: Series  # (5, n + 1), of x, y, x², xy, y², both measured from the middle
    squared: Series  # (n,), of increment² / gap before each value
    log_gaps: Series  # (n,), of log gap
    gap: float  # between steps, in the median
    variance: float  # of an increment over a gap of 1, typical of the series

    @classmethod
    def of(cls, steps: Series, values: Series) -> "_Sums":
        """Sum a series, steps and values of shape (n,), from its start up to each point."""
        # Near zero, so that the differences of sums of squares keep their digits.
        x, y = (steps - steps.mean()) / (steps[-1] - steps[0]), values - values.mean()
        gaps, increments = np.diff(steps), np.diff(values)
        gap = float(np.median(gaps))
        gaps = gaps / gap
        moments = np.cumsum(np.stack([x, y, x * x, x * y, y * y]), axis=1)
        return cls(
            x,
            y,
            np.pad(moments, ((0, 0), (1, 0))),
            np.concatenate([[0.0], np.cumsum(increments**2 / gaps)]),
            np.concatenate([[0.0], np.cumsum(np.log(gaps))]),
            gap / float(steps[-1] - steps[0]),
            max(_typical_variance(increments / np.sqrt(gaps)), _LEAST_ERROR**2),
        )

    def cost(self, starts: Indices, end: int) -> Series:
        """-2 log likelihood of the pieces from each start to `end`, which is left out."""
        cost: Series = np.minimum(self._of_walk(starts, end), self._of_line(starts, end))
        return cost

    def pair(self, start: int, middle: int, end: int) -> float:
        """Cost of two neighbouring pieces."""
        return float(self.cost(np.array([start]), middle)[0] + self.cost(np.array([middle]), end)[0])

    def _of_walk(self, starts: Indices, end: int) -> Series:
        last = end - 1
        time = (self.steps[last] - self.steps[starts]) / self.gap
        squares = self.squared[last] - self.squared[starts] - (self.values[last] - self.values[starts]) ** 2 / time
        cost: Series = self._shrunk(squares, last - starts) + self.log_gaps[last] - self.log_gaps[starts]
        return cost

    def _of_line(self, starts: Indices, end: int) -> Series:
        n = end - starts
        x, y, xx, xy, yy = self.moments[:, [end]] - self.moments[:, starts]
        sxx, sxy, syy = xx - x * x / n, xy - x * y / n, yy - y * y / n
        cost: Series = self._shrunk(syy - sxy**2 / sxx, n - 1) + np.log(n)
        return cost

    def _shrunk(self, squares: Series, count: Indices) -> Series:
        values = count + _PRIOR_VALUES
        variance = (np.maximum(squares, 0.0) + _PRIOR_VALUES * self.variance) / values
        cost: Series = values * np.log(variance / self.variance) + count * np.log(self.variance)
        return cost


def _typical_variance(increments: Series) -> float:
    """Robust variance of increments around their own slowly changing mean, from the differences of neighbours."""
    deviations = np.abs(np.diff(increments)) / np.sqrt(2)
    return float((1.4826 * np.median(deviations)) ** 2)


@dataclass(frozen=True)
class Jump:
    """A leap of the distance between two measurements that follow each other."""

    before: int  # step of the last measurement before it
    step: int  # step of the first after it; `before` + 1 where every step was measured
    factor: float  # the distance after over the distance before


def find_jumps(steps: Series, values: Series, *, factor: float) -> list[int]:
    """Indices of the values that follow a jump.

    A jump multiplies the distance by `factor` beyond the median growth of the three measurements on each side, so that
    a fast but steady growth is none.

    Args:
        steps: increasing, shape (n,).
        values: natural logarithms of the distance, finite, shape (n,).
        factor: above 1.
    """
    gaps, increments = np.diff(steps), np.diff(values)
    rates = increments / gaps
    excess = [increment - gaps[i] * _usual(rates, i) for i, increment in enumerate(increments)]
    return [i + 1 for i, beyond in enumerate(excess) if beyond >= np.log(factor) and increments[i] >= np.log(factor)]


def _usual(rates: Series, place: int) -> float:
    around = np.concatenate([rates[max(0, place - _NEIGHBOURS) : place], rates[place + 1 : place + 1 + _NEIGHBOURS]])
    return max(0.0, float(np.median(around))) if len(around) else 0.0


def leapt_most(before: Mapping[str, float], after: Mapping[str, float]) -> str | None:
    """The tensor whose distance grew by the largest factor; None where none grew from a distance above 0.

    A tensor without a difference before, or that was not there, has no factor and is passed over, unless all are such;
    then it is the one with the largest distance. A training may drop one network and make another.

    Args:
        before: name of the tensor -> its distance before the jump.
        after: the same after it.
    """
    finite = {name: value for name, value in after.items() if math.isfinite(value)}
    factors = {name: value / before[name] for name, value in finite.items() if before.get(name, 0.0) > 0}
    if factors:
        return max(factors, key=lambda name: factors[name])
    appeared = {name: value for name, value in finite.items() if value > 0}
    return max(appeared, key=lambda name: appeared[name], default=None)


def stays_apart(before: float, last: float) -> bool:
    """Whether two runs that jumped are still apart at the end, rather than back where they were.

    Args:
        before: their distance before the jump.
        last: their distance at the end; at least ten times the former where they stay apart.
    """
    return last >= _APART * before
