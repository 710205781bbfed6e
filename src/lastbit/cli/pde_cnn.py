"""`lastbit pde cnn`: gradient descent of the one-layer network, and its twins."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from lastbit.cli.options import parse_numbers
from lastbit.cli.output import JsonOption, console, write_json
from lastbit.cli.pde_options import (
    BetaOption,
    BoundaryOption,
    DtypeOption,
    ImageOption,
    KernelOption,
    LabelOption,
    MomentumOption,
    NesterovOption,
    PoolOption,
    SeedOption,
    SizeOption,
    StepsOption,
    make_net,
)
from lastbit.errors import LastbitError

if TYPE_CHECKING:
    from lastbit.pde import Simulation


def cnn(
    lr: Annotated[float, typer.Option("--lr", help="Learning rate Δt.")],
    weight_decay: Annotated[float, typer.Option("--weight-decay", help="Weight decay α, coupled.")] = 0.0,
    image: ImageOption = "checkerboard",
    size: SizeOption = 256,
    kernel: KernelOption = 32,
    label: LabelOption = 1,
    beta: BetaOption = 1.0,
    pool: PoolOption = "mean",
    boundary: BoundaryOption = "valid",
    model: Annotated[str, typer.Option("--model", help="nonlinear, or linear: the PDE around z = 0.")] = "nonlinear",
    momentum: MomentumOption = 0.0,
    nesterov: NesterovOption = False,
    steps: StepsOption = 1000,
    seed: SeedOption = 7,
    k: Annotated[str, typer.Option("--k", metavar="LIST", help="Twins K ← K − (lr·k)·(d/k).")] = "1,3",
    dtype: DtypeOption = "float64",
    json: JsonOption = None,
) -> None:
    """Train one convolution kernel on one image, with twins that differ in the last bit, and name what happens.

    The JSON holds `regime` (stable, restrained or blow-up), `blow_up_step`, and for every state before an update
    `loss` (weight decay included), `norm`, `rel_l1` (second k of the list against the first) and `rel_l1_by_k`.

    Example: `lastbit pde cnn --lr 0.07 --weight-decay 20`
    """
    from lastbit.pde import random_kernel, simulate

    net = make_net(image, size, kernel=kernel, label=label, beta=beta, pool=pool, boundary=boundary)
    if model not in ("linear", "nonlinear"):
        raise LastbitError(f"--model {model}: allowed are nonlinear and linear")
    run = simulate(
        net.transitioning() if model == "linear" else net,
        random_kernel(kernel, seed),
        lr=lr,
        weight_decay=weight_decay,
        steps=steps,
        momentum=momentum,
        nesterov=nesterov,
        ks=parse_numbers(k, "--k"),
        dtype=dtype,
    )
    write_json(json, run_as_json(run))
    if json != "-":
        _show(run, console(json).print)


def run_as_json(run: Simulation) -> dict[str, Any]:
    """A simulation as plain JSON; an overflow is null."""
    by_k = {str(k): run.rel_l1[i].tolist() for i, k in enumerate(run.ks) if i > 0}
    return {
        "regime": run.regime,
        "blow_up_step": run.blow_up_step,
        "k": list(run.ks),
        "loss": run.loss.tolist(),
        "norm": run.norm.tolist(),
        "rel_l1": next(iter(by_k.values()), []),
        "rel_l1_by_k": by_k,
        "shares": run.shares.tolist(),
    }


def _show(run: Simulation, say: Any) -> None:
    say(
        f"regime: {run.regime}"
        + (f" (not finite after {run.blow_up_step} steps)" if run.blow_up_step is not None else "")
    )
    for step in sorted({0, 1, 2, 5, 10, 100, len(run.loss) - 1}):
        if step < len(run.loss):
            twins = "".join(f"  RelL1 k={k} {run.rel_l1[i, step]:.1e}" for i, k in enumerate(run.ks) if i > 0)
            say(f"step {step:>6}  loss {run.loss[step]:.6g}  norm {run.norm[step]:.6g}{twins}")
