"""Bounds on weight decay by kernel size (tables 2 and 9)."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import altair as alt

from lastbit.report.figure import ROWS, Figure
from lastbit.report.log_axis import decades, power_axis
from lastbit.report.look import MUTED, colours
from lastbit.report.pde.significant import significant
from lastbit.report.pde.table import Table

_KINDS = ("simulated", "exact", "pixel", "infinite")
_ENDS = {"lower": [1, 0], "upper": [6, 3]}
_KERNEL = "kernel side W in pixels (log scale)"


def window_bounds_drawings(result: Mapping[str, Any], *, name: str) -> list[Figure | Table]:
    """A chart of each series, and one table.

    Args:
        result: for each of `series` its `image`, `size`, `boundary`, `lr`, and for each of `rows` its `kernel` and the
            `lower` and `upper` bounds that were `simulated` (None where no weight decay was found stable) and of the
            `exact`, `pixel` and `infinite` windows.
        name: of the item; the files are called after it.
    """
    series = result["series"]
    figures = [_figure(each, f"{name}-{each['image']}-{each['boundary']}") for each in series]
    return [*figures, _table(series, name)]


def _figure(series: Mapping[str, Any], name: str) -> Figure:
    first, last = series["rows"][0], series["rows"][-1]
    title = (
        f"From W = {first['kernel']} to {last['kernel']} the least stable weight decay goes from "
        f"{significant(first['exact']['lower'])} to {significant(last['exact']['lower'])}; the infinite window’s is "
        f"{significant(last['infinite']['lower'])}"
    )
    note = (
        f"{_image(series)}, learning rate {significant(series['lr'])}. Stable weight decays lie between a solid line "
        "(lower bound) and the dashed one of the same colour (upper bound). Circles and squares are the lower and "
        "upper bounds found by bisecting simulations; where they are missing, no weight decay was stable."
    )
    points = list(_points(series["rows"]))
    return Figure(name, title, note, _chart(points), points)


def _points(rows: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    for row in rows:
        for kind in _KINDS:
            for end in _ENDS if row[kind] is not None else ():
                yield {"kernel": row["kernel"], "kind": kind, "end": end, "bound": row[kind][end]}


def _chart(points: Sequence[Mapping[str, Any]]) -> alt.LayerChart:
    theory = [kind for kind in _KINDS if kind != "simulated"]
    bounds, sides = decades(max(point["bound"], 0.0) for point in points), [point["kernel"] for point in points]
    base = (
        alt.Chart(ROWS)
        .transform_calculate(at=bounds.position("bound"))
        .encode(
            x=alt.X(
                "kernel:Q",
                scale=alt.Scale(type="log", base=2, domain=[min(sides), max(sides)], nice=False),
                axis=alt.Axis(title=_KERNEL, values=sorted(set(sides)), grid=False),
            ),
            y=alt.Y("at:Q", scale=bounds.scale(), axis=power_axis(bounds, "weight decay α (log scale)")),
            tooltip=["kind:N", "end:N", "kernel:Q", alt.Tooltip("bound:Q", format=".4g")],
        )
    )
    ends = list(_ENDS)
    lines = base.transform_filter("datum.kind != 'simulated'").mark_line(strokeWidth=2)
    legend = alt.Legend(title="theory", orient="top", symbolSize=300, symbolStrokeWidth=3)
    dashes = alt.Scale(domain=ends, range=list(_ENDS.values()))
    shapes = alt.Scale(domain=ends, range=["circle", "square"])
    dots = base.transform_filter("datum.kind == 'simulated'").mark_point(
        filled=False, size=110, strokeWidth=1.6, color=MUTED, opacity=1
    )
    return alt.LayerChart(
        layer=[
            lines.encode(
                color=alt.Color("kind:N", scale=colours(theory), legend=legend),
                strokeDash=alt.StrokeDash("end:N", scale=dashes, legend=None),
            ),
            dots.encode(shape=alt.Shape("end:N", scale=shapes, legend=None)),
        ]
    )


def _table(series: Sequence[Mapping[str, Any]], name: str) -> Table:
    columns = ["image", "boundary", "W", *(f"{kind} {end}" for kind in _KINDS for end in _ENDS)]
    rows = [_cells(each, row) for each in series for row in each["rows"]]
    note = (
        "Weight decays between which the linear PDE is stable. Simulated: found by bisecting runs; none: no weight "
        "decay was stable. Exact: from the extreme eigenvalues of the windowed operator. Pixel: eq. 19. Infinite: "
        "eq. 14."
    )
    return Table(name, f"Bounds on weight decay at {len(rows)} kernel sizes", note, columns, rows)


def _cells(series: Mapping[str, Any], row: Mapping[str, Any]) -> list[str]:
    bounds = ["none" if row[kind] is None else significant(row[kind][end]) for kind in _KINDS for end in _ENDS]
    return [_image(series), series["boundary"], str(row["kernel"]), *bounds]


def _image(series: Mapping[str, Any]) -> str:
    return f"{series['image']} {series['size']} × {series['size']}"
