"""The heat equation within and beyond its CFL step (figure 1)."""

from collections.abc import Mapping
from typing import Any

from lastbit.report.figure import Figure
from lastbit.report.numbers import joined, plain
from lastbit.report.pde.lines import Curve, Lines, cut

_VISIBLE = 100.0  # times the initial height: what is larger would flatten everything else


def heat_figures(result: Mapping[str, Any]) -> list[Figure]:
    """The states of each run, and the largest value of all runs.

    Args:
        result: `max_stable_dt`, `start`, and for each of `runs` its `dt`, `amplification_max`, `blow_up_step`,
            `max_abs` by step, and `snapshots` with `step`, `time` and `u`.
    """
    return [*(_states(result, run) for run in result["runs"]), _growth(result)]


def _states(result: Mapping[str, Any], run: Mapping[str, Any]) -> Figure:
    places, height = list(range(len(result["start"]))), max(result["start"])
    shots = [shot for shot in run["snapshots"] if max(map(abs, shot["u"])) <= _VISIBLE * height]
    start = Curve("start, t = 0", places, result["start"])
    curves = [start, *(Curve(f"t = {shot['time']:g}", places, shot["u"]) for shot in shots)]
    unstable = run["dt"] > result["max_stable_dt"]
    name = f"figure1-dt-{plain(run['dt'])}"
    note = (
        f"The heat equation by forward Euler on {len(places)} points, both ends held at 0. The CFL condition allows "
        f"steps up to {plain(result['max_stable_dt'])}."
    )
    lines = Lines(curves, "place x", "u(x)", log_y=False)
    return Figure(name, _finding(run, unstable=unstable), note, lines.chart(), lines.rows)


def _finding(run: Mapping[str, Any], *, unstable: bool) -> str:
    step, factor = run["blow_up_step"], f"{run['amplification_max']:.3g}"
    if not unstable:
        return f"At Δt = {plain(run['dt'])} the highest |A| is {factor} and the state decays smoothly"
    end = "" if step is None else f"; nothing finite is left after {step:,} steps"
    return f"At Δt = {plain(run['dt'])} saw-teeth spread from the kink and grow by up to {factor} a step{end}"


def _growth(result: Mapping[str, Any]) -> Figure:
    curves = [cut(f"Δt = {plain(run['dt'])}", range(len(run["max_abs"])), run["max_abs"]) for run in result["runs"]]
    ended = [run for run in result["runs"] if run["blow_up_step"] is not None]
    said = (
        joined(f"Δt = {plain(run['dt'])} blows up after {run['blow_up_step']:,} steps" for run in ended)
        if ended
        else "No run blows up"
    )
    lines = Lines(curves, "update step", "max |u| (log scale)")
    note = "The largest value at every step. A cross ends a run that overflowed."
    return Figure("figure1-growth", said, note, lines.chart(), lines.rows)
