"""The line chart: curves told apart by colour and dash, over reference lines; linear or logarithmic axes."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Literal, TypeAlias

import altair as alt

from lastbit.report.charts.axes import Axis, FittedAxis
from lastbit.report.charts.curves import LABEL_PLACES, Curve, CurveChoice, Level, level_labels, level_rows, short
from lastbit.report.charts.figure import HEIGHT, AnyChart, Chart, form
from lastbit.report.charts.look import DASHED, MUTED, WARM, colours, dashes, shapes

LabelPlace: TypeAlias = Literal["beyond", "inside"]
_PADDING = 8  # pixels around points


@dataclass(frozen=True)
class _Layout:
    """All of a line chart but its data."""

    x: FittedAxis
    y: FittedAxis
    labels: tuple[str, ...]
    given: tuple[tuple[str, str], ...]  # label and colour
    names: tuple[str, ...]  # fields that tell curves apart, beside the label
    marks: str
    columns: int
    parts: frozenset[str]  # which layers there are
    dashed: bool  # whether the label decides the dash
    choice: CurveChoice | None


def line_chart(
    curves: Sequence[Curve],
    *,
    x: Axis,
    y: Axis,
    levels: Sequence[Level] = (),
    at: LabelPlace = "beyond",
    jumps: Sequence[float] = (),
    marks: Literal["", "points", "nearest"] = "",
    choice: CurveChoice | None = None,
    given: Mapping[str, str] | None = None,
    columns: int = 4,
    height: int = HEIGHT,
) -> Chart:
    """Draw curves that share their axes.

    Args:
        curves: at least one of them has a point.
        x: the horizontal axis.
        y: the vertical axis.
        levels: values across the picture.
        at: where the labels of levels stand: to the right of the picture, or inside it where the fewest curves cross.
        jumps: places that are marked by a vertical line.
        marks: `points` draws every value, with its numbers under the pointer; `nearest` says those of the value nearest
            to the pointer, and fades all other curves.
        choice: of one curve among many.
        given: the colour of each label, where they are fixed.
        columns: of the legend, where there is room.
        height: pixels of the drawing area.
    """
    data = _data(curves, jumps)
    over = [value for row in data["rows"] for name in ("y", "low", "high") for value in row.get(name, ())]
    lone = all(len(row["x"]) == 1 for row in data["rows"])
    padding = _PADDING if lone or marks == "points" or any(curve.style == "points" for curve in curves) else 0
    across = replace(x.fit(value for row in data["rows"] for value in row["x"]), padding=padding)
    up = replace(y.fit([*over, *(level.value for level in levels)]), padding=padding)
    if levels:
        data["levels"] = level_rows(levels, curves, across, up, inside=at == "inside", height=height)
    layout = _Layout(
        x=across,
        y=up,
        labels=tuple(dict.fromkeys(curve.label for curve in curves)),
        given=tuple((given or {}).items()),
        names=tuple(dict.fromkeys(name for curve in curves for name in curve.names)),
        marks=marks or ("points" if lone else ""),
        columns=columns,
        parts=frozenset({*data, *_styles(curves), *(row["corner"] for row in data.get("levels", ()))}),
        dashed=len({curve.label for curve in curves if curve.style == "line"}) == len(curves) and not choice,
        choice=choice,
    )
    return Chart(_form(layout), data, height)


def _styles(curves: Sequence[Curve]) -> set[str]:
    return {*(curve.style for curve in curves), *("band" for curve in curves if curve.band)}


def _data(curves: Sequence[Curve], jumps: Sequence[float]) -> dict[str, list[dict[str, Any]]]:
    drawn = [(curve, points) for curve in curves if (points := curve.points())]
    banded = any(curve.band for curve, _ in drawn)
    data: dict[str, list[dict[str, Any]]] = {
        "rows": [curve.row(banded=banded) for curve, _ in drawn],
        "ends": [
            {"curve": curve.label, "x": short(points[-1][0]), "y": short(points[-1][1])}
            for curve, points in drawn
            if curve.ended
        ],
        "jumps": [{"at": at} for at in jumps],
    }
    return {name: part for name, part in data.items() if part}


@lru_cache(maxsize=256)
def _form(layout: _Layout) -> dict[str, Any]:
    lists: Any = ["x", "y", *(["low", "high"] if "band" in layout.parts else [])]
    rows = (
        alt.Chart(alt.NamedData("rows"))
        .transform_flatten(lists)
        .transform_calculate(at_x=layout.x.position("x"), at_y=layout.y.position("y"))
        .encode(x=layout.x.x("at_x"))
    )
    base = rows.encode(y=layout.y.y("at_y"), **_told_apart(layout))
    layers: list[AnyChart] = []
    if "band" in layout.parts:
        area = rows.mark_area(opacity=0.2).encode(y=layout.y.y("low"), y2="high:Q")
        layers.append(area.encode(color=_colour(layout, _legend(layout)), detail="curve:N"))
    levels = alt.Chart(alt.NamedData("levels")).encode(y=layout.y.y("level"))
    if "levels" in layout.parts:
        layers.append(levels.mark_rule(color=MUTED, strokeWidth=1.5, strokeDash=DASHED))
    layers += _curves(layout, base)
    layers += [level_labels(levels, place) for place in LABEL_PLACES if place in layout.parts]
    if "ends" in layout.parts:
        layers.append(_crosses(layout))
    if "jumps" in layout.parts:
        rule = alt.Chart(alt.NamedData("jumps")).mark_rule(strokeDash=[3, 3], color=WARM, strokeWidth=1.5)
        layers.append(rule.encode(x=layout.x.x("at")))
    return form(alt.LayerChart(layer=layers))


def _told_apart(layout: _Layout) -> dict[str, Any]:
    detail = [f"{name}:N" for name in (*layout.names, "style")]
    if layout.choice is not None:
        return {"detail": ["curve:N", *detail]}
    legend = _legend(layout)
    channels: dict[str, Any] = {"detail": detail, "color": _colour(layout, legend)}
    if layout.dashed:
        channels["strokeDash"] = alt.StrokeDash("curve:N", scale=dashes(layout.labels), legend=legend)
    elif "dashed" in layout.parts:
        styles = alt.Scale(domain=["line", "dashed"], range=[[1, 0], [6, 3]])
        channels["strokeDash"] = alt.StrokeDash("style:N", scale=styles, legend=None)
    if layout.marks == "points" or "points" in layout.parts:
        channels["shape"] = alt.Shape("curve:N", scale=shapes(layout.labels), legend=legend)
    return channels


def _colour(layout: _Layout, legend: alt.Legend | None) -> alt.Color:
    return alt.Color("curve:N", scale=colours(layout.labels, dict(layout.given)), legend=legend)


def _legend(layout: _Layout) -> alt.Legend | None:
    """One for all layers: Vega-Lite complains of layers that disagree."""
    if len(layout.labels) < 2:
        return None
    if layout.marks == "points" or "points" in layout.parts:
        return alt.Legend(title=None, orient="top", columns=layout.columns, symbolOpacity=1)
    stroke: dict[str, Any] = {"symbolType": "stroke", "symbolSize": 400, "symbolStrokeWidth": 2, "symbolOpacity": 1}
    return alt.Legend(title=None, orient="top", columns=layout.columns, **stroke)


def _curves(layout: _Layout, base: alt.Chart) -> list[AnyChart]:
    if layout.choice is not None:
        return _chosen(layout, base, layout.choice)
    points = base.transform_filter("datum.style === 'points'") if "points" in layout.parts else None
    lines = _without_shape(base if points is None else base.transform_filter("datum.style !== 'points'"))
    layers: list[AnyChart] = []
    if layout.parts & {"line", "dashed"}:
        line = lines.mark_line(strokeWidth=1.8, point=False)
        layers += _nearest(layout, lines) if layout.marks == "nearest" else [line]
    if layout.marks == "points":
        points = base
    if points is not None:
        layers.append(points.mark_point(filled=True, size=50, opacity=1).encode(tooltip=_tooltip(layout)))
    return layers


def _without_shape(chart: alt.Chart) -> alt.Chart:
    """A chart to draw lines of: Vega-Lite complains of lines that are to have the shape of points."""
    lines = chart.copy()
    lines.encoding.shape = alt.Undefined
    return lines


def _nearest(layout: _Layout, base: alt.Chart, **look: Any) -> list[AnyChart]:
    """Lines with a point under the pointer, and the rest faded while one is pointed at."""
    fields = list(layout.names) or ["curve"]
    hover = alt.selection_point(
        name="pointed_at", fields=fields, nearest=True, on="pointerover", clear="pointerout", empty=True
    )
    shown, faded = alt.value(0.9), alt.value(0.12)
    points = base.mark_point(filled=True, size=26).encode(
        opacity=alt.when(hover).then(shown).otherwise(faded),
        tooltip=alt.TooltipValue(alt.ExprRef(_nearest_words(layout, fields))),
    )
    lines = base.mark_line(**look).encode(opacity=alt.when(hover).then(shown).otherwise(faded))
    return [lines, points.add_params(hover)]


def _nearest_words(layout: _Layout, fields: Sequence[str]) -> str:
    """Vega expression for what the tooltip of the nearest point says.

    Vega-Lite's own says `undefined` for every text of the nearest point: what lies under the pointer is a cell around
    the point, and the point's row is the datum of the cell's datum.
    """
    row = "(datum.datum || datum)"
    words = [f"{json.dumps(name)}: {row}.{name}" for name in fields]
    words += [
        f"{json.dumps(axis.name)}: format({row}.{place}, {json.dumps(axis.format)})"
        for axis, place in ((layout.x.axis, "x"), (layout.y.axis, "y"))
    ]
    return f"{{{', '.join(words)}}}"


def _tooltip(layout: _Layout) -> list[alt.Tooltip]:
    return [
        *([alt.Tooltip("curve:N", title="curve")] if len(layout.labels) > 1 else []),
        *(alt.Tooltip(f"{name}:N") for name in layout.names),
        alt.Tooltip("x:Q", title=layout.x.axis.name or "x", format=layout.x.axis.format),
        alt.Tooltip("y:Q", title=layout.y.axis.name or "y", format=layout.y.axis.format),
    ]


def _crosses(layout: _Layout) -> AnyChart:
    """A cross at the last point of a curve that ended."""
    base = alt.Chart(alt.NamedData("ends")).transform_calculate(
        at_x=layout.x.position("x"), at_y=layout.y.position("y")
    )
    crosses: AnyChart = base.mark_text(text="✕", fontSize=15, fontWeight="bold", clip=False)
    return crosses.encode(x=layout.x.x("at_x"), y=layout.y.y("at_y"), color=_colour(layout, _legend(layout)))


def _chosen(layout: _Layout, base: alt.Chart, choice: CurveChoice) -> list[AnyChart]:
    """All curves in grey, fainter where they are many, and the chosen one in colour."""
    param = alt.param(
        name="chosen",
        value=choice.first,
        bind=alt.binding_select(options=list(layout.labels), name=f"{choice.label} "),
    )
    faint = max(0.1, min(0.4, 12 / len(layout.labels)))
    every = base.mark_line(color=MUTED, opacity=faint, strokeWidth=1).add_params(param)
    return [every, *_nearest(layout, base.transform_filter("datum.curve === chosen"), strokeWidth=2.5)]
