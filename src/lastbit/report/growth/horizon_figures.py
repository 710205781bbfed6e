"""When twins part, by activation (the item `beta`)."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import altair as alt

from lastbit.report.figure import ROWS, AnyChart, Figure
from lastbit.report.log_axis import count_axis, steps
from lastbit.report.look import colours
from lastbit.report.numbers import scientific
from lastbit.report.pde.lines import Level, Lines, cut

_ROW = 34  # pixels of an activation
_MARGIN = 20


def horizon_figures(result: Mapping[str, Any]) -> list[Figure]:
    """RelL1 along the first seed's training, and the horizon of every run.

    Args:
        result: `settings` with `level` and `steps`; for each of `activations` its `name`, `beta`, `horizons` (null
            beyond the run) and `median`; for each of `runs` its `beta`, `seed`, `step` and `rel_l1`.
    """
    return [_curves(result), _horizons(result)]


def _curves(result: Mapping[str, Any]) -> Figure:
    seed = result["settings"]["seeds"][0]
    runs = {run["beta"]: run for run in result["runs"] if run["seed"] == seed}
    curves = [cut(row["name"], runs[row["beta"]]["step"], runs[row["beta"]]["rel_l1"]) for row in result["activations"]]
    level = result["settings"]["level"]
    lines = Lines(
        curves, "update step", "RelL1 (log scale)", columns=3, level=Level(level, f"horizon {scientific(level)}")
    )
    ends = [
        f"{row['name']} ends at {scientific(curve.y[-1])}"
        for row, curve in zip(result["activations"], curves, strict=True)
        if curve.y
    ]
    note = (
        f"RelL1 between twins, k = 3 against k = 1, seed {seed}, everything else the same. The horizon is where a "
        "curve crosses the dashed line."
    )
    return Figure("beta-rel-l1", f"{ends[0]}, {ends[-1]}", note, lines.chart(), lines.rows)


def _horizons(result: Mapping[str, Any]) -> Figure:
    taken, rows = result["settings"]["steps"], list(_rows(result))
    named = [f"{row['name']}: {_said(row)}" for row in (result["activations"][0], result["activations"][-1])]
    note = (
        f"A mark for each order of the batches, a bar for the median. Triangles: RelL1 had not passed the level when "
        f"the run ended after {taken:,} steps."
    )
    height = _ROW * len(result["activations"]) + _MARGIN
    chart = _chart(rows, [row["name"] for row in result["activations"]], taken)
    return Figure("beta-horizon", f"Median horizon with {'; with '.join(named)}", note, chart, rows, height=height)


def _said(row: Mapping[str, Any]) -> str:
    return "beyond the run" if row["median"] is None else f"step {row['median']:,.0f}"


def _rows(result: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    taken = result["settings"]["steps"]
    for row in result["activations"]:
        for step in row["horizons"]:
            seen = "beyond the run" if step is None else "passed"
            yield {"activation": row["name"], "step": taken if step is None else step, "seen": seen}
        if row["median"] is not None:
            yield {"activation": row["name"], "step": row["median"], "seen": "median"}


def _chart(rows: Sequence[Mapping[str, Any]], names: list[str], taken: int) -> AnyChart:
    axis = steps([1, *(int(row["step"]) for row in rows), taken])
    base = alt.Chart(ROWS).encode(
        x=alt.X("step:Q", scale=axis.scale(), axis=count_axis(axis, "step at which twins have parted (log scale)")),
        y=alt.Y("activation:N", sort=names, axis=alt.Axis(title=None, grid=True)),
        color=alt.Color("activation:N", scale=colours(names), legend=None),
        tooltip=["activation:N", "step:Q", "seen:N"],
    )
    shape = alt.Scale(domain=["passed", "beyond the run"], range=["circle", "triangle-right"])
    legend = alt.Legend(title=None, orient="top")
    marks = base.transform_filter("datum.seen != 'median'").mark_point(filled=True, size=90, opacity=0.8, clip=False)
    bars = base.transform_filter("datum.seen == 'median'").mark_tick(thickness=3, size=22)
    return alt.LayerChart(layer=[bars, marks.encode(shape=alt.Shape("seen:N", scale=shape, legend=legend))])
