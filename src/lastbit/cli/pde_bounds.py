"""`lastbit pde bounds`: which weight decays, or learning rates, keep the linear PDE stable."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from lastbit.cli.output import JsonOption, console, write_json
from lastbit.cli.pde_options import (
    BetaOption,
    BoundaryOption,
    ImageOption,
    LabelOption,
    MomentumOption,
    NesterovOption,
    PoolOption,
    SizeOption,
    make_net,
)
from lastbit.errors import LastbitError

if TYPE_CHECKING:
    from lastbit.pde import Bounds, Mode


def bounds(
    lr: Annotated[float | None, typer.Option("--lr", help="Learning rate; bounds the weight decay.")] = None,
    weight_decay: Annotated[
        float | None, typer.Option("--weight-decay", help="Weight decay; bounds the learning rate.")
    ] = None,
    image: ImageOption = "checkerboard",
    size: SizeOption = 256,
    kernel: Annotated[str, typer.Option("--kernel", help="Side W of the kernel, or inf for no window.")] = "32",
    kind: Annotated[str | None, typer.Option("--kind", help="infinite (Fourier), pixel (eq. 19) or exact.")] = None,
    residual: Annotated[
        float | None, typer.Option("--residual", help="a = f − y, frozen [at P = 0: −1/2 for label 1, 1/2 for 0].")
    ] = None,
    label: LabelOption = 1,
    beta: BetaOption = 1.0,
    pool: PoolOption = "sum",
    boundary: BoundaryOption = "valid",
    momentum: MomentumOption = 0.0,
    nesterov: NesterovOption = False,
    damping_free: Annotated[
        bool, typer.Option("--damping-free", help="The paper's Nesterov bound for every damping, Δt²z ≤ 4/3.")
    ] = False,
    json: JsonOption = None,
) -> None:
    """Bound the weight decay at a learning rate, or the learning rate at a weight decay (Theorems 5.4 and 5.6).

    Example: `lastbit pde bounds --lr 1e-8 --kernel 32 --kind exact`
    """
    window = _window(kernel, kind)
    net = make_net(
        image,
        size,
        kernel=1 if kernel == "inf" else _whole(kernel),
        label=label,
        beta=beta,
        pool=pool,
        boundary=boundary,
    )
    found = net.bounds(
        lr=lr,
        weight_decay=weight_decay,
        window=window,
        residual=residual,
        momentum=momentum,
        nesterov=nesterov,
        damping_free=damping_free,
    )
    write_json(json, bounds_as_json(found))
    if json != "-":
        _show(found, console(json).print)


def bounds_as_json(found: Bounds) -> dict[str, Any]:
    """Bounds as plain JSON; an end that nothing bounds is null."""
    return {
        found.quantity: [found.lower, found.upper],
        "empty": found.empty,
        "kind": found.window,
        "regime": found.regime,
        "critical": {"lower": _mode(found.lower_critical), "upper": _mode(found.upper_critical)},
    }


def _window(kernel: str, kind: str | None) -> str:
    if kernel == "inf" and kind not in (None, "infinite"):
        raise LastbitError(f"--kind {kind}: without a window (--kernel inf) only the kind infinite is defined")
    return "infinite" if kernel == "inf" else kind or "exact"


def _whole(kernel: str) -> int:
    if not kernel.isdecimal():
        raise LastbitError(f"--kernel {kernel}: a whole number of pixels, or inf")
    return int(kernel)


def _mode(mode: Mode) -> dict[str, Any]:
    return {
        "value": mode.value,
        "frequency": mode.frequency,
        "vector": None if mode.vector is None else mode.vector.tolist(),
        "residual": mode.residual,
    }


def _show(found: Bounds, say: Any) -> None:
    name = "weight decay" if found.quantity == "weight_decay" else "learning rate"
    say(f"stable {name}: none" if found.empty else f"stable {name}: {found.lower:.6g} to {found.upper:.6g}")
    if found.empty:
        say(f"  (it would have to exceed {found.lower:.6g} and stay below {found.upper:.6g})")
    for end, mode in (("lower", found.lower_critical), ("upper", found.upper_critical)):
        where = f"frequency {mode.frequency}" if mode.frequency else f"an eigenvector, residual {mode.residual:.1e}"
        say(f"  first unstable at the {end} end: {where}, operator value {mode.value:.6g}")
