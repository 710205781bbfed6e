"""Figure 4: the linear PDE of the one-layer network needs a weight decay between two bounds (paper, section 5.3)."""

from __future__ import annotations

from typing import Any

from lastbit.paper.item import Claim, Cost, Drawing, Item, ItemScale, Result, Settings, Work, claim
from lastbit.paper.items.weight_decays import (
    bounds_as_json,
    lower_claim,
    make_net,
    run_weight_decays,
    upper_claim,
    weight_decay_figures,
)

_PAPER: Settings = {
    "size": 256,
    "kernel": 32,
    "seed": 7,
    "lr": 1e-8,
    "weight_decays": [1.1e7, 1.2e7, 1.3e7, 1.9e8, 2.0e8, 2.1e8, 2.2e8],
    "steps": 500,
    "published": {"lower": 1.3e7, "upper": 2.0e8},
}
# The checkerboard's one mode scales with the number of output positions, 225^2 there and 9^2 here; nothing else does.
_SHARE = (9 / 225) ** 2
_SMOKE: Settings = {
    **_PAPER,
    "size": 40,
    "lr": 1e-8 / _SHARE,
    "weight_decays": [alpha * _SHARE for alpha in _PAPER["weight_decays"]],
    "published": {end: alpha * _SHARE for end, alpha in _PAPER["published"].items()},
}


def run(settings: Settings, work: Work) -> dict[str, Any]:
    """Simulate the linear PDE at each weight decay, and bound the weight decay with and without the window."""
    net = make_net(settings)
    return {
        "lr": settings["lr"],
        "bounds": {
            window: bounds_as_json(net.bounds(lr=settings["lr"], window=window)) for window in ("exact", "infinite")
        },
        "runs": run_weight_decays(net, settings, lr=settings["lr"]),
    }


def claims(result: Result) -> list[Claim]:
    """Both bounds, and that the kernel's window matters to the lower one."""
    published = result["settings"]["published"]
    exact, infinite = result["bounds"]["exact"], result["bounds"]["infinite"]
    return [
        lower_claim(result, published["lower"]),
        upper_claim(result, published["upper"], published=published["upper"]),
        claim(
            "The infinite window’s bound (eq. 14: (β/4) max|Î|²) is where the linear PDE of this kernel turns stable",
            published=infinite["lower"],
            measured=exact["lower"],
            holds=abs(exact["lower"] / infinite["lower"] - 1.0) < 0.01,
            reason="A kernel of finite support sees the image through its window: the exact bound is lower.",
        ),
    ]


def draw(result: Result) -> list[Drawing]:
    """The kernel's norm and the loss at each weight decay."""
    return [*weight_decay_figures(result, name="figure4")]


FIGURE4 = Item(
    id="figure4",
    order=41,
    title="Weight decay between two bounds keeps the linear PDE stable",
    shows="The kernel's norm and the loss at seven weight decays, below, between and above the bounds.",
    scales={
        "smoke": ItemScale(
            _SMOKE,
            "an image of 40 x 40 instead of 256 x 256, learning rate and weight decays scaled",
            Cost(seconds=0.5),
        ),
        "laptop": ItemScale(_PAPER, cost=Cost(seconds=5.0)),
        "paper": ItemScale(_PAPER, cost=Cost(seconds=5.0)),
    },
    published=_PAPER["published"],
    run=run,
    claims=claims,
    draw=draw,
)
