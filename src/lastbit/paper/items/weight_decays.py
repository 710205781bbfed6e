"""What figures 4 and 11 share: the linear PDE at weight decays on either side of its bounds."""

from __future__ import annotations

from typing import Any

from lastbit.paper.item import Claim, Result, Settings, claim, rounded
from lastbit.pde import Bounds, OneLayerCNN, checkerboard, random_kernel, simulate

_DIGITS = 8  # of a curve that is drawn


def make_net(settings: Settings) -> OneLayerCNN:
    """Return the one-layer network of the settings: the checkerboard, summed, with frozen residual -1/2."""
    return OneLayerCNN(checkerboard(settings["size"]), kernel=settings["kernel"], label=1, beta=1.0, pool="sum")


def run_weight_decays(
    net: OneLayerCNN, settings: Settings, *, lr: float, momentum: float = 0.0, nesterov: bool = False
) -> list[dict[str, Any]]:
    """Simulate the linear PDE at each of the settings' weight decays."""
    linear, kernel = net.transitioning(), random_kernel(net.kernel, settings["seed"])
    runs = []
    for alpha in settings["weight_decays"]:
        found = simulate(
            linear,
            kernel,
            lr=lr,
            weight_decay=alpha,
            steps=settings["steps"],
            momentum=momentum,
            nesterov=nesterov,
        )
        runs.append(
            {
                "weight_decay": alpha,
                "regime": found.regime,
                "blow_up_step": found.blow_up_step,
                "loss": rounded(found.loss, _DIGITS),
                "norm": rounded(found.norm, _DIGITS),
            }
        )
    return runs


def bounds_as_json(bounds: Bounds) -> dict[str, float]:
    """The two ends."""
    return {"lower": bounds.lower, "upper": bounds.upper}


def lower_claim(result: Result, published: float) -> Claim:
    """The published lower bound divides the runs, and is the exact one to 1 %."""
    exact = result["bounds"]["exact"]["lower"]
    below = [each for each in result["runs"] if each["weight_decay"] < published]
    inside = [each for each in result["runs"] if published <= each["weight_decay"] < result["bounds"]["exact"]["upper"]]
    return claim(
        f"Below a weight decay of {published:.4g} the linear PDE blows up, from there on it is stable",
        published=published,
        measured={"exact_bound": exact},
        interval=[max(each["weight_decay"] for each in below), min(each["weight_decay"] for each in inside)],
        holds=_all(below, "blow-up") and _all(inside, "stable") and abs(exact / published - 1.0) < 0.01,
    )


def upper_claim(result: Result, bound: float, *, published: float | None) -> Claim:
    """A bound divides the runs from above; at the bound itself nothing is decided."""
    inside = [each for each in result["runs"] if result["bounds"]["exact"]["lower"] < each["weight_decay"] < bound]
    above = [each for each in result["runs"] if each["weight_decay"] > bound]
    interval = [max(each["weight_decay"] for each in inside), min(each["weight_decay"] for each in above)]
    return claim(
        f"Up to a weight decay of {bound:.5g} the linear PDE is stable, beyond it blows up",
        published=published,
        measured={"exact_bound": result["bounds"]["exact"]["upper"]},
        interval=interval,
        holds=_all(inside, "stable")
        and _all(above, "blow-up")
        and abs(result["bounds"]["exact"]["upper"] / bound - 1.0) < 0.01,
    )


def _all(runs: list[Any], regime: str) -> bool:
    return bool(runs) and all(each["regime"] == regime for each in runs)
