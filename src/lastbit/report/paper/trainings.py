"""Twins along trainings: Figures 3 and 10, and the items `resnet56-growth` and `beta`."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lastbit.report.charts.axes import Axis
from lastbit.report.charts.curves import Level, cut, gather, last_rows
from lastbit.report.charts.dots import Dot, Mean, dot_chart
from lastbit.report.charts.figure import Figure
from lastbit.report.charts.line import line_chart
from lastbit.report.numbers import joined, scientific, scientific_range
from lastbit.report.paper.one_layer import STEPS
from lastbit.report.study.weights import DISTANCE, RELL1, distance_chart

_POINTS = 4000  # of all networks
_ROUNDOFF = -24  # exponent of two of float32's
_HORIZON = 1e-2


def networks_figure(networks: Sequence[Mapping[str, Any]]) -> Figure:
    """Figure 3: RelL1 of each network's twins over training.

    Args:
        networks: each with its `name`, and `rel_l1` at each `step` whose weights were kept.
    """
    rows = [
        {"network": network["name"], "step": step, "value": value}
        for network in networks
        for step, value in zip(network["step"], network["rel_l1"], strict=True)
    ]
    thinned = gather(rows, lambda row: {"network": row["network"]}, label="network", most_points=_POINTS)
    note = f"{RELL1} Each line compares a run of k = 3 with the one of k = 1, at one seed.{thinned.remark}"
    if not thinned.vary:
        return Figure("networks", "The weights of every network stay bit for bit the same", note)
    ends = scientific_range(row["value"] for row in last_rows(rows))
    title = f"RelL1 comes to {ends} in the longest of {len(networks)} trainings"
    return Figure("networks", title, note, distance_chart(thinned.curves, exponents={_ROUNDOFF}, columns=3))


def learning_rate_figure(rates: Sequence[Mapping[str, Any]]) -> Figure:
    """Figure 3: RelL1 of twins by learning rate, over learning rate × steps.

    Args:
        rates: each with its `lr`, `rel_l1` at each `step`, and the `growth` from the first quarter to the last.
    """
    curves = [
        cut(f"lr = {rate['lr']:.3g}", [rate["lr"] * step for step in rate["step"]], rate["rel_l1"]) for rate in rates
    ]
    note = (
        f"{RELL1} Twins of k = 3 and k = 1 without momentum at constant learning rates; on this axis all of them move "
        "about as far. The factors are from the first quarter of the way to the last, by their medians."
    )
    factors = joined(f"{rate['lr']:.3g} ×{_factor(rate['growth'])}" for rate in rates)
    chart = line_chart(curves, x=Axis("learning rate × update steps", name="lr × step"), y=DISTANCE, columns=5)
    return Figure("learning-rates", f"By learning rate RelL1 grows: {factors}", note, chart)


def _factor(growth: float | None) -> str:
    if growth is None:
        return "?"
    return f"{growth:,.0f}" if growth >= 10 else f"{growth:.1f}"


def learning_figure(result: Mapping[str, Any]) -> Figure:
    """Figure 10: test accuracy over one training.

    Args:
        result: its `lr`, and `test_accuracy` in percent at each `step`.
    """
    accuracy = result["test_accuracy"]
    chart = line_chart(
        [cut(f"lr = {result['lr']:.3g}", result["step"], accuracy)],
        x=STEPS,
        y=Axis("test accuracy (%)", name="test accuracy"),
    )
    title = f"At lr = {result['lr']:.3g} test accuracy goes from {accuracy[0]:.1f} to {accuracy[-1]:.1f} %"
    return Figure("learning", title, "After every epoch; one run, k = 1.", chart)


def step_by_step_figure(pair: Mapping[str, Any], horizon: int | None) -> Figure:
    """RelL1 of twins after every step (the item `resnet56-growth`).

    Args:
        pair: with `rel_l1` after each `step`.
        horizon: the step at which it passes the level.
    """
    chart = line_chart(
        [cut(pair["noise"], pair["step"], pair["rel_l1"])], x=STEPS, y=DISTANCE, levels=[_horizon_level(_HORIZON)]
    )
    first, last = ((pair["rel_l1"][i] or 0.0) for i in (0, -1))
    passed = f"passes {scientific(_HORIZON)} at step {horizon:,}" if horizon is not None else "does not pass the level"
    title = f"RelL1 is {scientific(first)} after one step, {passed} and ends at {scientific(last)}"
    return Figure("step-by-step", title, f"{RELL1} k = 3 against k = 1, one seed.", chart)


def _horizon_level(value: float) -> Level:
    return Level(value, f"horizon {scientific(value)}")


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
    chart = line_chart(curves, x=STEPS, y=DISTANCE, levels=[_horizon_level(result["settings"]["level"])], columns=3)
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
