"""How the distance between two runs grows: stretches of exponential growth, jumps, and the level where it stops."""

import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from html import escape
from typing import Any

import numpy as np

from lastbit.divergence.segmentation import Jump, find_jumps, pieces
from lastbit.divergence.trend import Series, fit_trend, stride
from lastbit.errors import LastbitError

_LARGEST = math.log(sys.float_info.max)
_FEWEST = 3  # values from which a rate has an interval
_LEVEL_CHANGE = math.log(1.5)  # a stretch that changes by less has stopped growing
_GROWN = math.log(10)  # least growth before a distance can stop growing


@dataclass(frozen=True)
class Segment:
    """A stretch of exponential growth, or of decay where the rate is negative."""

    first: int  # step
    last: int  # step
    rate: float  # of the distance's natural logarithm, per step
    lower: float  # 95 % interval of the rate
    upper: float

    @property
    def factor(self) -> float:
        """What the stretch multiplies the distance by."""
        return math.exp(min(self.rate * (self.last - self.first), _LARGEST))


@dataclass(frozen=True)
class Saturation:
    """Where the distance has stopped growing."""

    level: float  # geometric mean of the distances from `since` on
    low: float  # 90 % of them lie between low and high
    high: float
    since: int  # step


@dataclass(frozen=True, repr=False)
class Growth:
    """How a distance changes over steps. A notebook shows its segments and jumps as a table."""

    segments: tuple[Segment, ...]  # in order; a stretch of fewer than three measurements between jumps is in none
    jumps: tuple[Jump, ...]  # in order
    saturation: Saturation | None  # None where it has not stopped growing, or never grew tenfold
    identical_until: int | None  # last step of the beginning at which the two runs agree bit for bit
    diverged_at: int | None  # first step at which the distance is not finite; what follows is left out

    def as_json(self) -> dict[str, Any]:
        """Plain JSON of all fields, with each segment's factor."""
        plain = asdict(self)
        return plain | {"segments": [{**asdict(segment), "factor": segment.factor} for segment in self.segments]}

    def __repr__(self) -> str:
        return f"<Growth: {'; '.join(self._parts())}>"

    def _repr_html_(self) -> str:
        """A table of segments and jumps in the order of their steps, for notebooks."""
        rows = [
            (segment.first, f"{segment.first:,} to {segment.last:,}", _rate(segment), f"{segment.factor:.3g}")
            for segment in self.segments
        ] + [(jump.step, f"{jump.step:,}", "jump", f"{jump.factor:.3g}") for jump in self.jumps]
        heads = ("steps", "rate per step (95 % interval)", "factor")
        body = "".join(
            f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in cells)}</tr>" for _, *cells in sorted(rows)
        )
        head = "".join(f"<th>{escape(name)}</th>" for name in heads)
        caption = escape(f"Growth: {'; '.join(self._parts())}")
        return f"<table><caption>{caption}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"

    def _parts(self) -> Iterator[str]:
        """The growth in a few words."""
        if self.identical_until is not None:
            yield f"bit-identical until step {self.identical_until:,}"
        if self.segments:
            fastest = max(self.segments, key=lambda segment: segment.rate)
            yield f"{_counted(len(self.segments), 'segment')}, fastest {fastest.rate:+.3g} per step"
        if self.jumps:
            largest = max(self.jumps, key=lambda jump: jump.factor)
            yield f"{_counted(len(self.jumps), 'jump')}, largest {largest.factor:.3g}-fold at step {largest.step:,}"
        if self.saturation is not None:
            yield f"level {self.saturation.level:.2g} since step {self.saturation.since:,}"
        if self.diverged_at is not None:
            yield f"diverged at step {self.diverged_at:,}"
        if not (self.segments or self.jumps or self.identical_until is not None or self.diverged_at is not None):
            yield "too few distances"


