"""The heat map: cells of kinds or of numbers around 1, with lines over them."""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import altair as alt

from lastbit.report.charts.axes import Axis, FittedAxis
from lastbit.report.charts.figure import HEIGHT, AnyChart, Chart, Rows, form
from lastbit.report.charts.look import INK

_MOST_MARKS = 40  # along an axis that have room beside each other


@dataclass(frozen=True)
class Kinds:
    """Cells of kinds: a sign in them tells them apart without colour."""

    title: str  # of the legend
    fills: Mapping[str, str]


@dataclass(frozen=True)
class Factors:
    """Cells of factors, by their decimal logarithms: orange above 1, blue below."""

    title: str  # of the legend
    reach: float  # decades each way of the colour scale; what is beyond has its last colour


@dataclass(frozen=True)
class Overlay:
    """A line over the cells."""

    label: str  # decides its colour
    x: Sequence[float]
    y: Sequence[float | None]
    style: str = ""  # decides its dash


@dataclass(frozen=True)
class OverlayLook:
    """How lines over the cells look. Where they coincide, the narrower lies on the wider."""

    colours: Mapping[str, str]  # by label
    widths: Mapping[str, float]  # pixels
    dashes: Mapping[str, list[int]]  # by style
    titles: tuple[str, str] = ("", "")  # of the legends of labels and of styles


def heat_map(
    cells: Rows,
    *,
    x: FittedAxis,
    y: FittedAxis | Sequence[str],
    colour: Kinds | Factors,
    tooltip: Mapping[str, str],
    overlays: Sequence[Overlay] = (),
    look: OverlayLook | None = None,
    height: int = HEIGHT,
) -> Chart:
    """Draw cells in the colour of what they show.

    Args:
        cells: each with `left`, `right`, `bottom`, `top`, or `row` in place of the last two, and `shown`: the kind, or
            the decimal logarithm of the factor. With kinds also `middle`, `centre` and `sign`.
        x: the horizontal axis.
        y: the vertical axis, or the names of the rows from the top down.
        colour: what colours stand for.
        tooltip: what is shown of a cell under the pointer, with its format; empty for words.
        overlays: lines over the cells.
        look: of these.
        height: pixels of the drawing area.
    """
    base = alt.Chart(alt.NamedData("rows"))
    across: dict[str, Any] = {"x": x.x("left"), "x2": "right:Q"}
    if isinstance(y, FittedAxis):
        across |= {"y": y.y("bottom"), "y2": "top:Q"}
    else:
        names = alt.Axis(title=None, grid=False, labelLimit=150)
        across["y"] = alt.Y("row:N", sort=list(y), axis=names)
    drawn = base.mark_rect(strokeWidth=0).encode(**across, color=_colour(colour), tooltip=_tooltip(tooltip))
    layers: list[AnyChart] = [drawn]
    if isinstance(colour, Kinds):
        sign = base.mark_text(fontSize=8, color=INK["light"], opacity=0.6)
        layers.append(sign.encode(x="middle:Q", y="centre:Q", text="sign:N"))
    data: dict[str, Rows] = {"rows": cells}
    rows = _overlay_rows(overlays)
    if rows and look is not None and isinstance(y, FittedAxis):
        layers.append(_overlaid(look, [overlay.label for overlay in overlays], x, y))
        data["lines"] = rows
    chart: alt.LayerChart = alt.LayerChart(layer=layers).resolve_scale(color="independent")
    return Chart(form(chart), data, height)


def _tooltip(shown: Mapping[str, str]) -> list[alt.Tooltip]:
    return [
        alt.Tooltip(f"{name}:Q", format=pattern) if pattern else alt.Tooltip(f"{name}:N")
        for name, pattern in shown.items()
    ]


