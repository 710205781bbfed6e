"""Beyond the paper: phase diagrams of what training does over learning rate and weight decay, and what predicts it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lastbit.paper.item import Claim, Cost, Drawing, Item, ItemScale, Result, Settings, Work, claim
from lastbit.pde import REGIMES, Model, OneLayerCNN, Phase, checkerboard, noise, phase, random_kernel, simulate
from lastbit.report.pde import phase_figure

# The one-layer network of figure 5 around its settings, and the linear PDE on an image with many frequencies.
_PAPER: Settings = {
    "seed": 7,
    "steps": 1000,
    "settle_steps": 5000,
    "network": {
        "size": 40,
        "kernel": 32,
        "lrs": {"from": 1e-3, "to": 0.2, "count": 40},
        "weight_decays": {"from": 2.0, "to": 1000.0, "count": 40},
    },
    "linear": {
        "size": 24,
        "kernel": 5,
        "lrs": {"from": 1e-3, "to": 2e-2, "count": 40},
        "weight_decays": {"from": 20.0, "to": 2000.0, "count": 40},
    },
}
_SMOKE: Settings = {
    **_PAPER,
    "steps": 300,
    "settle_steps": 2000,
    # A sixteenth of the kernel's entries and of the weight decay at 16 times the learning rate is the same map.
    "network": {
        "size": 40,
        "kernel": 8,
        "lrs": {"from": 0.016, "to": 3.2, "count": 16},
        "weight_decays": {"from": 0.125, "to": 62.5, "count": 16},
    },
    "linear": {
        "size": 16,
        "kernel": 4,
        "lrs": {"from": 1e-3, "to": 2e-2, "count": 16},
        "weight_decays": {"from": 20.0, "to": 2000.0, "count": 16},
    },
}

_SEPARATES = 0.99  # share of the cells that must agree


def run(settings: Settings, work: Work) -> dict[str, Any]:
    """Simulate the linear PDE and the network over a grid of learning rates and weight decays."""
    return {"linear": _linear(settings), "network": _network(settings)}


def _linear(settings: Settings) -> dict[str, Any]:
    part = settings["linear"]
    net = OneLayerCNN(noise(part["size"], 0), part["kernel"], label=1, beta=1.0)
    return _as_json(_map(net.transitioning(), settings, part))


def _network(settings: Settings) -> dict[str, Any]:
    part = settings["network"]
    # The checkerboard has two distinct patches, and products with these cost next to nothing.
    net = OneLayerCNN(checkerboard(part["size"]), part["kernel"], label=1, beta=1.0, pool="mean", method="direct")
    diagram = _map(net, settings, part)
    return {
        **_as_json(diagram),
        "sharpness": [_sharpness(net, settings, float(decay)) for decay in diagram.weight_decay],
    }


def _sharpness(net: OneLayerCNN, settings: Settings, decay: float) -> float:
    """The sharpness of the minimum that a slow descent, far below every edge, reaches."""
    start = random_kernel(net.kernel, settings["seed"])
    slow = 0.5 / (decay + net.transitioning().norm_bound())
    end = simulate(net, start, lr=slow, weight_decay=decay, steps=settings["settle_steps"]).kernel
    return net.hessian_extremes(end, decay).highest.value


def _map(model: Model, settings: Settings, part: Settings) -> Phase:
    lrs, decays = (
        np.geomspace(part[axis]["from"], part[axis]["to"], part[axis]["count"]) for axis in ("lrs", "weight_decays")
    )
    kernel = random_kernel(part["kernel"], settings["seed"])
    return phase(model, kernel, lr=lrs, weight_decay=decays, steps=settings["steps"])


def _as_json(mapped: Phase) -> dict[str, Any]:
    return {
        "lr": mapped.lr.tolist(),
        "weight_decay": mapped.weight_decay.tolist(),
        "regimes": [[REGIMES[cell] for cell in row] for row in mapped.regimes],
        "bounds": [
            {"regime": curve.regime, "kind": curve.window, "lower": curve.lower.tolist(), "upper": curve.upper.tolist()}
            for curve in mapped.curves
        ],
    }


@dataclass(frozen=True)
class _Cell:
    """A run of the grid, and what theory says of it."""

    simulated: str
    lr: float
    weight_decay: float
    inside: Mapping[str, bool]  # regime of the activation -> whether its exact bounds hold
    edge: float | None  # 2 over the sharpness of the minimum at this weight decay; None for a linear PDE


def _cells(part: Result) -> list[_Cell]:
    exact = [bounds for bounds in part["bounds"] if bounds["kind"] == "exact"]
    sharpness = part.get("sharpness") or [None] * len(part["weight_decay"])
    return [
        _Cell(
            simulated=part["regimes"][i][j],
            lr=lr,
            weight_decay=decay,
            inside={bounds["regime"]: bounds["lower"][i] < decay < bounds["upper"][i] for bounds in exact},
            edge=None if sharpness[j] is None else 2.0 / sharpness[j],
        )
        for i, lr in enumerate(part["lr"])
        for j, decay in enumerate(part["weight_decay"])
    ]


def claims(result: Result) -> list[Claim]:
    """How many cells each criterion predicts correctly."""
    linear, network = _cells(result["linear"]), _cells(result["network"])
    alone = [cell for cell in network if cell.inside["activated"] and cell.inside["not activated"]]
    finite = [cell for cell in network if cell.simulated != "blow-up"]
    return [
        _predicts(
            "The exact bounds separate the linear PDE’s stable runs from those that blow up",
            linear,
            lambda cell: (cell.simulated == "stable") == cell.inside["transitioning"],
            published="stable iff within the bounds (Theorem 5.4)",
        ),
        _predicts(
            "The network blows up where lr·α > 2, the bound of the not activated regime, and only there",
            network,
            lambda cell: (cell.simulated == "blow-up") == (not cell.inside["not activated"]),
            published="lr < 2/α is necessary",
        ),
        _predicts(
            "Where the bounds of all three regimes hold, the network is stable",
            [cell for cell in alone if cell.inside["transitioning"]],
            lambda cell: cell.simulated == "stable",
            published="all regimes are stable, and the kernel converges",
        ),
        _predicts(
            "Where only the transitioning regime’s bounds are violated, the instability is restrained",
            [cell for cell in alone if not cell.inside["transitioning"]],
            lambda cell: cell.simulated == "restrained",
            published="the path passes between unstable and stable regimes",
            reason="Otherwise it converges: it leaves the transitioning regime once, for a minimum that is stable.",
        ),
        _predicts(
            "Of the runs that do not blow up, those are restrained whose lr is above 2/λ, λ the sharpness of the "
            "minimum that a slow descent comes to",
            finite,
            lambda cell: cell.edge is not None and (cell.simulated == "restrained") == (cell.lr > cell.edge),
            published=None,
        ),
    ]


def _predicts(
    text: str, cells: Sequence[_Cell], right: Callable[[_Cell], bool], *, published: str | None, reason: str = ""
) -> Claim:
    """A claim that a criterion predicts nearly all cells correctly."""
    count = sum(map(right, cells))
    share = count / len(cells) if cells else None
    return claim(
        f"{text}, at {100 * _SEPARATES:g} % of the cells or more",
        published=published,
        measured={"cells": len(cells), "as_foretold": count, "share": share},
        holds=None if share is None else share >= _SEPARATES,
        reason=reason if cells else "No cell of the grid is there.",
    )


def draw(result: Result) -> list[Drawing]:
    """The two diagrams."""
    by_bounds, _, _, by_transitioning, by_edge = (made["measured"]["share"] for made in claims(result))
    titles = {
        "linear": f"The bounds predict what the linear PDE does in {_percent(by_bounds)} of the runs",
        "network": "Of the network’s runs that do not blow up, lr = 2/λ predicts the restrained ones in "
        f"{_percent(by_edge)}; the transitioning regime’s bounds do in {_percent(by_transitioning)}",
    }
    return [replace(phase_figure(result[part]), name=f"phase-{part}", title=title) for part, title in titles.items()]


def _percent(share: float | None) -> str:
    """A share in percent with one decimal, so that a few wrong cells are not rounded away."""
    return "none" if share is None else f"{100 * share:.1f} %"


PHASE = Item(
    id="phase",
    order=303,
    title="Phase diagrams of learning rate and weight decay",
    shows="What the linear PDE and the one-layer network do over a grid, and how much of it the bounds predict.",
    scales={
        "smoke": ItemScale(
            _SMOKE,
            "grids of 16 x 16 instead of 40 x 40, 300 of 1000 steps, kernels of 8 x 8 and 4 x 4 instead of 32 x 32 and "
            "5 x 5",
            Cost(seconds=3.0),
        ),
        "laptop": ItemScale(_PAPER, cost=Cost(seconds=35.0)),
        "paper": ItemScale(_PAPER, cost=Cost(seconds=35.0)),
    },
    published={"bounds": "drawn for single learning rates (figures 4 and 5)"},
    run=run,
    claims=claims,
    draw=draw,
)
