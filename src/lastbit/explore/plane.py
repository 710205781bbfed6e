"""The plane of learning rate and weight decay: where the linear PDE is stable, where no regime is, and a point."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import altair as alt
import numpy as np
from numpy.typing import NDArray

from lastbit.explore.drawing import Drawing, drawn, in_words
from lastbit.explore.layer import LEARNING_RATES, WEIGHT_DECAYS, Descent, Layer
from lastbit.pde import Bounds, Momentum, bound_curve, stability_bounds
from lastbit.report.charts import Chart, Figure
from lastbit.report.charts.figure import AnyChart, form
from lastbit.report.charts.look import INK, REGIME_LINES

Array = NDArray[np.floating]

CHOSEN = "chosen"  # the selection that a click makes
_HEIGHT = 250
_EVERY = 2  # of the sliders' values that a curve has a point at
_MET = 4  # of the sliders' values that a click can meet: a finger is no finer, and each cell costs time to draw
_ZONES = {"stable": "linear PDE stable", "blow-up": "unstable in every regime"}


@dataclass(frozen=True, eq=False)
class Band:
    """The bounds on weight decay over learning rates, of the exact operator on the kernel's window."""

    lr: Array  # (A,)
    lower: Array  # (A,): of the linear PDE around an untrained network
    upper: Array  # (A,): below `lower` where no weight decay is stable
    limit: Array  # (A,): above it even the inactive regime, which weight decay alone drives, is unstable


def band(layer: Layer, momentum: float) -> Band:
    """The bounds over the sliders' learning rates (theorems 5.4 and 5.6, table 3)."""
    edge, rates = Momentum(momentum).edge, np.array(LEARNING_RATES[::_EVERY])
    untrained = bound_curve(layer.linear, rates, edge, "exact")
    inactive = bound_curve(layer.net.not_activated(), rates, edge, "exact")
    return Band(rates, untrained.lower, untrained.upper, inactive.upper)


def bounds_here(layer: Layer, descent: Descent) -> Bounds:
    """The stable weight decays at the point's learning rate."""
    return stability_bounds(layer.linear, window="exact", edge=descent.scheme.edge, lr=descent.lr)


def plane_drawing(found: Band, here: Bounds, descent: Descent) -> Drawing:
    """The band, the limit and the point.

    Args:
        found: the bounds over all learning rates.
        here: those at the point's.
        descent: the point.
    """
    note = (
        "Bounds are those of the kernel’s own window. Between the two zones the linear PDE is unstable, and the "
        "network may restrain it. Click or tap to move the point."
    )
    point = [{"lr": descent.lr, "weight_decay": descent.weight_decay}]
    chart = Chart(_form(), {"rows": _rows(found), "point": point}, _HEIGHT)
    return drawn(Figure("plane", _title(here, descent), note, chart))


def clicked(selections: Mapping[str, Any]) -> tuple[float, float] | None:
    """The learning rate and the weight decay, as the sliders have them, that a click chose; None where it chose none.

    Args:
        selections: of the chart by name, as the browser sends them.
    """
    chosen = selections.get(CHOSEN)
    if not isinstance(chosen, Mapping) or not chosen.get("lr") or not chosen.get("weight_decay"):
        return None
    return nearest(LEARNING_RATES, chosen["lr"][0]), nearest(WEIGHT_DECAYS, chosen["weight_decay"][0])


def nearest(values: Sequence[float], wanted: float) -> float:
    """The one of positive values whose ratio to a wanted one is nearest to 1."""
    return min(values, key=lambda value: abs(np.log(value / wanted)))


def _title(here: Bounds, descent: Descent) -> str:
    if here.empty:
        return f"At lr {descent.lr:g} the linear PDE is stable at no weight decay"
    side = "inside" if descent.weight_decay in here else "below" if descent.weight_decay <= here.lower else "above"
    return (
        f"At lr {descent.lr:g} the linear PDE is stable for weight decay {in_words(here.lower)} to "
        f"{in_words(here.upper)}; "
        f"{descent.weight_decay:g} is {side}"
    )