def _colour(colour: Kinds | Factors) -> alt.Color:
    if isinstance(colour, Kinds):
        legend = alt.Legend(title=colour.title, orient="top", symbolType="square", symbolSize=180)
        fills = alt.Scale(domain=list(colour.fills), range=list(colour.fills.values()))
        return alt.Color("shown:N", scale=fills, legend=legend)
    # A factor as people write it: 10, 1, 1/10.
    factor = "(datum.value < -1e-9 ? '1/' : '') + format(pow(10, abs(datum.value)), '.2~r')"
    legend = alt.Legend(title=colour.title, orient="top", gradientLength=240, labelExpr=factor, tickCount=5)
    scale = alt.Scale(scheme="blueorange", domain=[-colour.reach, colour.reach], clamp=True)
    return alt.Color("shown:Q", scale=scale, legend=legend)


def _overlay_rows(overlays: Sequence[Overlay]) -> list[dict[str, Any]]:
    return [
        {"line": number, "label": overlay.label, "style": overlay.style, "place": place, "x": x, "y": y}
        for number, overlay in enumerate(overlays)
        for place, (x, y) in enumerate(zip(overlay.x, overlay.y, strict=True))
        if y is not None
    ]


def _overlaid(look: OverlayLook, present: Sequence[str], x: FittedAxis, y: FittedAxis) -> alt.LayerChart:
    labels = [label for label in look.colours if label in present]
    legend = alt.Legend(title=look.titles[0], orient="top", symbolSize=300, symbolStrokeWidth=3)
    styles = alt.Legend(title=look.titles[1], orient="top", symbolSize=500, symbolStrokeWidth=2)
    scale = alt.Scale(domain=labels, range=[look.colours[label] for label in labels])
    dashes = alt.Scale(domain=list(look.dashes), range=list(look.dashes.values()))
    base = alt.Chart(alt.NamedData("lines")).encode(
        x=x.x("x"),
        y=y.y("y"),
        detail="line:N",
        order="place:Q",
        color=alt.Color("label:N", scale=scale, legend=legend),
        strokeDash=alt.StrokeDash("style:N", scale=dashes, legend=styles),
    )
    return alt.LayerChart(
        layer=[
            base.transform_filter(alt.FieldEqualPredicate(field="label", equal=label)).mark_line(
                clip=True, strokeWidth=look.widths[label]
            )
            for label in labels
        ]
    )


def grid_axis(title: str, values: Sequence[float]) -> tuple[FittedAxis, list[float]]:
    """The axis of a grid of cells around ascending values, logarithmic where these grow by a constant ratio.

    Returns:
        The axis, and the borders of the cells.
    """
    borders = edges(values)
    axis = Axis(title, log=is_geometric(values), domain=(borders[0], borders[-1]))
    return axis.fit(values), borders


def marked(place: int, count: int) -> bool:
    """Whether a cell at this place of so many along an axis has room for a sign."""
    return place % math.ceil(count / _MOST_MARKS) == 0


def edges(values: Sequence[float]) -> list[float]:
    """The borders of cells around ascending values: halfway between them, geometrically on a geometric grid."""
    if is_geometric(values):
        return [math.exp(edge) for edge in edges_between([math.log(value) for value in values])]
    return edges_between(values)


def edges_between(values: Sequence[float]) -> list[float]:
    """The midpoints of values, and as far beyond the outermost; a lone value gets a width of a tenth of it."""
    if len(values) == 1:
        half = abs(values[0]) / 20 or 0.5
        return [values[0] - half, values[0] + half]
    middles = [(low + high) / 2 for low, high in itertools.pairwise(values)]
    return [2 * values[0] - middles[0], *middles, 2 * values[-1] - middles[-1]]


def is_geometric(values: Sequence[float]) -> bool:
    """Whether the values grow by a constant ratio, so that a logarithmic axis spaces them evenly."""
    if len(values) < 3 or values[0] <= 0:
        return False
    ratio = values[1] / values[0]
    return all(abs(b / a / ratio - 1) < 1e-6 for a, b in itertools.pairwise(values)) and ratio > 1


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
