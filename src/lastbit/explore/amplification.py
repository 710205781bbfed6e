"""|A(ω)| of the linear PDE against 1: which frequencies a step amplifies, and which is the first (theorem 5.3)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import altair as alt
import numpy as np
from numpy.typing import NDArray

from lastbit.explore.drawing import Drawing, drawn, in_words
from lastbit.explore.layer import Descent, Layer
from lastbit.pde import predicted_factor
from lastbit.report.charts import Axis, Chart, Figure
from lastbit.report.charts.axes import FittedAxis
from lastbit.report.charts.figure import form
from lastbit.report.charts.look import COOL, MUTED, WARM

Array = NDArray[np.floating]

_HEIGHT = 250
_FLOOR = 1e-2  # a factor below this dies out within a step or two, and how far below nobody asks
_SIDES = {"amplified": WARM, "damped": COOL}


@dataclass(frozen=True, eq=False)
class Amplification:
    """The amplification factors of all frequencies, gathered in rings of equal |ω|."""

    radius: Array  # (R,): |ω| in units of π
    least: Array  # (R,): smallest |A| of the ring
    most: Array  # (R,): largest
    peak: float  # largest |A| of all
    frequency: tuple[float, float]  # where it is, rows and columns, in units of π; its mirror image has the same
    windowed: float  # largest |A| of the operator on the kernel's window

    @property
    def is_stable(self) -> bool:
        """Whether no frequency is amplified."""
        return self.peak <= 1.0


def amplification(layer: Layer, descent: Descent) -> Amplification:
    """The factors |A(ω)| of the layer's linear PDE: with momentum, of the larger root of each frequency's polynomial.

    The frequency of the largest |A| is at an end of the symbol's range, and so the first to become unstable.
    """
    factors = descent.scheme.amplification(descent.lr * (descent.weight_decay + layer.symbol))
    size = len(factors)
    index = np.fft.fftfreq(size, 1.0 / size)
    ring = np.rint(np.hypot(index[:, None], index)).astype(int)
    least, most = np.full(ring.max() + 1, np.inf), np.zeros(ring.max() + 1)
    np.minimum.at(least, ring, factors)
    np.maximum.at(most, ring, factors)
    row, column = np.unravel_index(factors.argmax(), factors.shape)
    return Amplification(
        radius=2.0 * np.arange(len(most)) / size,
        least=least,
        most=most,
        peak=float(factors.max()),
        frequency=_upright(2.0 * float(index[row]) / size, 2.0 * float(index[column]) / size),
        windowed=predicted_factor(
            layer.linear, descent.scheme, window="exact", lr=descent.lr, weight_decay=descent.weight_decay
        ),
    )


def amplification_drawing(found: Amplification, kernel: int) -> Drawing:
    """|A| over |ω|, each ring from its smallest to its largest, with the level 1 and the kernel's window.

    Args:
        found: the factors.
        kernel: the window's side.
    """
    least, most = (np.maximum(each, _FLOOR) for each in (found.least, found.most))
    # One row of lists for each side: a row for each ring would be five times as much to send and to parse.
    rows = [
        {"side": side, "radius": _list(found.radius[there]), "least": _list(least[there]), "most": _list(most[there])}
        for side, there in (("amplified", found.most > 1.0), ("damped", found.most <= 1.0))
    ]
    note = (
        f"Each bar holds the frequencies of one |ω|. The theory has an infinite window; on the kernel’s {kernel} x "
        f"{kernel} entries the largest factor is {in_words(found.windowed)} (dashed)."
    )
    levels: list[dict[str, Any]] = [
        {"level": 1.0, "of": "edge"},
        {"level": max(found.windowed, _FLOOR), "of": "window"},
    ]
    axis = Axis("|A|, growth in a step", log=True).fit([*least, *most, *(level["level"] for level in levels)])
    chart = Chart(_form(axis), {"rows": rows, "levels": levels}, _HEIGHT)
    return drawn(Figure("amplification", _title(found), note, chart))


def _title(found: Amplification) -> str:
    where = f"ω = ({_multiple(found.frequency[0])}, {_multiple(found.frequency[1])})"
    if found.is_stable:
        return f"Stable at every frequency: |A| is at most {in_words(found.peak)}, at {where}"
    return f"Unstable from {where}: |A| = {in_words(found.peak)}"


@lru_cache(maxsize=256)
def _form(axis: FittedAxis) -> dict[str, Any]:
    flat = alt.Chart(alt.NamedData("rows")).transform_flatten(["radius", "least", "most"])
    base = flat.encode(x=alt.X("radius:Q", axis=alt.Axis(title="|ω| / π", grid=False, tickCount=8)))
    y = axis.y("least")
    colour = alt.Color(
        "side:N",
        scale=alt.Scale(domain=list(_SIDES), range=list(_SIDES.values())),
        legend=alt.Legend(title=None, orient="top"),
    )
    tooltip = [alt.Tooltip(f"{name}:Q", format=".3~g") for name in ("radius", "least", "most")]
    bars = base.mark_rule(strokeWidth=5).encode(y=y, y2="most:Q", color=colour, tooltip=tooltip)
    dots = base.mark_point(filled=True, size=34, opacity=1).encode(y="most:Q", color=colour, tooltip=tooltip)
    dash = alt.StrokeDash("of:N", scale=alt.Scale(domain=["edge", "window"], range=[[1, 0], [5, 4]]), legend=None)
    levels = alt.Chart(alt.NamedData("levels")).mark_rule(color=MUTED, strokeWidth=2)
    return form(alt.LayerChart(layer=[bars, dots, levels.encode(y="level:Q", strokeDash=dash)]))


def _list(values: Array) -> list[float]:
    return [float(f"{value:.4g}") for value in values]


def _upright(row: float, column: float) -> tuple[float, float]:
    """A frequency or its mirror image -ω, which has the same factor, whichever points up; -π is π."""
    if row < 0.0 or (row == 0.0 and column < 0.0):
        row, column = -row, -column
    return row, 1.0 if column == -1.0 else column


def _multiple(part: float) -> str:
    """A multiple of π: `0`, `π`, `0.47π`."""
    return "0" if part == 0.0 else "π" if part == 1.0 else f"{part:.2g}π"
