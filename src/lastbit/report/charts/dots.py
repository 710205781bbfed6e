"""The strip of dots by group, with intervals, means and reference lines; of one dot a group it is an interval chart."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from typing import Any

import altair as alt

from lastbit.report.charts.axes import Axis, FittedAxis
from lastbit.report.charts.figure import HEIGHT, AnyChart, Chart, form
from lastbit.report.charts.look import DASHED, MUTED, colours, shapes


@dataclass(frozen=True)
class Dot:
    """A value of a group."""

    group: str | int
    value: float
    kind: str = ""  # decides colour and shape
    names: Mapping[str, Any] = field(default_factory=dict)  # what else is shown under the pointer


@dataclass(frozen=True)
class Span:
    """An interval of a group."""

    group: str | int
    low: float
    high: float
    kind: str = ""  # of the dot that it stands behind
    grey: bool = False  # rather than in the colour of its kind; of no kind it is grey too
    width: int = 3  # pixels


@dataclass(frozen=True)
class Mean:
    """A bar across a group."""

    group: str | int
    value: float


@dataclass(frozen=True)
class Reference:
    """A dashed line across all groups; of no kind it is grey."""

    value: float
    kind: str = ""


@dataclass(frozen=True)
class GreyBand:
    """A grey band across all groups."""

    low: float
    high: float


@dataclass(frozen=True)
class Beyond:
    """An arrow at an end of the axis of values: what it belongs to goes on."""

    group: str | int
    value: float  # of that end
    below: bool  # whether it points to smaller values
    kind: str = ""  # decides the colour


_PADDING = 8  # pixels between the outermost dots and the ends of the axis of values
_DATA = {Span: "spans", Mean: "means", Reference: "references", GreyBand: "bands", Beyond: "arrows"}


@dataclass(frozen=True)
class _Layout:
    """All of a chart but its data."""

    groups: tuple[str | int, ...]
    group_title: str | None
    value: FittedAxis
    kinds: tuple[str, ...]
    given: tuple[tuple[str, str], ...]
    names: tuple[str, ...]
    upright: bool
    beside: bool
    parts: frozenset[str]


def dot_chart(
    dots: Sequence[Dot],
    *,
    groups: Sequence[str | int],
    value: Axis,
    group_title: str | None = None,
    kinds: Sequence[str] = (),
    given: Mapping[str, str] | None = None,
    upright: bool = True,
    beside: bool = False,
    behind: Sequence[Span | Mean | Reference | GreyBand | Beyond] = (),
    height: int = HEIGHT,
) -> Chart:
    """Draw a dot for each value, its group on one axis and its value on the other.

    Args:
        dots: at least one.
        groups: in the order of the axis.
        value: the axis of values.
        group_title: of the axis of groups, where their names do not say it.
        kinds: in the order of the legend, which is left out where kinds are the groups.
        given: the colour of each kind, where they are fixed.
        upright: whether values run upwards; else to the right.
        beside: whether kinds stand side by side within a group.
        behind: what is drawn behind the dots.
        height: pixels of the drawing area.
    """
    data = {"rows": [{"group": dot.group, "value": dot.value, "kind": dot.kind, **dot.names} for dot in dots]}
    for mark in behind:
        data.setdefault(_DATA[type(mark)], []).append(asdict(mark))
    reach = [row[end] for rows in data.values() for row in rows for end in ("value", "low", "high") if end in row]
    layout = _Layout(
        groups=tuple(groups),
        group_title=group_title,
        value=replace(value.fit(reach), padding=_PADDING),
        kinds=tuple(kinds),
        given=tuple((given or {}).items()),
        names=tuple(dict.fromkeys(name for dot in dots for name in dot.names)),
        upright=upright,
        beside=beside,
        parts=frozenset({*data, *("kinds" for mark in behind if isinstance(mark, Span) and mark.kind)}),
    )
    return Chart(_form(layout), data, height)


@lru_cache(maxsize=256)
def _form(layout: _Layout) -> dict[str, Any]:
    layers: list[AnyChart] = []
    if "bands" in layout.parts:
        band = alt.Chart(alt.NamedData("bands")).mark_rect(color=MUTED, opacity=0.18)
        layers.append(band.encode(**_values(layout, "low", "high")))
    if "spans" in layout.parts:
        layers.append(_spans(layout))
    if "arrows" in layout.parts:
        layers += [_arrows(layout, below=below) for below in (True, False)]
    if "references" in layout.parts:
        rule = alt.Chart(alt.NamedData("references")).transform_calculate(at=layout.value.position("value"))
        drawn = rule.mark_rule(strokeWidth=1.5, strokeDash=DASHED)
        layers.append(drawn.encode(**_values(layout, "at"), color=_kind_or_grey(layout)))
    if "means" in layout.parts:
        mean = alt.Chart(alt.NamedData("means")).transform_calculate(at=layout.value.position("value"))
        tick = mean.mark_tick(thickness=3, size=40, color=MUTED)
        layers.append(tick.encode(**_groups(layout), **_values(layout, "at")))
    dots = alt.Chart(alt.NamedData("rows")).transform_calculate(at=layout.value.position("value"))
    marks = dots.mark_point(filled=True, size=80, opacity=0.9, clip=False)
    layers.append(
        marks.encode(
            **_groups(layout, of_kind=True), **_values(layout, "at"), **_looks(layout), tooltip=_tooltip(layout)
        )
    )
    return form(alt.LayerChart(layer=layers))


def _spans(layout: _Layout) -> AnyChart:
    spans = alt.Chart(alt.NamedData("spans")).transform_calculate(
        at_low=layout.value.position("low"), at_high=layout.value.position("high")
    )
    drawn: AnyChart = spans.mark_rule(opacity=0.5)
    return drawn.encode(
        **_groups(layout, of_kind="kinds" in layout.parts),
        **_values(layout, "at_low", "at_high"),
        color=_kind_or_grey(layout),
        strokeWidth=alt.StrokeWidth("width:Q", scale=None, legend=None),
    )


def _arrows(layout: _Layout, *, below: bool) -> AnyChart:
    shapes_of = ("triangle-down", "triangle-up") if layout.upright else ("triangle-left", "triangle-right")
    arrows = alt.Chart(alt.NamedData("arrows")).transform_filter(f"datum.below === {str(below).lower()}")
    placed = arrows.transform_calculate(at=layout.value.position("value"), grey="false")
    drawn: AnyChart = placed.mark_point(filled=True, size=60, opacity=0.9, shape=shapes_of[0 if below else 1])
    return drawn.encode(**_groups(layout, of_kind=True), **_values(layout, "at"), color=_kind_or_grey(layout))


def _groups(layout: _Layout, *, of_kind: bool = False) -> dict[str, Any]:
    sort: Any = list(layout.groups)
    if not layout.upright:
        axis = alt.Axis(title=layout.group_title, labelLimit=200)
        return {"y": alt.Y("group:N", sort=sort, axis=axis)}
    channels: dict[str, Any] = {
        "x": alt.X("group:O", sort=sort, axis=alt.Axis(title=layout.group_title, labelAngle=0, labelLimit=150))
    }
    if layout.beside and of_kind:
        channels["xOffset"] = alt.XOffset("kind:N", scale=alt.Scale(domain=list(layout.kinds)))
    return channels


def _values(layout: _Layout, first: str, last: str | None = None) -> dict[str, Any]:
    ends = {} if last is None else {"y2" if layout.upright else "x2": f"{last}:Q"}
    channel = {"y": layout.value.y(first)} if layout.upright else {"x": layout.value.x(first)}
    return channel | ends


def _kind_or_grey(layout: _Layout) -> Any:
    if not layout.kinds:
        return alt.value(MUTED)
    return alt.when("datum.grey || datum.kind === ''").then(alt.value(MUTED)).otherwise(_colour(layout))


def _colour(layout: _Layout) -> alt.Color:
    return alt.Color("kind:N", scale=colours(layout.kinds, dict(layout.given)), legend=_legend(layout))


def _legend(layout: _Layout) -> alt.Legend | None:
    if not _has_legend(layout):
        return None
    return alt.Legend(title=None, orient="top", columns=4, symbolOpacity=1)


def _has_legend(layout: _Layout) -> bool:
    return len(layout.kinds) > 1 and set(layout.kinds) != set(layout.groups)


def _looks(layout: _Layout) -> dict[str, Any]:
    if not layout.kinds:
        return {}
    return {
        "color": _colour(layout),
        "shape": alt.Shape("kind:N", scale=shapes(layout.kinds), legend=_legend(layout)),
    }


def _tooltip(layout: _Layout) -> list[alt.Tooltip]:
    group = alt.Tooltip("group:N", title=layout.group_title or "of")
    kind = [alt.Tooltip("kind:N", title="kind")] if _has_legend(layout) else []
    value = alt.Tooltip("value:Q", title=layout.value.axis.name or "value", format=layout.value.axis.format)
    return [group, *kind, *(alt.Tooltip(f"{name}:N") for name in layout.names), value]
