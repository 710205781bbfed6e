"""Curves told apart by colour and dash, which end in a cross where they leave the picture, and a level beside them."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt

from lastbit.report.figure import ROWS, AnyChart
from lastbit.report.log_axis import LogAxis, decades, power_axis
from lastbit.report.look import MUTED, colours

_DASHES = [[1, 0], [6, 3], [2, 2], [8, 3, 2, 3], [12, 4], [4, 2, 1, 2], [16, 3]]
# Digits of a drawn value: more than an eye reads off a curve, and a third of the bytes.
_DIGITS = 5


@dataclass(frozen=True)
class Curve:
    """A named curve."""

    label: str
    x: Sequence[float]
    y: Sequence[float]  # finite
    blew_up: bool = False  # whether it ends because it left the picture: a cross is drawn at its end


@dataclass(frozen=True)
class Level:
    """A value that curves are held against: a horizontal line across the picture."""

    value: float
    label: str

    def layers(self) -> list[AnyChart]:
        """The line, and its label beyond its right end, where no curve comes."""
        base = alt.Chart(alt.InlineData(values=[{"level": self.value, "label": self.label}])).encode(y="level:Q")
        label = base.mark_text(align="left", dx=5, clip=False).encode(x=alt.value("width"), text="label:N")
        return [base.mark_rule(color=MUTED, strokeWidth=2, strokeDash=[5, 4]), label]


@dataclass(frozen=True)
class Lines:
    """Curves, cut to what a picture can show."""

    curves: Sequence[Curve]
    x_title: str
    y_title: str
    log_y: bool = True
    columns: int = 4  # of the legend
    level: Level | None = None

    @property
    def rows(self) -> list[dict[str, Any]]:
        """A row for each curve, with the lists `x` and `y`."""
        return [
            {"curve": curve.label, "x": [_short(value) for value in curve.x], "y": [_short(value) for value in curve.y]}
            for curve in self.curves
            if curve.x
        ]

    def chart(self) -> alt.LayerChart:
        """The lines, and a cross where one ends early."""
        axis = decades(value for row in self.rows for value in row["y"]) if self.log_y else None
        drawn = [*(self.level.layers() if self.level else []), self._lines(axis)]
        ends = [_last(curve) for curve in self.curves if curve.x and curve.blew_up]
        return alt.LayerChart(layer=[*drawn, self._crosses(ends, axis)] if ends else drawn)

    def _lines(self, axis: LogAxis | None) -> AnyChart:
        names = [curve.label for curve in self.curves]
        dashes = [_DASHES[i % len(_DASHES)] for i in range(len(names))]
        lines: AnyChart = (
            alt.Chart(ROWS)
            .transform_flatten(["x", "y"])
            .transform_calculate(at=axis.position("y") if axis else "datum.y")
            .mark_line(strokeWidth=2)
            .encode(
                x=alt.X(
                    "x:Q", axis=alt.Axis(title=self.x_title, grid=False, tickCount=10), scale=alt.Scale(nice=False)
                ),
                y=self._y(axis),
                color=alt.Color("curve:N", scale=colours(names), legend=self._legend()),
                strokeDash=alt.StrokeDash(
                    "curve:N", scale=alt.Scale(domain=names, range=dashes), legend=self._legend()
                ),
            )
        )
        return lines

    def _legend(self) -> alt.Legend:
        # One for all layers, with the lines' symbol: Vega-Lite complains of layers that disagree.
        return alt.Legend(
            title=None, orient="top", columns=self.columns, symbolType="stroke", symbolSize=400, symbolStrokeWidth=2
        )

    def _y(self, axis: LogAxis | None) -> alt.Y:
        if axis is None:
            return alt.Y("at:Q", axis=alt.Axis(title=self.y_title), scale=alt.Scale(zero=False))
        return alt.Y("at:Q", scale=axis.scale(), axis=power_axis(axis, self.y_title))

    def _crosses(self, ends: list[dict[str, Any]], axis: LogAxis | None) -> AnyChart:
        names = [curve.label for curve in self.curves]
        base = alt.Chart(alt.InlineData(values=ends)).transform_calculate(at=axis.position("y") if axis else "datum.y")
        crosses: AnyChart = base.mark_text(text="✕", fontSize=15, fontWeight="bold", clip=False).encode(
            x="x:Q", y=self._y(axis), color=alt.Color("curve:N", scale=colours(names), legend=self._legend())
        )
        return crosses


def cut(label: str, x: Sequence[float], y: Sequence[float | None], *, cap: float = math.inf) -> Curve:
    """A curve up to its first value that is beyond the cap or None, that is, not finite."""
    shown = list(itertools.takewhile(lambda value: value is not None and abs(value) <= cap, y))
    return Curve(label, x[: len(shown)], [value for value in shown if value is not None], len(shown) < len(y))


def _last(curve: Curve) -> dict[str, Any]:
    return {"curve": curve.label, "x": _short(curve.x[-1]), "y": _short(curve.y[-1])}


def _short(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")
