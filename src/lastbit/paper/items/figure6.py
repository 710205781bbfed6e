"""Figure 6: restrained instability of the one-layer network is training at the edge of stability (paper, section 6)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lastbit.curvature import EDGE
from lastbit.paper.item import Claim, Cost, Drawing, Item, ItemScale, Result, Settings, Work, claim, rounded
from lastbit.paper.items.descents import NORMALISED
from lastbit.paper.items.figure5 import few_of_each
from lastbit.pde import OneLayerCNN, checkerboard, random_kernel, simulate
from lastbit.report.charts import STEPS, Curve, Dot, Figure, Reference, Span, dot_chart, line_chart
from lastbit.report.charts.look import REGIME_LINES
from lastbit.report.sharpness.charts import EDGE_LEVEL

_PAPER: Settings = {
    "size": 256,
    "kernel": 32,
    "seed": 7,
    "weight_decay": 20.0,
    "steps": 1000,
    "lrs": [0.01, 0.02, 0.03, 0.032, 0.033, 0.04, 0.05, 0.07, 0.09, 0.095, 0.1, 0.105, 0.11],
}
# Along the checkerboard's pattern the layer only sees lr times the number of kernel entries and lr times weight decay:
# a sixteenth of the entries and of the weight decay at 16 times the learning rates is the same map.
_SMOKE: Settings = {
    **_PAPER,
    "size": 40,
    "kernel": 8,
    "weight_decay": 1.25,
    "steps": 300,
    "lrs": [0.16, 0.48, 0.512, 0.528, 0.64, 1.12, 1.52, 1.6, 1.68],
}

_DIGITS = 9  # of the sharpness at a step; what is decided over the last quarter has all of them
_STILL = 1e-6  # range of the normalised sharpness over the last quarter below which nothing oscillates
_LATE = 4  # the last quarter of a run is what it has settled to


def run(settings: Settings, work: Work) -> dict[str, Any]:
    """Train at each learning rate, with the sharpness measured at every step."""
    # The checkerboard has two distinct patches, and products with these cost next to nothing.
    image = checkerboard(settings["size"])
    net = OneLayerCNN(image, settings["kernel"], label=1, beta=1.0, pool="mean", method="direct")
    return {"runs": [_train(net, settings, lr) for lr in settings["lrs"]]}


def _train(net: OneLayerCNN, settings: Settings, lr: float) -> dict[str, Any]:
    simulation = simulate(
        net,
        random_kernel(settings["kernel"], settings["seed"]),
        lr=lr,
        weight_decay=settings["weight_decay"],
        steps=settings["steps"],
        amplification_every=1,
    )
    normalised = lr * simulation.sharpness
    late = normalised[-len(normalised) // _LATE :]
    return {
        "lr": lr,
        "regime": _regime(simulation.regime, late),
        "normalised": rounded(normalised, _DIGITS),
        "late": {
            "min": float(late.min()),
            "mean": float(late.mean()),
            "max": float(late.max()),
            "crossings": int(np.count_nonzero(np.diff(late > EDGE))),
        },
    }


def _regime(classified: str, late: NDArray[np.floating]) -> str:
    """The regime; a run whose updates continue at rounding level only is "stable".

    At lr = 0.03 rounding keeps up a cycle of 1.9e-13 of the kernel's norm, just above what `lastbit.pde.classify` takes
    for rounding; the sharpness stands still.
    """
    stands_still = float(np.ptp(late)) < _STILL
    return "stable" if classified == "restrained" and stands_still else classified


def claims(result: Result) -> list[Claim]:
    """Where the edge is; that sharpness stays below it when training converges and crosses it on when it does not."""
    runs, limit = result["runs"], 2.0 / result["settings"]["weight_decay"]
    below = [run for run in runs if run["regime"] == "stable"]
    between = [run for run in runs if run["regime"] == "restrained" and run["lr"] < limit]
    beyond = [run for run in runs if run["lr"] > limit]
    return [
        _edge_decides(runs, below),
        _settles_below(below),
        _stays_below(below),
        _oscillates(between),
        _stays_above(beyond, limit),
    ]


def _edge_decides(runs: Sequence[Any], below: Sequence[Any]) -> Claim:
    """The sharpness of the minimum is the one at the end of the slowest run, which is far below its edge."""
    first = min(runs, key=lambda run: float(run["lr"]))
    edge = EDGE * first["lr"] / first["normalised"][-1]
    stable, others = [run["lr"] for run in below], [run["lr"] for run in runs if run not in below]
    return claim(
        "Training converges up to lr = 2/λ, λ the sharpness of the minimum, and not beyond",
        published="where the theory predicts restrained instabilities, normalised sharpness exceeds 2",
        measured=edge,
        interval=[max(stable), min(others)] if stable and others else None,
        holds=bool(stable) and bool(others) and max(stable) < edge < min(others),
    )


def _settles_below(below: Sequence[Any]) -> Claim:
    return claim(
        "Where training converges, normalised sharpness settles below 2",
        published="less than 2",
        measured={str(run["lr"]): run["late"]["max"] for run in below},
        holds=bool(below) and all(run["late"]["max"] < EDGE for run in below),
    )


def _stays_below(below: Sequence[Any]) -> Claim:
    peaks = {str(run["lr"]): max(run["normalised"]) for run in below}
    over = [lr for lr, peak in peaks.items() if peak >= EDGE]
    return claim(
        "Where training converges, normalised sharpness is below 2 at every step",
        published="less than 2",
        measured=peaks,
        holds=bool(below) and not over,
        reason=f"At lr = {', '.join(over)} it passes 2 on its way from the start, and comes back." if over else "",
    )


def _oscillates(between: Sequence[Any]) -> Claim:
    ranges = {str(run["lr"]): [run["late"]["min"], run["late"]["max"]] for run in between}
    return claim(
        "Where the instability is restrained, normalised sharpness goes back and forth across 2 to the end",
        published="oscillates about 2",
        measured=ranges,
        interval=[min(low for low, _ in ranges.values()), max(high for _, high in ranges.values())] if ranges else None,
        holds=bool(between) and all(run["late"]["crossings"] > 1 for run in between),
        reason="Measured is the range over the last quarter of each run.",
    )


def _stays_above(beyond: Sequence[Any], limit: float) -> Claim:
    lowest = {str(run["lr"]): min(run["normalised"]) for run in beyond}
    return claim(
        f"Beyond lr = 2/α = {limit:g} it is above 2 at every step, and training blows up",
        published="blow-up (figure 5)",
        measured=lowest,
        holds=bool(beyond) and min(lowest.values()) > EDGE and all(run["regime"] == "blow-up" for run in beyond),
    )


def draw(result: Result) -> list[Drawing]:
    """The first steps of runs of each regime, and the range of normalised sharpness that each run comes to.

    Args:
        result: for each of `runs` its `lr`, `regime`, `normalised` sharpness before each update, and of its last
            quarter the `min`, `mean` and `max` under `late`.
    """
    return [_first_steps(result["runs"]), _ranges(result["runs"])]


def _first_steps(runs: Sequence[Mapping[str, Any]]) -> Figure:
    few = 30  # steps in which swings can be told apart
    # Where it ends above 2 without a blow-up, at lr = 2/weight decay exactly, it is neither: left to the second figure.
    plain = [run for run in runs if run["regime"] != "restrained" or run["late"]["min"] < EDGE]
    curves = [
        Curve(f"lr = {run['lr']:g}, {run['regime']}", range(few), run["normalised"][:few]) for run in few_of_each(plain)
    ]
    note = (
        "The sharpness is the largest eigenvalue of the loss’s Hessian, weight decay included. Drawn are the first "
        f"{few} steps; the title’s range is that of the last quarter of each restrained run."
    )
    chart = line_chart(curves, x=STEPS, y=NORMALISED, levels=[EDGE_LEVEL], columns=3)
    return Figure("figure6-sharpness", _swings(plain), note, chart)


def _swings(runs: Sequence[Mapping[str, Any]]) -> str:
    late = [run["late"] for run in runs if run["regime"] == "restrained"]
    if not late:
        return "No run is restrained"
    low, high = min(run["min"] for run in late), max(run["max"] for run in late)
    return f"Restrained, normalised sharpness goes back and forth across 2, from {low:.2g} to {high:.2g}"


def _ranges(runs: Sequence[Mapping[str, Any]]) -> Figure:
    stable = [run["lr"] for run in runs if run["regime"] == "stable"]
    title = (
        f"Training converges up to lr {max(stable):g}, and only there does the sharpness settle below 2"
        if stable
        else "Training converges at no learning rate"
    )
    note = (
        "From the smallest to the largest normalised sharpness in the last quarter of each run; the mark is its mean. "
        "The dashed line is the edge of stability, 2."
    )
    rates = [f"{run['lr']:g}" for run in runs]
    late, regimes = ([run[name] for run in runs] for name in ("late", "regime"))
    chart = dot_chart(
        [Dot(lr, at["mean"], regime) for lr, at, regime in zip(rates, late, regimes, strict=True)],
        groups=rates,
        group_title="learning rate",
        value=NORMALISED,
        kinds=list(dict.fromkeys(regimes)),
        given=REGIME_LINES,
        behind=[
            Reference(EDGE),
            *(
                Span(lr, at["min"], at["max"], kind, width=12)
                for lr, at, kind in zip(rates, late, regimes, strict=True)
            ),
        ],
    )
    return Figure("figure6-range", title, note, chart)


FIGURE6 = Item(
    id="figure6",
    order=51,
    title="Restrained instability of the one-layer network is the edge of stability",
    shows="Learning rate times sharpness along figure 5's trainings: below 2 where they converge, across 2 beyond.",
    scales={
        "smoke": ItemScale(
            _SMOKE,
            "an image of 40 x 40 instead of 256 x 256, a kernel of 8 x 8 instead of 32 x 32 with weight decay and "
            "learning rates to match, 300 of 1000 steps, 9 of 13 learning rates",
            Cost(seconds=2.0),
        ),
        "laptop": ItemScale(_PAPER, cost=Cost(seconds=50.0)),
        "paper": ItemScale(_PAPER, cost=Cost(seconds=50.0)),
    },
    published={"edge": EDGE},
    run=run,
    claims=claims,
    draw=draw,
)
