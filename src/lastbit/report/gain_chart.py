"""The least gain that so many runs show."""

from collections.abc import Mapping
from typing import Any

import altair as alt

from lastbit.report.figure import ROWS, Figure
from lastbit.report.look import MUTED
from lastbit.report.metric import Metric, metric_of
from lastbit.report.stored import Study

NAME = "gain"
_HEIGHT = 260  # pixels
_TITLED = "6"  # runs that the title speaks of


def gain_figure(study: Study) -> Figure:
    """What comparisons with another recipe of this spread could find."""
    gains, spread = study["least_detectable_gain"], study["std"]["seed"]["pooled"]
    if gains is None or spread["std"] == 0:
        return Figure(
            NAME,
            "The least detectable gain is not known",
            "It takes finished runs of at least two seeds that do not all agree.",
        )
    metric = metric_of(study)
    rows = gain_rows(gains, (spread["lower"] / spread["std"], spread["upper"] / spread["std"]))
    note = (
        f"The gain of another recipe that n runs of each, every run with its own {metric.own}, tell from noise in 80 "
        "% of cases (two-sided Welch’s t test at 5 %, noncentral t). The band is the 95 % interval that comes from "
        f"knowing the spread of single runs only as {metric.spread(spread['std'])}{metric.points} "
        f"({metric.interval(spread)})."
    )
    least = f"{metric.spread(gains[_TITLED])}{metric.points}"
    return Figure(
        NAME,
        f"With {_TITLED} runs of each recipe, gains below {least} mostly go unseen",
        note + _floor(study["noise_floor"], metric),
        draw_gains(rows, "gain (points)" if metric.is_percentage else "gain"),
        rows,
        height=_HEIGHT,
    )


def _floor(noise_floor: float | None, metric: Metric) -> str:
    if noise_floor is None:
        return ""
    return (
        " The noise floor: the last bit alone sets two single runs of one recipe and seed "
        f"{metric.spread(noise_floor)}{metric.points} or more apart in one case of twenty."
    )


def gain_rows(gains: Mapping[str, float], bounds: tuple[float, float] | None) -> list[dict[str, Any]]:
    """A row for each number of runs.

    Args:
        gains: least detectable gain by number of runs.
        bounds: of the spread's interval, as shares of the spread; None where it is not known.
    """
    low, high = bounds or (1.0, 1.0)
    return [
        {"runs": int(runs), "gain": gain, "lower": gain * low, "upper": gain * high}
        for runs, gain in sorted(gains.items(), key=lambda item: int(item[0]))
    ]


def draw_gains(rows: list[dict[str, Any]], title: str, *, observed: float | None = None) -> alt.LayerChart:
    """Least gain against runs, both on logarithmic axes, since one falls about as the root of the other.

    Args:
        rows: from `gain_rows`.
        title: of the vertical axis.
        observed: a difference that was found, drawn across.
    """
    runs = [row["runs"] for row in rows]
    axis = alt.Axis(title="runs of each recipe", values=runs, format="d", labelOverlap=True, grid=False)
    x = alt.X("runs:Q", scale=alt.Scale(type="log", domain=[runs[0], runs[-1]], nice=False), axis=axis)
    logarithmic = alt.Scale(type="log", nice=False)
    y_axis = alt.Axis(title=title, tickCount=5, format="~g")
    base = alt.Chart(ROWS).encode(x=x)
    band = base.mark_area(opacity=0.2).encode(y=alt.Y("lower:Q", scale=logarithmic, axis=y_axis), y2="upper:Q")
    line = base.mark_line(point=alt.OverlayMarkDef(filled=True, size=50)).encode(
        y=alt.Y("gain:Q", scale=logarithmic, axis=y_axis),
        tooltip=[alt.Tooltip("runs:Q"), alt.Tooltip("gain:Q", format=".3~g", title="least detectable gain")],
    )
    if observed is None or observed == 0:
        return alt.LayerChart(layer=[band, line])
    at = alt.YDatum(abs(observed), scale=logarithmic, axis=y_axis)
    first = alt.Chart(ROWS).transform_filter(alt.FieldEqualPredicate(field="runs", equal=runs[0]))
    rule = first.mark_rule(strokeDash=[5, 4], strokeWidth=2, color=MUTED).encode(y=at)
    text = first.mark_text(align="right", dy=-9, dx=-4).encode(
        x=alt.value("width"), y=at, text=alt.value("difference found")
    )
    return alt.LayerChart(layer=[band, line, rule, text])
