"""`lastbit pde cnn` and `lastbit pde bounds`: the one-layer network that the paper analyses, trained and bounded.

`cnn` runs gradient descent of one convolution kernel, with twins that differ in the last bit. `bounds` says which
weight decays, or learning rates, keep its linear PDE stable.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lastbit.cli.options import LARGEST, LARGEST_SEED, MOST_PIXELS, parse_numbers
from lastbit.cli.output import JsonOption, console, write_json
from lastbit.errors import LastbitError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from lastbit.pde import Bounds, Mode, OneLayerCNN, Simulation

ImageOption = Annotated[
    str, typer.Option("--image", metavar="IMAGE", help="checkerboard, noise:SEED, or a square FILE.png or FILE.npy.")
]
SizeOption = Annotated[
    int, typer.Option("--size", max=MOST_PIXELS, help="Side N of a checkerboard or noise image, in pixels.")
]
KernelOption = Annotated[int, typer.Option("--kernel", max=MOST_PIXELS, help="Side W of the kernel, in pixels.")]
LabelOption = Annotated[int, typer.Option("--label", help="Label y of the image, 0 or 1.")]
BetaOption = Annotated[float, typer.Option("--beta", help="Swish's steepness β.")]
PoolOption = Annotated[str, typer.Option("--pool", help="Pooling: sum, as in the paper's analysis, or mean.")]
BoundaryOption = Annotated[str, typer.Option("--boundary", help="Convolution: valid, same or circular.")]
MomentumOption = Annotated[float, typer.Option("--momentum", help="Momentum μ.")]
NesterovOption = Annotated[bool, typer.Option("--nesterov", help="Nesterov's momentum.")]
StepsOption = Annotated[int, typer.Option("--steps", max=LARGEST, help="Number of updates.")]
SeedOption = Annotated[
    int, typer.Option("--seed", max=LARGEST_SEED, help="The kernel starts at RandomState(SEED).randn(W, W).")
]
DtypeOption = Annotated[str, typer.Option("--dtype", help="Arithmetic: float32 or float64.")]


def make_image(image: str, size: int) -> NDArray[np.floating]:
    """Return the image that `--image` and `--size` name, (N, N).

    Raises:
        LastbitError: an unknown image, a file that is none, or a size below 1.
    """
    from lastbit.pde import checkerboard, noise, read_image

    kind, colon, seed = image.partition(":")
    if image == "checkerboard":
        return checkerboard(size)
    if kind == "noise" and colon:
        if not seed.isdecimal():
            raise LastbitError(f"--image {image}: the seed of noise is a whole number, as in noise:0")
        return noise(size, int(seed))
    if Path(image).suffix.lower() in (".png", ".npy"):
        return read_image(image)
    raise LastbitError(f"--image {image}: allowed are checkerboard, noise:SEED, FILE.png and FILE.npy")


def make_net(image: str, size: int, *, kernel: int, label: int, beta: float, pool: str, boundary: str) -> OneLayerCNN:
    """Return the one-layer network that the options describe.

    Raises:
        LastbitError: an option is out of range.
    """
    from lastbit.pde import OneLayerCNN

    return OneLayerCNN(make_image(image, size), kernel=kernel, label=label, beta=beta, pool=pool, boundary=boundary)


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
        _show_run(run, console(json).print)


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


def _show_run(run: Simulation, say: Any) -> None:
    say(
        f"regime: {run.regime}"
        + (f" (not finite after {run.blow_up_step} steps)" if run.blow_up_step is not None else "")
    )
    for step in sorted({0, 1, 2, 5, 10, 100, len(run.loss) - 1}):
        if step < len(run.loss):
            twins = "".join(f"  RelL1 k={k} {run.rel_l1[i, step]:.1e}" for i, k in enumerate(run.ks) if i > 0)
            say(f"step {step:>6}  loss {run.loss[step]:.6g}  norm {run.norm[step]:.6g}{twins}")


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
    bounds = net.bounds(
        lr=lr,
        weight_decay=weight_decay,
        window=window,
        residual=residual,
        momentum=momentum,
        nesterov=nesterov,
        damping_free=damping_free,
    )
    write_json(json, bounds_as_json(bounds))
    if json != "-":
        _show_bounds(bounds, console(json).print)


def bounds_as_json(limits: Bounds) -> dict[str, Any]:
    """Bounds as plain JSON; an end that nothing bounds is null."""
    return {
        limits.quantity: [limits.lower, limits.upper],
        "empty": limits.empty,
        "kind": limits.window,
        "regime": limits.regime,
        "critical": {"lower": _mode(limits.lower_critical), "upper": _mode(limits.upper_critical)},
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


def _show_bounds(limits: Bounds, say: Any) -> None:
    name = "weight decay" if limits.quantity == "weight_decay" else "learning rate"
    say(f"stable {name}: none" if limits.empty else f"stable {name}: {limits.lower:.6g} to {limits.upper:.6g}")
    if limits.empty:
        say(f"  (it would have to exceed {limits.lower:.6g} and stay below {limits.upper:.6g})")
    for end, mode in (("lower", limits.lower_critical), ("upper", limits.upper_critical)):
        where = f"frequency {mode.frequency}" if mode.frequency else f"an eigenvector, residual {mode.residual:.1e}"
        say(f"  first unstable at the {end} end: {where}, operator value {mode.value:.6g}")
