"""Axes of every chart: linear, or logarithmic with a place for zero; one way to label their ticks."""

import json
import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import altair as alt

from lastbit.report.numbers import without_zeros

_MANY_DECADES = 12  # beyond, only every second or third power of ten is labelled
_WIDE = 1000.0  # ratio of values from which a logarithmic axis has whole decades
_PLAIN = (1e-3, 1e5)  # ticks within these are written out: 0.01, 1,000


@dataclass(frozen=True)
class Axis:
    """What an axis shows, and how; `fit` gives it a range."""

    title: str  # with its unit; `(log scale)` is added
    name: str = ""  # of its values, under the pointer
    format: str = ",.4~g"  # of these, as d3 writes formats
    log: bool = False
    counts: bool = False  # whole numbers, such as steps: a logarithmic axis runs from the first to the last
    from_zero: bool = False  # whether a linear axis begins at 0
    percent: bool = False  # values are shares, written in percent
    domain: tuple[float, float] | None = None  # where the range is given
    ticks: tuple[float, ...] = ()  # where these are given

    def fit(self, values: Iterable[float]) -> "FittedAxis":
        """The axis with the range that these values need.

        Args:
            values: that are drawn; on a logarithmic axis none is negative and at least one is positive.
        """
        present = list(values)
        if self.domain is not None:
            return FittedAxis(self, LogRange(*self.domain, has_zero=False) if self.log else self.domain)
        if not self.log:
            return FittedAxis(self, _around(present, from_zero=self.from_zero))
        return FittedAxis(self, steps(present) if self.counts else spanned(present))


@dataclass(frozen=True)
class LogRange:
    """The range of a logarithmic axis. What is zero, and so has no logarithm, is drawn on its foot, labelled 0."""

    foot: float  # lowest position on the axis
    top: float
    has_zero: bool  # whether the foot stands for zero

    def ticks(self, factors: tuple[int, ...] = (1,)) -> list[float]:
        """Round numbers on the axis, and its foot where that stands for zero or nothing else would be labelled.

        Args:
            factors: of the powers of ten that are round; with many decades only every second or third power is.
        """
        first, last = math.floor(math.log10(self.foot)), math.ceil(math.log10(self.top))
        stride = 1 + (last - first) // _MANY_DECADES
        powers = [float(f"1e{exponent}") for exponent in range(first, last + 1) if exponent % stride == 0]
        inside = {factor * power for power in powers for factor in factors if self.foot <= factor * power <= self.top}
        return sorted(inside | {self.foot} if self.has_zero or not inside else inside)

    def round_ticks(self) -> list[float]:
        """Powers of ten; on a short axis 2 and 5 times these as well, and where that is not enough all multiples."""
        if self.has_zero or self.top > _WIDE * self.foot:
            return self.ticks()
        few = self.ticks((1, 2, 5))
        return few if len(few) > 1 else self.ticks(tuple(range(1, 10)))


def decades(values: Iterable[float]) -> LogRange:
    """Whole decades around positive values, with a decade below them for zeros where there are any.

    Args:
        values: not negative, at least one of them positive.
    """
    present = list(values)
    positive = [value for value in present if value > 0]
    low, high = math.floor(math.log10(min(positive))), math.ceil(math.log10(max(positive)))
    has_zero = len(positive) < len(present)
    return LogRange(foot=float(f"1e{low - has_zero}"), top=float(f"1e{max(high, low + 1)}"), has_zero=has_zero)


def spanned(values: Iterable[float]) -> LogRange:
    """Whole decades around values of many sizes; around values of few sizes these and a little room.

    Args:
        values: not negative, at least one of them positive.
    """
    present = list(values)
    low, high = min(present), max(present)
    if low <= 0 or high >= _WIDE * low:
        return decades(present)
    return LogRange(foot=_rounded(low / 1.1, math.floor), top=_rounded(high * 1.1, math.ceil), has_zero=False)


def _rounded(value: float, towards: Callable[[float], int]) -> float:
    """Two digits, so that charts of about the same range share their Vega-Lite."""
    unit = 10.0 ** (math.floor(math.log10(value)) - 1)
    return float(f"{towards(value / unit) * unit:.2g}")


def steps(values: Iterable[float]) -> LogRange:
    """The range from the first step to the last; step 0, before any update, is drawn at a half.

    Args:
        values: not negative, at least one.
    """
    present = set(values)
    has_zero = 0 in present
    foot = 0.5 if has_zero else float(min(present))
    return LogRange(foot=foot, top=max(float(max(present)), 2 * foot), has_zero=has_zero)


