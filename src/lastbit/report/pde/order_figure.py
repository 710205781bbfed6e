"""Errors against the size that they fall with, on two logarithmic axes (theorems 5.2, 5.5, 5.7)."""

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from lastbit.report.figure import ROWS, AnyChart, Figure
from lastbit.report.log_axis import decades, power_axis
from lastbit.report.look import colours, shapes


def order_figure(
    series: Sequence[Mapping[str, Any]], *, name: str, title: str, note: str, x_title: str, y_title: str
) -> Figure:
    """A line with marks for each series; a power law is straight, its order the slope.

    Args:
        series: `name`, and lists `size` (positive) and `error`.
        name: fit for a file name.
        title: the finding.
        note: how to read it.
        x_title: of the sizes.
        y_title: of the errors.
    """
    rows = [
        {"series": each["name"], "size": size, "error": error}
        for each in series
        for size, error in zip(each["size"], each["error"], strict=True)
        if error is not None
    ]
    return Figure(name, title, note, _chart(rows, x_title, y_title), rows)


def _chart(rows: Sequence[Mapping[str, Any]], x_title: str, y_title: str) -> AnyChart:
    names = list(dict.fromkeys(row["series"] for row in rows))
    x, y = (decades(row[field] for row in rows) for field in ("size", "error"))
    legend = alt.Legend(title=None, orient="top", columns=2, labelLimit=400)
    chart: AnyChart = (
        alt.Chart(ROWS)
        .transform_calculate(at=y.position("error"))
        .mark_line(point=alt.OverlayMarkDef(filled=True, size=70), strokeWidth=2)
        .encode(
            x=alt.X("size:Q", scale=x.scale(), axis=power_axis(x, f"{x_title} (log scale)")),
            y=alt.Y("at:Q", scale=y.scale(), axis=power_axis(y, f"{y_title} (log scale)")),
            color=alt.Color("series:N", scale=colours(names), legend=legend),
            shape=alt.Shape("series:N", scale=alt.Scale(domain=names, range=shapes(len(names))), legend=legend),
            tooltip=["series:N", alt.Tooltip("size:Q", format=".3g"), alt.Tooltip("error:Q", format=".2e")],
        )
    )
    return chart