def _rows(found: Band) -> list[dict[str, Any]]:
    """Both zones, each a row of lists over the learning rates, cut to the picture; of no height where one is empty."""
    foot, top = WEIGHT_DECAYS[0], WEIGHT_DECAYS[-1]
    ends = {"stable": (found.lower, found.upper), "blow-up": (found.limit, np.full_like(found.limit, np.inf))}
    rows = []
    for name, (lows, highs) in ends.items():
        low = np.clip(lows, foot, top)
        high = np.maximum(np.clip(highs, foot, top), low)
        rows.append({"zone": _ZONES[name], "at": _short(found.lr), "low": _short(low), "high": _short(high)})
    return rows


def _short(values: Array) -> list[float]:
    return [float(f"{value:.4g}") for value in values]


@cache
def _form() -> dict[str, Any]:
    x = alt.X("at:Q", scale=_scale(LEARNING_RATES), axis=_axis("learning rate (log scale)"))
    y = alt.Y("low:Q", scale=_scale(WEIGHT_DECAYS), axis=_axis("weight decay (log scale)"))
    zones = alt.Color(
        "zone:N",
        scale=alt.Scale(domain=list(_ZONES.values()), range=[REGIME_LINES[name] for name in _ZONES]),
        legend=alt.Legend(title=None, orient="top", columns=1),
    )
    base = alt.Chart(alt.NamedData("rows")).transform_flatten(["at", "low", "high"])
    areas = base.mark_area(opacity=0.45, clip=True).encode(x=x, y=y, y2="high:Q", color=zones)
    return form(alt.LayerChart(layer=[areas, *_point(), _cells()]))


def _point() -> list[AnyChart]:
    ink, base = INK["light"], alt.Chart(alt.NamedData("point"))
    return [
        base.mark_rule(color=ink, strokeDash=[2, 3], opacity=0.6).encode(x="lr:Q"),
        base.mark_rule(color=ink, strokeDash=[2, 3], opacity=0.6).encode(y="weight_decay:Q"),
        base.mark_point(filled=True, size=130, opacity=1, color=ink).encode(x="lr:Q", y="weight_decay:Q"),
    ]


def _cells() -> AnyChart:
    """Unseen cells around some of the sliders' values, for a click to choose one."""
    rates, decays = len(LEARNING_RATES[::_MET]), len(WEIGHT_DECAYS[::_MET])
    click = alt.selection_point(name=CHOSEN, fields=["lr", "weight_decay"], on="click", toggle=False)
    x, y = (f"{values[0]!r} * pow({_ratio(values)!r}, " for values in (LEARNING_RATES, WEIGHT_DECAYS))
    i, j = f"(datum.cell % {rates})", f"floor(datum.cell / {rates})"
    cells: AnyChart = (
        alt.Chart(alt.sequence(0, rates * decays, as_="cell"))
        .transform_calculate(lr=f"{x}{i})", weight_decay=f"{y}{j})")
        .transform_calculate(left=f"{x}{i} - 0.5)", right=f"{x}{i} + 0.5)")
        .transform_calculate(bottom=f"{y}{j} - 0.5)", top=f"{y}{j} + 0.5)")
        .mark_rect(opacity=0, clip=True, cursor="crosshair")
        .encode(x="left:Q", x2="right:Q", y="bottom:Q", y2="top:Q")
        .add_params(click)
    )
    return cells


def _ratio(values: Sequence[float]) -> float:
    return float((values[-1] / values[0]) ** (_MET / (len(values) - 1)))


def _scale(values: Sequence[float]) -> alt.Scale:
    return alt.Scale(type="log", domain=[values[0], values[-1]], nice=False)


def _axis(title: str) -> alt.Axis:
    return alt.Axis(title=title, grid=False, format=",.6~g", tickCount=5, labelOverlap=True)
