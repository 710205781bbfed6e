"""What `beta` draws: relative weight distance by activation, and the horizon of every run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lastbit.paper.items.resnet56_growth import horizon_level
from lastbit.report.charts.axes import STEPS, Axis
from lastbit.report.charts.curves import cut
from lastbit.report.charts.dots import Dot, Mean, dot_chart
from lastbit.report.charts.figure import Figure
from lastbit.report.charts.line import line_chart
from lastbit.report.numbers import scientific
from lastbit.report.study.weights import DISTANCE


def horizon_figures(result: Mapping[str, Any]) -> list[Figure]:
    """RelL1 by activation along the first seed's training, and the horizon of every run (the item `beta`).

    Args:
        result: `settings` with `level` and `steps`; for each of `activations` its `name`, `beta`, `horizons` (null
            beyond the run) and `median`; for each of `runs` its `beta`, `seed`, `step` and `rel_l1`.
    """
    return [_activations(result), _horizons(result)]


def _activations(result: Mapping[str, Any]) -> Figure:
    seed, activations = result["settings"]["seeds"][0], result["activations"]
    runs = {run["beta"]: run for run in result["runs"] if run["seed"] == seed}
    curves = [cut(row["name"], runs[row["beta"]]["step"], runs[row["beta"]]["rel_l1"]) for row in activations]
    ends = [f"{curve.label} ends at {scientific(curve.points()[-1][1])}" for curve in curves if curve.points()]
    note = (
        f"RelL1 between twins, k = 3 against k = 1, seed {seed}, everything else the same. The horizon is where a "
        "curve crosses the dashed line."
    )
    chart = line_chart(curves, x=STEPS, y=DISTANCE, levels=[horizon_level(result["settings"]["level"])], columns=3)
    return Figure("beta-rel-l1", f"{ends[0]}, {ends[-1]}", note, chart)


def _horizons(result: Mapping[str, Any]) -> Figure:
    taken, activations = result["settings"]["steps"], result["activations"]
    named = [f"{row['name']}: {_median(row)}" for row in (activations[0], activations[-1])]
    note = (
        f"A mark for each order of the batches, a bar for the median. A run is called beyond when RelL1 had not passed "
        f"the level when it ended after {taken:,} steps."
    )
    chart = dot_chart(
        list(_horizon_dots(activations, taken)),
        groups=[row["name"] for row in activations],
        value=Axis("step at which twins have parted", name="step", log=True, counts=True, format=","),
        kinds=["passed", "beyond the run"],
        upright=False,
        behind=[Mean(row["name"], row["median"]) for row in activations if row["median"] is not None],
        height=34 * len(activations) + 20,
    )
    return Figure("beta-horizon", f"Median horizon with {'; with '.join(named)}", note, chart)


def _median(row: Mapping[str, Any]) -> str:
    return "beyond the run" if row["median"] is None else f"step {row['median']:,.0f}"


def _horizon_dots(activations: Sequence[Mapping[str, Any]], taken: int) -> Iterator[Dot]:
    for row in activations:
        for step in row["horizons"]:
            yield Dot(row["name"], taken, "beyond the run") if step is None else Dot(row["name"], step, "passed")
