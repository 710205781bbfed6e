"""Figure 1: the heat equation within and beyond its CFL step (paper, section 3.1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lastbit.paper.item import Claim, Cost, Drawing, Item, Result, Settings, Work, claim, same_at_every_scale
from lastbit.pde import heat
from lastbit.report.charts import STEPS, Axis, Curve, Figure, cut, line_chart
from lastbit.report.numbers import joined, plain

# t = 0.8, 2.4 and 4, and t = 40, 200 and 800 for the stable step; at step 900 the unstable one is about to overflow.
_SETTINGS: Settings = {
    "points": 31,
    "runs": [
        {"dt": 0.4, "steps": 2000, "snapshots": [100, 500, 2000]},
        {"dt": 0.8, "steps": 1000, "snapshots": [1, 3, 5, 900]},
    ],
}


def run(settings: Settings, work: Work) -> dict[str, Any]:
    """Simulate the tent at each time step."""
    start = heat.tent(settings["points"])
    return {
        "start": start.tolist(),
        "max_stable_dt": heat.max_stable_dt(),
        "runs": [_simulate(start, **run) for run in settings["runs"]],
    }


def _simulate(start: Any, *, dt: float, steps: int, snapshots: list[int]) -> dict[str, Any]:
    simulation = heat.simulate(start, dt=dt, steps=steps, snapshots=snapshots)
    shots = zip(simulation.snapshot_steps, simulation.snapshots, strict=True)
    return {
        "dt": dt,
        "amplification_max": heat.amplification_max(dt=dt),
        "blow_up_step": simulation.blow_up_step,
        "max_abs": simulation.max_abs.tolist(),
        "snapshots": [{"step": step, "time": step * dt, "u": u.tolist()} for step, u in shots],
    }


def claims(result: Result) -> list[Claim]:
    """Stability below the CFL step; above it growth at the amplification factor, from one place to everywhere."""
    stable = [run for run in result["runs"] if run["dt"] <= result["max_stable_dt"]]
    unstable = [run for run in result["runs"] if run["dt"] > result["max_stable_dt"]]
    return [*map(_is_stable, stable), *(made for run in unstable for made in (_grows(run), _spreads(run)))]


def _is_stable(run: Result) -> Claim:
    values = run["max_abs"]
    finite = run["blow_up_step"] is None
    return claim(
        f"Δt = {run['dt']} satisfies the CFL condition: no value ever exceeds the initial ones, and the state decays",
        published="stable",
        measured={"final_over_initial": values[-1] / values[0] if finite else None},
        holds=finite and max(values) <= values[0] and values[-1] < 0.01 * values[0],
    )


def _grows(run: Result) -> Claim:
    values = [value for value in run["max_abs"] if value is not None]
    growth = values[-1] / values[-2]
    return claim(
        f"Δt = {run['dt']} violates the CFL condition: the state blows up, growing by the amplification factor a step",
        published="blow-up",
        measured={"blow_up_step": run["blow_up_step"], "growth": growth, "amplification": run["amplification_max"]},
        holds=run["blow_up_step"] is not None and abs(growth / run["amplification_max"] - 1.0) < 0.01,
        reason="On finitely many points the highest frequency is just below π, which grows by 0.4 % less.",
    )


def _spreads(run: Result) -> Claim:
    turns = [_turning_points(shot["u"]) for shot in run["snapshots"]]
    return claim(
        f"Δt = {run['dt']}: the instability starts locally and spreads to the whole domain",
        published="starts locally but quickly spreads",
        measured={"turning_points": turns, "steps": [shot["step"] for shot in run["snapshots"]]},
        holds=turns[0] <= 3 and turns == sorted(turns) and turns[-1] == len(run["snapshots"][-1]["u"]) - 2,
    )


def _turning_points(u: list[float]) -> int:
    """Interior points higher or lower than both neighbours: one on the tent, all in a saw-tooth."""
    return sum((right - mid) * (mid - left) < 0 for left, mid, right in zip(u, u[1:], u[2:], strict=False))


PLACE = Axis("place x", name="x", counts=True)


def draw(result: Result) -> list[Drawing]:
    """The states of the heat equation within and beyond its CFL step, and the largest value of all runs.

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
    chart = line_chart(curves, x=PLACE, y=Axis("u(x)", name="u"))
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


FIGURE1 = Item(
    id="figure1",
    order=10,
    title="The heat equation within and beyond its CFL step",
    shows="Beyond Δt = 1/2 a saw-tooth starts at the kink, spreads and blows up.",
    scales=same_at_every_scale(_SETTINGS, Cost(seconds=0.2)),
    published={"max_stable_dt": 0.5},
    run=run,
    claims=claims,
    draw=draw,
)
