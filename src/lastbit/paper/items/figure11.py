"""Figure 11: as figure 4 for Nesterov momentum (paper, appendix E.2)."""

from __future__ import annotations

from typing import Any

from lastbit.paper.item import Claim, Cost, Drawing, Item, ItemScale, Result, Settings, Work, claim
from lastbit.paper.items.figure4 import (
    bounds_as_json,
    lower_claim,
    make_net,
    run_weight_decays,
    upper_claim,
    weight_decay_figures,
)
from lastbit.pde import from_damping

# The text has lost its time step: with 1e-4, whose square is figure 4's learning rate, the lower bound is figure 4's.
# The damping is that of momentum 0.9. 4 / (3 dt^2) is 1.333e8.
_PAPER: Settings = {
    "size": 256,
    "kernel": 32,
    "seed": 7,
    "dt": 1e-4,
    "damping": 2e4 / 19,
    "weight_decays": [1.1e7, 1.2e7, 1.3e7, 1.25e8, 1.33e8, 1.4e8, 1.45e8],
    "steps": 500,
    "published": {"lower": 1.3e7, "upper": 4e8 / 3},
}
_SHARE = (9 / 225) ** 2  # as for figure 4
_SMOKE: Settings = {
    **_PAPER,
    "size": 40,
    "dt": 1e-4 * 25,
    "damping": 2e4 / 19 / 25,
    "weight_decays": [alpha * _SHARE for alpha in _PAPER["weight_decays"]],
    "published": {end: alpha * _SHARE for end, alpha in _PAPER["published"].items()},
}


def run(settings: Settings, work: Work) -> dict[str, Any]:
    """Simulate the linear PDE at each weight decay, and bound the weight decay exactly and as the paper does."""
    net = make_net(settings)
    lr, momentum = from_damping(settings["dt"], settings["damping"])
    exact, damping_free, infinite = (
        net.bounds(lr=lr, momentum=momentum, nesterov=True, **kind)
        for kind in ({}, {"damping_free": True}, {"window": "infinite", "damping_free": True})
    )
    return {
        "lr": lr,
        "momentum": momentum,
        "bounds": {
            "exact": bounds_as_json(exact),
            "damping-free": bounds_as_json(damping_free),
            "infinite": bounds_as_json(infinite),
        },
        "runs": run_weight_decays(net, settings, lr=lr, momentum=momentum, nesterov=True),
    }


def claims(result: Result) -> list[Claim]:
    """Both bounds; that the paper's upper one is safe; and that it is not sharp."""
    published, exact = result["settings"]["published"], result["bounds"]["exact"]
    free = result["bounds"]["damping-free"]["upper"]
    safe = [run for run in result["runs"] if exact["lower"] < run["weight_decay"] < free]
    return [
        lower_claim(result, published["lower"]),
        upper_claim(result, exact["upper"], published=None),
        claim(
            "All weight decays between the lower bound and 4/(3Δt²) are stable (Theorem 5.6)",
            published=published["upper"],
            measured=free,
            interval=[run["weight_decay"] for run in safe],
            holds=bool(safe)
            and all(run["regime"] == "stable" for run in safe)
            and abs(free / published["upper"] - 1.0) < 0.01,
        ),
        claim(
            "The choice of damping has no impact on the stability bounds",
            published=published["upper"],
            measured=exact["upper"],
            holds=abs(exact["upper"] / published["upper"] - 1.0) < 0.01,
            reason=f"4/(3Δt²) is the limit of no damping; at momentum {result['momentum']:.3g} the bound is higher.",
        ),
    ]


def draw(result: Result) -> list[Drawing]:
    """The kernel's norm and the loss at each weight decay."""
    return [*weight_decay_figures(result, name="figure11")]


FIGURE11 = Item(
    id="figure11",
    order=210,
    title="Weight decay between two bounds keeps the linear PDE stable under Nesterov momentum",
    shows="The kernel's norm and the loss at seven weight decays, below, between and above the bounds.",
    scales={
        "smoke": ItemScale(
            _SMOKE, "an image of 40 x 40 instead of 256 x 256, time step and weight decays scaled", Cost(seconds=0.5)
        ),
        "laptop": ItemScale(_PAPER, cost=Cost(seconds=5.0)),
        "paper": ItemScale(_PAPER, cost=Cost(seconds=5.0)),
    },
    published={"bounds": "lower and upper bounds exist; the text has lost the numbers"},
    run=run,
    claims=claims,
    draw=draw,
)
