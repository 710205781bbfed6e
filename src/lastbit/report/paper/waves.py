"""The heat equation and the Beltrami equation beyond their CFL steps: Figures 1 and 2."""

from collections.abc import Mapping
from typing import Any

from lastbit.report.charts.axes import Axis
from lastbit.report.charts.curves import Curve, cut
from lastbit.report.charts.figure import Figure
from lastbit.report.charts.line import line_chart
from lastbit.report.numbers import joined, plain, scientific
from lastbit.report.paper.one_layer import STEPS

_PLACE = Axis("place x", name="x", counts=True)


def heat_figures(result: Mapping[str, Any]) -> list[Figure]:
    """Figure 1: the states of the heat equation within and beyond its CFL step, and the largest value of all runs.

    Args:
        result: `max_stable_dt`, `start`, and for each of `runs` its `dt`, `amplification_max`, `blow_up_step`,
            `max_abs` by step, and `snapshots` with `step`, `time` and `u`.
    """
    return [*(_heat_states(result, run) for run in result["runs"]), _heat_growth(result)]


def _heat_states(result: Mapping[str, Any], run: Mapping[str, Any]) -> Figure:
    visible = 100.0 * max(result["start"])  # what is larger would flatten everything else
    places = list(range(len(result["start"])))
    shots = [shot for shot in run["snapshots"] if max(map(abs, shot["u"])) <= visible]
    curves = [Curve("start, t = 0", places, result["start"])]
    curves += [Curve(f"t = {shot['time']:g}", places, shot["u"]) for shot in shots]
    note = (
        f"The heat equation by forward Euler on {len(places)} points, both ends held at 0. The CFL condition allows "
        f"steps up to {plain(result['max_stable_dt'])}."
    )
    unstable = run["dt"] > result["max_stable_dt"]
    chart = line_chart(curves, x=_PLACE, y=Axis("u(x)", name="u"))
    return Figure(f"figure1-dt-{plain(run['dt'])}", _heat_finding(run, unstable=unstable), note, chart)


def _heat_finding(run: Mapping[str, Any], *, unstable: bool) -> str:
    step, factor = run["blow_up_step"], f"{run['amplification_max']:.3g}"
    if not unstable:
        return f"At Δt = {plain(run['dt'])} the highest |A| is {factor} and the state decays smoothly"
    end = "" if step is None else f"; nothing finite is left after {step:,} steps"
    return f"At Δt = {plain(run['dt'])} saw-teeth spread from the kink and grow by up to {factor} a step{end}"


def _heat_growth(result: Mapping[str, Any]) -> Figure:
    curves = [cut(f"Δt = {plain(run['dt'])}", range(len(run["max_abs"])), run["max_abs"]) for run in result["runs"]]
    ended = [run for run in result["runs"] if run["blow_up_step"] is not None]
    title = (
        joined(f"Δt = {plain(run['dt'])} blows up after {run['blow_up_step']:,} steps" for run in ended)
        if ended
        else "No run blows up"
    )
    note = "The largest value at every step. A cross ends a run that overflowed."
    chart = line_chart(curves, x=STEPS, y=Axis("max |u|", name="max |u|", log=True))
    return Figure("figure1-growth", title, note, chart)


def beltrami_figures(result: Mapping[str, Any]) -> list[Figure]:
    """Figure 2: the final states beside the stable solution, and how far from it each run is at every time.

    Args:
        result: `strict_dt`, `input`, `stable` (the minimiser), and for each of `runs` its `factor` over the strict
            step, `dt`, `blow_up_step`, `final`, and `deviation` with `step` and `value`.
    """
    visible = 1000.0 * max(map(abs, result["input"]))  # what is larger would flatten everything else
    return [_beltrami_states(result, visible), _beltrami_deviations(result, visible)]


def beltrami_label(run: Mapping[str, Any]) -> str:
    """What a run is called: `10 × strict step`."""
    return f"{run['factor']:,.0f} × strict step"


def _beltrami_states(result: Mapping[str, Any], visible: float) -> Figure:
    places = list(range(len(result["input"])))
    shown = [run for run in result["runs"] if None not in run["final"]]
    small = [run for run in shown if max(map(abs, run["final"])) <= visible]
    curves = [Curve("input f", places, result["input"]), Curve("stable solution", places, result["stable"])]
    curves += [Curve(beltrami_label(run), places, run["final"]) for run in small]
    left_out = [beltrami_label(run) for run in result["runs"] if run not in small]
    note = f"The state after the last step. The strict step is {result['strict_dt']:.6g}."
    if left_out:
        note += f" Not drawn, since it blew up: {joined(left_out)}."
    over = [run for run in small if run["factor"] > 1]
    ends = joined(f"{run['late_max']:.2g} at {run['factor']:,.0f} ×" for run in over)
    title = f"Beyond the strict step jitter stays, but bounded: {ends} the step" if over else "Within the strict step"
    return Figure("figure2-states", title, note, line_chart(curves, x=_PLACE, y=Axis("u(x)", name="u"), columns=3))


def _beltrami_deviations(result: Mapping[str, Any], visible: float) -> Figure:
    curves = [
        cut(
            beltrami_label(run),
            [step * run["dt"] for step in run["deviation"]["step"]],
            run["deviation"]["value"],
            cap=visible,
        )
        for run in result["runs"]
    ]
    # The runs differ 40,000-fold in step: time is what they share, up to the end of the shortest.
    last = min(curve.x[-1] for curve in curves if not curve.ended)
    ended = [run for run in result["runs"] if run["blow_up_step"] is None]
    ends = joined(f"{scientific(run['late_max'])} at {run['factor']:,.0f} ×" for run in ended)
    note = (
        "Distance from the stable solution, with the largest of the last quarter of each run in the title. A cross "
        "ends a run that left the picture."
    )
    chart = line_chart(
        [_until(curve, last) for curve in curves],
        x=Axis("time t = step · Δt", name="time"),
        y=Axis("max |u − stable solution|", name="distance", log=True),
        columns=3,
    )
    return Figure("figure2-deviation", f"Distance from the stable solution: {ends} the strict step", note, chart)


def _until(curve: Curve, last: float) -> Curve:
    shown = sum(x <= last for x in curve.x)
    return Curve(curve.label, curve.x[:shown], curve.y[:shown], curve.ended and shown == len(curve.x))
