"""Logarithmic axes that have a place for zero."""

import json
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass

import altair as alt

from lastbit.report.numbers import without_zeros

_MANY_DECADES = 12
_FEW = 1000  # an axis from 1 to this has room for 1, 2, 5 in each decade


@dataclass(frozen=True)
class LogAxis:
    """The range of an axis. What is zero, and so has no logarithm, is drawn on its foot, labelled 0."""

    foot: float  # lowest position on the axis
    top: float
    has_zero: bool  # whether the foot stands for zero

    def position(self, field: str) -> str:
        """Vega expression for where a value of this field is drawn."""
        return f"datum.{field} > 0 ? datum.{field} : {self.foot!r}"

    def scale(self) -> alt.Scale:
        """The axis's scale."""
        return alt.Scale(type="log", domain=[self.foot, self.top], nice=False)

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


def decades(values: Iterable[float]) -> LogAxis:
    """An axis in whole decades around positive values, with a decade below them for zeros where there are any.

    Args:
        values: not negative, at least one of them positive.
    """
    present = list(values)
    positive = [value for value in present if value > 0]
    low, high = math.floor(math.log10(min(positive))), math.ceil(math.log10(max(positive)))
    has_zero = len(positive) < len(present)
    return LogAxis(foot=float(f"1e{low - has_zero}"), top=float(f"1e{max(high, low + 1)}"), has_zero=has_zero)


def steps(values: Iterable[int]) -> LogAxis:
    """An axis from the first step to the last; step 0, before any update, is drawn at a half.

    Args:
        values: not negative, at least one.
    """
    present = set(values)
    has_zero = 0 in present
    foot = 0.5 if has_zero else float(min(present))
    return LogAxis(foot=foot, top=max(float(max(present)), 2 * foot), has_zero=has_zero)


def power_axis(axis: LogAxis, title: str, *, horizontal: bool = False) -> alt.Axis:
    """Tick labels such as 1e-6, and 0 at the foot where it stands for zero; horizontally, those that have room."""
    labels = {tick: without_zeros(f"{tick:.0e}") for tick in axis.ticks()}
    return alt.Axis(title=title, values=list(labels), labelExpr=_labels(axis, labels), labelOverlap=horizontal)


def count_axis(axis: LogAxis, title: str) -> alt.Axis:
    """Tick labels such as 1,000, and 0 at the foot where it stands for zero."""
    factors = (1, 2, 5) if axis.top <= _FEW * axis.foot else (1,)
    labels = {tick: f"{tick:,.0f}" for tick in axis.ticks(factors)}
    return alt.Axis(title=title, values=list(labels), labelExpr=_labels(axis, labels), labelFlush=False, grid=False)


def _labels(axis: LogAxis, labels: dict[float, str]) -> str:
    """Vega expression that looks a tick's label up by the tick's value in seven digits."""
    shown = labels | {axis.foot: "0"} if axis.has_zero else labels
    by_text = {f"{tick:.6e}": label for tick, label in shown.items()}
    by_vega = {re.sub(r"e([+-])0", r"e\1", text): label for text, label in by_text.items()}
    return f"({json.dumps(by_vega)})[format(datum.value, '.6e')]"
