"""`lastbit pde phase`: stable, restrained or blow-up, over a grid of learning rates and weight decays."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lastbit.cli.output import JsonOption, console, write_json
from lastbit.cli.pde_network import (
    BetaOption,
    BoundaryOption,
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
from lastbit.storage.directories import Kind, check_free
from lastbit.storage.files import writing

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from lastbit.pde import Phase


_GRID = "LO:HI:N, evenly spaced, or LO:HI:N:log"


def phase(
    lr: Annotated[str, typer.Option("--lr", metavar="GRID", help=f"Learning rates, {_GRID}")],
    weight_decay: Annotated[str, typer.Option("--weight-decay", metavar="GRID", help=f"Weight decays, {_GRID}")],
    image: ImageOption = "checkerboard",
    size: SizeOption = 40,
    kernel: KernelOption = 32,
    label: LabelOption = 1,
    beta: BetaOption = 1.0,
    pool: PoolOption = "mean",
    boundary: BoundaryOption = "valid",
    momentum: MomentumOption = 0.0,
    nesterov: NesterovOption = False,
    steps: StepsOption = 1000,
    seed: SeedOption = 7,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Write phase.png and phase.svg there.")
    ] = None,
    json: JsonOption = None,
) -> None:
    """Map where training is stable, restrained or blows up, with the theoretical bounds on top.

    Example: `lastbit pde phase --lr 0.01:0.12:24 --weight-decay 2:60:24 --out phase`
    """
    from lastbit.pde import phase as map_phase
    from lastbit.pde import random_kernel

    if out is not None:
        check_free(out, Kind.PHASE)
    net = make_net(image, size, kernel=kernel, label=label, beta=beta, pool=pool, boundary=boundary)
    rates, decays = parse_grid(lr, "--lr"), parse_grid(weight_decay, "--weight-decay")
    if out is not None:  # before minutes of work
        with writing(f"--out {out}"):
            out.mkdir(parents=True, exist_ok=True)
    diagram = map_phase(
        net,
        random_kernel(kernel, seed),
        lr=rates,
        weight_decay=decays,
        steps=steps,
        momentum=momentum,
        nesterov=nesterov,
    )
    content = phase_as_json(diagram)
    written = _draw(content, out) if out is not None else []
    write_json(json, content)
    if json != "-":
        _show(content, written, console(json).print)


def parse_grid(text: str, option: str) -> NDArray[np.float64]:
    """Parse `LO:HI:N` into N evenly spaced numbers, `LO:HI:N:log` into N with equal ratios.

    Raises:
        LastbitError: the text is something else, or the grid is empty.
    """
    import numpy as np

    try:
        low, high, count, *spacing = text.split(":")
        first, last, number = float(low), float(high), int(count)
    except ValueError:
        raise LastbitError(f"{option} {text!r}: write {_GRID}") from None
    logarithmic = spacing == ["log"]
    if (spacing and not logarithmic) or number < 1 or not first <= last or (logarithmic and first <= 0):
        raise LastbitError(
            f"{option} {text!r}: write {_GRID}, with N at least 1, LO at most HI, and LO above 0 for log"
        )
    return np.geomspace(first, last, number) if logarithmic else np.linspace(first, last, number)


def phase_as_json(diagram: Phase) -> dict[str, Any]:
    """A phase diagram as plain JSON: `regimes[i][j]` belongs to `lr[i]` and `weight_decay[j]`."""
    from lastbit.pde import REGIMES

    return {
        "lr": diagram.lr.tolist(),
        "weight_decay": diagram.weight_decay.tolist(),
        "regimes": [[REGIMES[cell] for cell in row] for row in diagram.regimes],
        "blow_up_step": [[None if step < 0 else int(step) for step in row] for row in diagram.blow_up_step],
        "bounds": [
            {"regime": c.regime, "kind": c.window, "lower": c.lower.tolist(), "upper": c.upper.tolist()}
            for c in diagram.curves
        ],
    }


def _draw(content: dict[str, Any], directory: Path) -> list[Path]:
    from lastbit.report.pde import write_phase  # only here: the charts' library takes a third of a second to import

    with writing(f"--out {directory}"):
        return write_phase(content, directory)


def _show(content: dict[str, Any], written: list[Path], say: Any) -> None:
    from lastbit.pde import REGIMES

    cells = [cell for row in content["regimes"] for cell in row]
    for regime in REGIMES:
        say(f"{regime}: {cells.count(regime)} of {len(cells)} cells")
    for path in written:
        say(str(path), soft_wrap=True)