@dataclass(frozen=True)
class FittedAxis:
    """An axis with its range."""

    axis: Axis
    range: LogRange | tuple[float, float] | None  # None where Vega chooses
    padding: int = 0  # pixels between its ends and the outermost positions, so that no point lies on the other axis

    def position(self, field: str) -> str:
        """Vega expression for where a value of this field is drawn."""
        if isinstance(self.range, LogRange):
            return f"datum.{field} > 0 ? datum.{field} : {self.range.foot!r}"
        return f"datum.{field}"

    def share(self, value: float, low: float, high: float) -> float:
        """Where a value is drawn, from 0 at the axis's beginning to 1 at its end.

        Args:
            value: the value.
            low: the lowest value drawn, where the axis begins if Vega chooses its range.
            high: the highest value drawn.
        """
        if isinstance(self.range, LogRange):
            span = math.log(self.range.top / self.range.foot)
            return math.log(max(value, self.range.foot) / self.range.foot) / span
        first, last = self.range or (min(low, 0.0) if self.axis.from_zero else low, high)
        return (value - first) / (last - first) if last > first else 0.5

    def x(self, field: str) -> alt.X:
        """The horizontal channel of a field of positions."""
        return alt.X(f"{field}:Q", scale=self.scale(), axis=self.drawn(grid=False))

    def y(self, field: str) -> alt.Y:
        """The vertical channel of a field of positions."""
        return alt.Y(f"{field}:Q", scale=self.scale(), axis=self.drawn())

    def scale(self) -> alt.Scale:
        """The axis's scale."""
        padding: dict[str, Any] = {"padding": self.padding} if self.padding else {}
        if isinstance(self.range, LogRange):
            return alt.Scale(type="log", domain=[self.range.foot, self.range.top], nice=False, **padding)
        if self.range is not None:
            return alt.Scale(domain=list(self.range), nice=False, **padding)
        # Vega pads before it rounds to nice numbers: 0 to 3 would become -0.5 to 3.5.
        nice = not (self.axis.counts or self.padding)
        return alt.Scale(zero=self.axis.from_zero, nice=nice, **padding)

    def drawn(self, *, grid: bool = True) -> alt.Axis:
        """Title, ticks and labels."""
        look: dict[str, Any] = {} if grid else {"grid": False}
        if isinstance(self.range, LogRange):
            labels, title = self.labels(), f"{self.axis.title} (log scale)"
            return alt.Axis(title=title, values=list(labels), labelExpr=_looked_up(labels), labelFlush=False, **look)
        if self.axis.ticks:
            return alt.Axis(title=self.axis.title, values=list(self.axis.ticks), **look)
        if self.axis.percent:
            return alt.Axis(title=self.axis.title, format="%", tickCount=5, **look)
        if self.axis.counts:
            return alt.Axis(title=self.axis.title, format=",d", tickCount=6, tickMinStep=1, **look)
        return alt.Axis(title=self.axis.title, tickCount=6, **look)

    def labels(self) -> dict[float, str]:
        """The label of each tick of a logarithmic axis: all written out, or all as powers such as 1e-6."""
        assert isinstance(self.range, LogRange)
        ticks = list(self.axis.ticks) or self.range.round_ticks()
        low, high = _PLAIN
        has_room = all(low <= tick <= high for tick in ticks)
        labels = {tick: f"{tick:,.6g}" if has_room else _power(tick) for tick in ticks}
        return labels | {self.range.foot: "0"} if self.range.has_zero else labels


def _power(tick: float) -> str:
    text = f"{tick:.1e}".replace(".0e", "e")
    return without_zeros(text)


def _around(values: list[float], *, from_zero: bool) -> tuple[float, float] | None:
    """A range around a lone value, where Vega would label its axis with a 0 that it is not at; else None."""
    if len(set(values)) != 1 or from_zero:
        return None
    return (values[0] - abs(values[0]) / 2, values[0] + abs(values[0]) / 2) if values[0] else (-1.0, 1.0)


def _looked_up(labels: dict[float, str]) -> str:
    """Vega expression that looks a tick's label up by the tick's value in seven digits."""
    by_text = {f"{tick:.6e}": label for tick, label in labels.items()}
    by_vega = {re.sub(r"e([+-])0", r"e\1", text): label for text, label in by_text.items()}
    return f"({json.dumps(by_vega)})[format(datum.value, '.6e')]"


STEPS = Axis("update step", name="step", counts=True, format=",")