def growth(distances: Sequence[float], steps: Sequence[int] | None = None, *, jump: float = 10.0) -> Growth:
    """Describe a series of distances between two runs.

    Single steps that multiply the distance by `jump` beyond the growth around them are jumps. Between jumps the series
    is cut into stretches of exponential growth by dynamic programming with a BIC penalty, and each stretch's rate has a
    95 % interval that allows for errors which add up (see `lastbit.divergence.trend`). Its coverage on random walks,
    independent errors and chaotic maps is in docs/growth.md. A distance of 0 has no logarithm: those at the beginning
    are counted in `identical_until`, later ones are left out.

    Args:
        distances: not negative, of any measure, shape (n,). NaN or inf ends the series: the run diverged.
        steps: increasing, shape (n,), evenly spaced or not; 0, 1, 2, ... by default. Where some steps were not
            measured, a jump is only known to lie between two measurements.
        jump: least factor of a jump, above 1.

    Raises:
        LastbitError: lengths that differ, steps that do not increase, a negative distance, or a `jump` of at most 1.
    """
    values = np.asarray(distances, dtype=np.float64)
    places = np.arange(len(values)) if steps is None else np.asarray(steps, dtype=np.int64)
    _check(values, places, jump)
    broken = np.flatnonzero(~np.isfinite(values))
    ended = int(broken[0]) if len(broken) else len(values)
    positive = np.flatnonzero(values[:ended] > 0)
    began = int(positive[0]) if len(positive) else ended
    x, y = places[positive].astype(np.float64), np.log(values[positive])
    leaps = find_jumps(x, y, factor=jump) if len(x) > 1 else []
    segments = tuple(_segments(x, y, leaps))
    return Growth(
        segments=segments,
        jumps=tuple(Jump(int(x[i - 1]), int(x[i]), float(math.exp(y[i] - y[i - 1]))) for i in leaps),
        saturation=_saturation(segments, x, y),
        identical_until=int(places[began - 1]) if began > 0 else None,
        diverged_at=int(places[ended]) if len(broken) else None,
    )


def _rate(segment: Segment) -> str:
    return f"{segment.rate:+.4f} ({segment.lower:+.4f} to {segment.upper:+.4f})"


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'s' if count != 1 else ''}"


def _segments(x: Series, y: Series, leaps: Sequence[int]) -> Iterator[Segment]:
    for start, end in zip([0, *leaps], [*leaps, len(x)], strict=True):
        if end - start >= _FEWEST:
            yield from _between_jumps(x[start:end], y[start:end])


def _between_jumps(x: Series, y: Series) -> Iterator[Segment]:
    evenly = np.ptp(np.diff(x)) == 0
    # From the last value backwards, and the first: both ends of the stretch count.
    kept = np.unique([0, *range(len(x) - 1, -1, -(stride(y) if evenly else 1))])
    x, y = x[kept], y[kept]
    for start, end in pieces(x, y):
        trend = fit_trend(x[start : end + 1], y[start : end + 1])
        yield Segment(int(x[start]), int(x[end]), trend.rate, trend.lower, trend.upper)


def _saturation(segments: Sequence[Segment], x: Series, y: Series) -> Saturation | None:
    if not segments:
        return None
    last, after = segments[-1], y[x >= segments[-1].first]
    level = float(after.mean())
    grows = last.lower > 0 and math.log(last.factor) > _LEVEL_CHANGE
    if grows or _change(after) > _LEVEL_CHANGE or level - float(y.min()) < _GROWN:
        return None
    low, high = np.exp(np.quantile(after, (0.05, 0.95)))
    return Saturation(math.exp(level), float(low), float(high), last.first)


def _change(values: Series) -> float:
    """From the first half to the second, of the medians: two independent states come near each other now and then."""
    first, second = np.array_split(values, 2)
    return abs(float(np.median(second) - np.median(first)))


def _check(distances: Series, steps: np.ndarray, jump: float) -> None:
    if distances.ndim != 1 or distances.shape != steps.shape:
        raise LastbitError(f"there are {distances.shape} distances for {steps.shape} steps: give one for each step")
    if (np.diff(steps) <= 0).any():
        raise LastbitError("steps must increase")
    if (distances < 0).any():
        raise LastbitError(f"a distance is not negative, got {float(distances[distances < 0][0])}")
    if not jump > 1:
        raise LastbitError(f"jump = {jump}: the least factor of a jump is above 1")


def horizon(distances: Sequence[float], steps: Sequence[int], *, level: float) -> int | None:
    """Return the first of the steps at which the distance is above the level, or None where it never is.

    A distance that is not finite, as where a training diverged, is beyond every level.

    Args:
        distances: after each of the steps.
        steps: ascending.
        level: such as a RelL1 of 1e-2.

    Raises:
        LastbitError: there are not as many distances as steps.
    """
    if len(distances) != len(steps):
        raise LastbitError(f"there are {len(distances)} distances for {len(steps)} steps: give one for each step")
    return next((step for step, distance in zip(steps, distances, strict=True) if not distance <= level), None)
