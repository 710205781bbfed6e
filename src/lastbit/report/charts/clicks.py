"""Clicks in a chart: a grid of invisible cells over it, one of which a click selects."""

from dataclasses import replace
from functools import lru_cache
from typing import Any

import altair as alt

from lastbit.report.charts.figure import Chart, form

Values = tuple[str, tuple[float, ...]]  # a field, and its values, ascending by a constant ratio


def with_clicks(chart: Chart, *, name: str, x: Values, y: Values) -> Chart:
    """A chart on logarithmic axes in which a click selects a pair of values.

    The cells are computed in the browser, so the grid adds nothing to the data that are sent.

    Args:
        chart: the chart; it has layers.
        name: of the selection; it holds the values by the names of the fields.
        x: of the horizontal axis.
        y: of the vertical axis.
    """
    cells = _cells(name, x, y)
    # The cells' data stand at the top of their own form, where the chart has its rows.
    layers = [*chart.form["layer"], {**cells["layer"][0], "data": cells["data"]}]
    params = [*chart.form.get("params", []), *cells["params"]]
    return replace(chart, form={**chart.form, "layer": layers, "params": params})


@lru_cache(maxsize=16)
def _cells(name: str, x: Values, y: Values) -> dict[str, Any]:
    (field_x, values_x), (field_y, values_y) = x, y
    at_x, at_y = f"(datum.cell % {len(values_x)})", f"floor(datum.cell / {len(values_x)})"
    click = alt.selection_point(name=name, fields=[field_x, field_y], on="click", toggle=False)
    cells = (
        alt.Chart(alt.sequence(0, len(values_x) * len(values_y), as_="cell"))
        .transform_calculate(**{field_x: _value(values_x, at_x), field_y: _value(values_y, at_y)})
        .transform_calculate(left=_value(values_x, f"{at_x} - 0.5"), right=_value(values_x, f"{at_x} + 0.5"))
        .transform_calculate(bottom=_value(values_y, f"{at_y} - 0.5"), top=_value(values_y, f"{at_y} + 0.5"))
        .mark_rect(opacity=0, clip=True, cursor="crosshair")
        .encode(x="left:Q", x2="right:Q", y="bottom:Q", y2="top:Q")
        .add_params(click)
    )
    return form(alt.LayerChart(layer=[cells]))


def _value(values: tuple[float, ...], place: str) -> str:
    """Vega expression for the value at a place of a geometric sequence."""
    ratio = (values[-1] / values[0]) ** (1 / (len(values) - 1))
    return f"{float(values[0])!r} * pow({float(ratio)!r}, {place})"
