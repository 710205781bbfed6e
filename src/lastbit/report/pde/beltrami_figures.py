"""The Beltrami equation with its strict CFL step exceeded (figure 2)."""

from collections.abc import Mapping
from typing import Any

from lastbit.report.figure import Figure
from lastbit.report.numbers import joined, scientific
from lastbit.report.pde.lines import Curve, Lines, cut

_VISIBLE = 1000.0  # times the input's largest value: what is larger would flatten everything else


def beltrami_figures(result: Mapping[str, Any]) -> list[Figure]:
    """The final states beside the stable solution, and how far from it each run is at every time.

    Args:
        result: `strict_dt`, `input`, `stable` (the minimiser), and for each of `runs` its `factor` over the strict
            step, `dt`, `blow_up_step`, `final`, and `deviation` with `step` and `value`.
    """
    return [_states(result), _deviations(result)]


def label(run: Mapping[str, Any]) -> str:
    """What a run is called: `10 × strict step`."""
    return f"{run['factor']:,.0f} × strict step"


def _states(result: Mapping[str, Any]) -> Figure:
    places, height = list(range(len(result["input"]))), max(map(abs, result["input"]))
    shown = [run for run in result["runs"] if None not in run["final"]]
    small = [run for run in shown if max(map(abs, run["final"])) <= _VISIBLE * height]
    curves = [Curve("input f", places, result["input"]), Curve("stable solution", places, result["stable"])]
    curves += [Curve(label(run), places, run["final"]) for run in small]
    lines = Lines(curves, "place x", "u(x)", log_y=False, columns=3)
    left_out = [label(run) for run in result["runs"] if run not in small]
    note = f"The state after the last step. The strict step is {result['strict_dt']:.6g}."
    if left_out:
        note += f" Not drawn, since it blew up: {joined(left_out)}."
    over = [run for run in small if run["factor"] > 1]
    ends = joined(f"{run['late_max']:.2g} at {run['factor']:,.0f} ×" for run in over)
    title = f"Beyond the strict step jitter stays, but bounded: {ends} the step" if over else "Within the strict step"
    return Figure("figure2-states", title, note, lines.chart(), lines.rows)


def _deviations(result: Mapping[str, Any]) -> Figure:
    cap = _VISIBLE * max(map(abs, result["input"]))
    curves = [
        cut(label(run), [step * run["dt"] for step in run["deviation"]["step"]], run["deviation"]["value"], cap=cap)
        for run in result["runs"]
    ]
    # Each on its own clock: the runs differ 40,000-fold in step, so time is what they share, up to the shortest.
    last = min(curve.x[-1] for curve in curves if not curve.blew_up)
    curves = [_until(curve, last) for curve in curves]
    lines = Lines(curves, "time t = step · Δt", "max |u − stable solution| (log scale)", columns=3)
    ended = [run for run in result["runs"] if run["blow_up_step"] is None]
    ends = joined(f"{scientific(run['late_max'])} at {run['factor']:,.0f} ×" for run in ended)
    note = (
        "Distance from the stable solution, with the largest of the last quarter of each run in the title. A cross "
        "ends a run that left the picture."
    )
    return Figure(
        "figure2-deviation",
        f"Distance from the stable solution: {ends} the strict step",
        note,
        lines.chart(),
        lines.rows,
    )


def _until(curve: Curve, last: float) -> Curve:
    shown = sum(x <= last for x in curve.x)
    return Curve(curve.label, curve.x[:shown], curve.y[:shown], curve.blew_up and shown == len(curve.x))
