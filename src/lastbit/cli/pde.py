"""`lastbit pde`: stability of the heat and Beltrami equations, of one convolution kernel, and maps of it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lastbit.cli.options import LARGEST, LARGEST_SEED, parse_numbers
from lastbit.cli.output import JsonOption, console, write_json
from lastbit.cli.pde_network import bounds, cnn
from lastbit.cli.pde_phase import phase
from lastbit.errors import LastbitError

if TYPE_CHECKING:
    from lastbit.pde import GridRun


app = typer.Typer(no_args_is_help=True, help="Von Neumann and CFL analysis: which steps are stable.")
app.command("cnn")(cnn)
app.command("bounds")(bounds)
app.command("phase")(phase)

SnapshotsOption = Annotated[
    str | None, typer.Option("--snapshots", metavar="LIST", help="Steps after which to keep the state [ten, evenly].")
]

_MOST_POINTS = 10_000_000  # of a grid; a state of them has 80 MB
_PATIENCE = 1_000_000  # updates that are run without being asked for, a minute or two


@app.command("heat")
def run_heat(
    dt: Annotated[float, typer.Option("--dt", help="Time step Δt.")],
    steps: Annotated[int, typer.Option("--steps", max=LARGEST, help="Number of updates.")] = 1000,
    points: Annotated[
        int, typer.Option("--points", max=_MOST_POINTS, help="Grid points of the tent, ends held at 0.")
    ] = 31,
    dx: Annotated[float, typer.Option("--dx", help="Grid spacing Δx.")] = 1.0,
    diffusivity: Annotated[float, typer.Option("--diffusivity", help="κ.")] = 1.0,
    k: Annotated[int, typer.Option("--k", max=LARGEST, help="Last-bit perturbation of the update.")] = 1,
    snapshots: SnapshotsOption = None,
    json: JsonOption = None,
) -> None:
    """Run the heat equation from a tent (Figure 1): the CFL step is Δx²/2κ.

    Example: `lastbit pde heat --dt 0.8 --steps 1000`
    """
    from lastbit.pde import heat

    largest_stable = heat.max_stable_dt(dx=dx, diffusivity=diffusivity)
    kept = _snapshot_steps(snapshots, steps)
    start = heat.tent(points)
    run = heat.simulate(start, dt=dt, steps=steps, dx=dx, diffusivity=diffusivity, k=k, snapshots=kept)
    content = {
        "max_stable_dt": largest_stable,
        "amplification_max": heat.amplification_max(dt=dt, dx=dx, diffusivity=diffusivity),
        "final_max": float(run.max_abs[-1]),
        **_grid_run(run),
    }
    write_json(json, content)
    if json != "-":
        say = console(json).print
        say(f"largest stable Δt: {largest_stable:.6g}")
        say(f"this Δt: {dt:g}, which amplifies by at most {content['amplification_max']:.6g} a step")
        say(_ending(run) or f"max |u| after {steps} steps: {content['final_max']:.6g}")


@app.command("beltrami")
def run_beltrami(
    factor: Annotated[float, typer.Option("--factor", help="Δt as a multiple of the strict CFL step.")] = 10.0,
    steps: Annotated[
        int | None, typer.Option("--steps", max=LARGEST, help="Number of updates [10/λ of time, at least 1000].")
    ] = None,
    points: Annotated[int, typer.Option("--points", max=_MOST_POINTS, help="Grid points of the noisy step.")] = 128,
    noise: Annotated[float, typer.Option("--noise", help="Standard deviation of its noise.")] = 0.05,
    epsilon: Annotated[float, typer.Option("--epsilon", help="ε.")] = 1e-3,
    fidelity: Annotated[float, typer.Option("--fidelity", help="λ.")] = 0.1,
    seed: Annotated[int, typer.Option("--seed", max=LARGEST_SEED, help="Seed of the noise.")] = 0,
    k: Annotated[int, typer.Option("--k", max=LARGEST, help="Last-bit perturbation of the update.")] = 1,
    snapshots: SnapshotsOption = None,
    json: JsonOption = None,
) -> None:
    """Smooth a noisy step by the Beltrami equation (Figure 2): restrained up to Δt = 2/λ, then it blows up.

    The JSON's `deviation` is the largest difference from the stable solution in the last tenth of the run.

    Example: `lastbit pde beltrami --factor 10`
    """
    import numpy as np

    from lastbit.pde import Beltrami, noisy_step

    equation = Beltrami(noisy_step(points, noise, seed), epsilon, fidelity)
    dt = factor * equation.strict_dt
    steps = steps if steps is not None else _settling_steps(dt, fidelity)
    kept = _snapshot_steps(snapshots, steps)
    run = equation.simulate(dt=dt, steps=steps, k=k, snapshots=kept, reference=equation.stable_solution())
    deviation = run.measured["deviation"]
    content = {
        "strict_dt": equation.strict_dt,
        "blow_up_dt": equation.blow_up_dt,
        "dt": dt,
        "energy": run.measured["energy"].tolist(),
        "deviation": float(np.max(deviation[-max(1, len(deviation) // 10) :])),
        "deviation_by_step": deviation.tolist(),
        **_grid_run(run),
    }
    write_json(json, content)
    if json != "-":
        say = console(json).print
        say(f"strict Δt: {equation.strict_dt:.6g}; blow-up above 2/λ = {equation.blow_up_dt:.6g}")
        say(f"this Δt: {dt:.6g}, {factor:g} times the strict one")
        late = f"{content['deviation']:.3g} in the last tenth of {steps} steps"
        say(_ending(run) or f"largest deviation from the stable solution: {late}")


def _settling_steps(dt: float, fidelity: float) -> int:
    """Updates in which the slowest decay, of rate λ, shrinks a deviation to e⁻¹⁰; at least 1000 to see a jitter.

    Raises:
        LastbitError: that takes more updates than anybody would wait for unasked.
    """
    steps = max(1000, math.ceil(10 / (fidelity * dt))) if dt > 0 else 1000
    if steps > _PATIENCE:
        raise LastbitError(
            f"at Δt = {dt:.3g} it takes {steps:.3g} updates to settle: choose a larger --epsilon or --factor, or give "
            "--steps"
        )
    return steps


def _snapshot_steps(text: str | None, steps: int) -> list[int]:
    if text is not None:
        return parse_numbers(text, "--snapshots")
    return sorted({math.floor(steps * part / 10) for part in range(11)}) if steps > 0 else [0]


def _grid_run(run: GridRun) -> dict[str, Any]:
    states = [{"step": step, "u": u.tolist()} for step, u in zip(run.snapshot_steps, run.snapshots, strict=True)]
    return {"blow_up_step": run.blow_up_step, "snapshots": states}


def _ending(run: GridRun) -> str:
    return "" if run.blow_up_step is None else f"blow-up: not finite after {run.blow_up_step} steps"
