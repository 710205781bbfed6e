"""Curves over update steps, told apart by colour, that end in a cross where training diverged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt

from lastbit.report.figure import ROWS, AnyChart
from lastbit.report.log_axis import LogAxis, count_axis, steps
from lastbit.report.look import MUTED, colours

# Digits of a drawn value: more than an eye reads off a curve, and a third of the bytes.
_DIGITS = 5
_FEW_DECADES = 3  # that leave room for 1, 2, 5 in each


@dataclass(frozen=True)
class Curve:
    """A named curve."""

    label: str
    steps: Sequence[int]
    values: Sequence[float | None]  # None for what is not finite, which is left out

    def points(self) -> list[tuple[int, float]]:
        """Steps and values that can be drawn."""
        return [(step, value) for step, value in zip(self.steps, self.values, strict=True) if value is not None]


@dataclass(frozen=True)
class OverSteps:
    """Curves that share their axes."""

    curves: Sequence[Curve]
    y_title: str
    log_y: bool = False  # every value is then positive
    log_x: bool = False
    from_zero: bool = False  # whether a linear axis begins at 0
    mark_points: bool = True  # whether each value is a point, with its numbers under the pointer
    diverged: bool = False  # whether the curves end because training diverged
    reference: float | None = None  # a dashed line across
    reference_text: str = ""

    @property
    def rows(self) -> list[dict[str, Any]]:
        """A row for each curve, with the lists `step` and `value`."""
        drawn = [(curve.label, curve.points()) for curve in self.curves]
        return [
            {"curve": label, "step": [step for step, _ in points], "value": [_short(value) for _, value in points]}
            for label, points in drawn
            if points
        ]

    def chart(self) -> alt.LayerChart:
        """The curves over their reference line."""
        base = self._base()
        layers = [*self._reference(), base.mark_line(strokeWidth=1.6)]
        if self.mark_points:
            layers.append(base.mark_point(filled=True, size=22, opacity=0.9).encode(tooltip=_TOOLTIP))
        if self.diverged:
            layers.append(self._crosses(base))
        return alt.LayerChart(layer=layers)

    def _base(self) -> alt.Chart:
        names = [curve.label for curve in self.curves]
        legend = alt.Legend(title=None, orient="top", columns=2) if len(names) > 1 else None
        return (
            alt.Chart(ROWS)
            .transform_flatten(["step", "value"])
            .transform_calculate(at=self._x_axis().position("step") if self.log_x else "datum.step")
            .encode(x=self._x(), y=self._y(), color=alt.Color("curve:N", scale=colours(names), legend=legend))
        )

    def _x(self) -> alt.X:
        if self.log_x:
            axis = self._x_axis()
            return alt.X("at:Q", scale=axis.scale(), axis=count_axis(axis, "update step (log scale)"))
        plain = alt.Axis(title="update step", grid=False, format=",d", tickCount=6, tickMinStep=1)
        return alt.X("at:Q", scale=alt.Scale(nice=False, zero=False), axis=plain)

    def _x_axis(self) -> LogAxis:
        return steps(step for row in self.rows for step in row["step"])

    def _y(self) -> alt.Y:
        if not self.log_y:
            scale = alt.Scale(zero=self.from_zero, domainMin=0) if self.from_zero else alt.Scale(zero=False)
            return alt.Y("value:Q", scale=scale, axis=alt.Axis(title=self.y_title))
        axis = self._log_axis()
        factors = (1, 2, 5) if axis.top < 10**_FEW_DECADES * axis.foot else (1,)
        labelled = alt.Axis(title=f"{self.y_title} (log scale)", values=axis.ticks(factors), labelExpr=_PLAIN_OR_POWER)
        return alt.Y("value:Q", scale=axis.scale(), axis=labelled)

    def _log_axis(self) -> LogAxis:
        values = [value for row in self.rows for value in row["value"]]
        values += [self.reference] if self.reference is not None else []
        # A little room above and below, so that no mark is cut in half.
        return LogAxis(foot=min(values) / 1.1, top=max(values) * 1.1, has_zero=False)

    def _reference(self) -> list[AnyChart]:
        if self.reference is None:
            return []
        base = alt.Chart(alt.InlineData(values=[{"value": self.reference, "text": self.reference_text}]))
        rule = base.mark_rule(strokeDash=[5, 4], color=MUTED, strokeWidth=1.5).encode(y=self._y())
        text = base.mark_text(align="left", baseline="bottom", dx=4, dy=-3, color=MUTED)
        return [rule, text.encode(y=self._y(), x=alt.value(0), text="text:N")]

    def _crosses(self, base: alt.Chart) -> AnyChart:
        """A cross at the last point of every curve."""
        crosses: AnyChart = (
            base.transform_joinaggregate(last="max(step)", groupby=["curve"])
            .transform_filter("datum.step === datum.last")
            .mark_text(text="✕", fontSize=15, fontWeight="bold", clip=False)
        )
        return crosses


_TOOLTIP = [
    alt.Tooltip("curve:N", title="curve"),
    alt.Tooltip("step:Q", title="step", format=","),
    alt.Tooltip("value:Q", title="value", format=".4~g"),
]
_PLAIN_OR_POWER = (
    "datum.value >= 0.01 && datum.value < 100000 ? format(datum.value, ',~g') : format(datum.value, '.0e')"
)


def _short(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")
