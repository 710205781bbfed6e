"""Figure 2: restrained instabilities of the Beltrami equation (paper, section 3.2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from lastbit.paper.item import Claim, Cost, Drawing, Item, ItemScale, Result, Settings, Work, claim
from lastbit.paper.items.figure1 import PLACE
from lastbit.pde import Beltrami, noisy_step
from lastbit.report.charts import Axis, Curve, Figure, cut, line_chart
from lastbit.report.numbers import joined, scientific

# The last run exceeds 2 / lambda by 5 %, which is 42,001 times the strict step.
_PAPER: Settings = {
    "points": 128,
    "epsilon": 1e-3,
    "fidelity": 0.1,
    "keep": 400,
    "runs": [
        {"factor": 1, "steps": 100_000},
        {"factor": 10, "steps": 40_000},
        {"factor": 100, "steps": 20_000},
        {"over_blow_up": 1.05, "steps": 8_000},
    ],
}
_SMOKE: Settings = {
    **_PAPER,
    "points": 32,
    "epsilon": 1e-2,
    "runs": [
        {"factor": 1, "steps": 8_000},
        {"factor": 10, "steps": 4_000},
        {"factor": 100, "steps": 2_000},
        {"over_blow_up": 1.05, "steps": 8_000},
    ],
}


def run(settings: Settings, work: Work) -> dict[str, Any]:
    """Simulate a noisy step at the strict CFL step, beyond it, and beyond 2 / lambda."""
    problem = Beltrami(noisy_step(settings["points"]), settings["epsilon"], settings["fidelity"])
    stable = problem.stable_solution()
    return {
        "input": problem.f.tolist(),
        "stable": stable.tolist(),
        "strict_dt": problem.strict_dt,
        "blow_up_dt": problem.blow_up_dt,
        "runs": [_simulate(problem, stable, run, settings["keep"]) for run in settings["runs"]],
    }


def _simulate(problem: Beltrami, stable: Any, run: Settings, keep: int) -> dict[str, Any]:
    dt = run["factor"] * problem.strict_dt if "factor" in run else run["over_blow_up"] * problem.blow_up_dt
    simulation = problem.simulate(dt=dt, steps=run["steps"], reference=stable)
    deviation = simulation.measured["deviation"]
    # An odd stride, so that an oscillation of period 2 is seen at both of its ends.
    stride = (len(deviation) // keep) | 1
    late = deviation[-len(deviation) // 4 :]
    with np.errstate(invalid="ignore", over="ignore"):
        local_dt = problem.local_dt(simulation.final)
    return {
        "factor": dt / problem.strict_dt,
        "dt": dt,
        "steps": run["steps"],
        "blow_up_step": simulation.blow_up_step,
        "deviation": {"step": list(range(0, len(deviation), stride)), "value": deviation[::stride].tolist()},
        "late_min": float(late.min()),
        "late_max": float(late.max()),
        "final": simulation.final.tolist(),
        "unstable_share": float(np.mean(local_dt < dt)),
    }


def claims(result: Result) -> list[Claim]:
    """Convergence at the strict step, restrained jitter that grows with the step, blow-up beyond 2 / lambda."""
    within, ten, hundred, beyond = result["runs"]
    spread = max(result["input"]) - min(result["input"])
    return [
        claim(
            "At the strict CFL step the equation converges to the minimiser",
            published="stable",
            measured=within["late_max"],
            holds=within["blow_up_step"] is None and within["late_max"] < 0.01 * spread,
        ),
        *(_is_restrained(run, within, spread) for run in (ten, hundred)),
        claim(
            "At 100 times the strict step the oscillations are larger than at 10 times",
            published="low amplitude at 10 times, larger at 100 times",
            measured=[ten["late_max"], hundred["late_max"]],
            holds=None not in (ten["late_max"], hundred["late_max"]) and hundred["late_max"] > ten["late_max"],
        ),
        claim(
            "Beyond 2/λ every point is unstable and the whole state blows up",
            published="a full blow-up, as for the heat equation",
            measured={"blow_up_step": beyond["blow_up_step"], "times_strict": beyond["factor"]},
            holds=beyond["blow_up_step"] is not None and beyond["dt"] > result["blow_up_dt"],
        ),
    ]


def _is_restrained(run: Result, within: Result, spread: float) -> Claim:
    bounded = run["blow_up_step"] is None and run["late_max"] < spread
    persistent = bounded and run["late_min"] > 10.0 * within["late_min"]
    return claim(
        f"At {run['factor']:.0f} times the strict step the instability is restrained: the jitter neither grows "
        "without bound nor dies out, while some neighbourhoods are unstable and others stable",
        published="oscillations persist but remain bounded",
        measured={"unstable_share": run["unstable_share"]},
        interval=[run["late_min"], run["late_max"]] if bounded else None,
        holds=persistent and 0.0 < run["unstable_share"] < 1.0,
    )


def draw(result: Result) -> list[Drawing]:
    """The final states beside the stable solution, and each run's distance from it over time.

    Args:
        result: `strict_dt`, `input`, `stable` (the minimiser), and for each of `runs` its `factor` over the strict
            step, `dt`, `blow_up_step`, `final`, and `deviation` with `step` and `value`.
    """
    visible = 1000.0 * max(map(abs, result["input"]))  # what is larger would flatten everything else
    return [_beltrami_states(result, visible), _beltrami_deviations(result, visible)]


def beltrami_label(run: Mapping[str, Any]) -> str:
    """The label of a run: `10 × strict step`."""
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
    return Figure("figure2-states", title, note, line_chart(curves, x=PLACE, y=Axis("u(x)", name="u"), columns=3))


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


FIGURE2 = Item(
    id="figure2",
    order=11,
    title="Restrained instabilities of the Beltrami equation",
    shows="Beyond the strict CFL step jitter persists and stays bounded, the larger the step the more of it.",
    scales={
        "smoke": ItemScale(
            _SMOKE, "32 points instead of 128, a ten times larger ε, a twelfth of the steps", Cost(seconds=3.0)
        ),
        "laptop": ItemScale(_PAPER, cost=Cost(seconds=25.0)),
        "paper": ItemScale(_PAPER, cost=Cost(seconds=25.0)),
    },
    published={"factors": [10, 100]},
    run=run,
    claims=claims,
    draw=draw,
)
