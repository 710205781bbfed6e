"""Theorem 5.6 and Figure 11: stability under Nesterov momentum (paper, section 5.2 and appendix E, eq. 18)."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from typing import Any

from lastbit.paper.item import Claim, Cost, Drawing, Item, ItemScale, Result, Settings, Work, claim, same_at_every_scale
from lastbit.paper.items.figure4 import (
    bounds_as_json,
    lower_claim,
    make_net,
    run_weight_decays,
    upper_claim,
    weight_decay_figures,
)
from lastbit.paper.items.theorem5_4 import grows_as_predicted, make_noise_net, probe, separates
from lastbit.pde import Momentum, from_damping
from lastbit.report.pde import growth_factor_figure

_THEOREM: Settings = {
    "size": 16,
    "kernel": 5,
    "seed": 7,
    "steps": 600,
    "dt": sqrt(2e-3),
    # Damping times time step: momentum 0.98, 0.9, 0.6 and 0.33.
    "dampings": [2.0 / 99.0, 2.0 / 19.0, 0.5, 1.0],
    "labels": [1, 0],
}
_EDGE = 4.0 / 3.0


def run_theorem5_6(settings: Settings, work: Work) -> dict[str, Any]:
    """Simulate on both sides of the exact bounds, for both labels and several dampings, and give the paper's bound."""
    return {
        "cases": [_case(settings, label, damping) for label in settings["labels"] for damping in settings["dampings"]],
        "plain_edge": Momentum().edge,
    }


def _case(settings: Settings, label: int, damping: float) -> dict[str, Any]:
    lr, mu = from_damping(settings["dt"], damping / settings["dt"])
    net, scheme = make_noise_net(settings, label, settings["kernel"]), Momentum(mu, nesterov=True)
    free = net.bounds(lr=lr, momentum=mu, nesterov=True, damping_free=True)
    return {
        "name": f"y = {label}, μ = {mu:.2g}",
        "label": label,
        "momentum": mu,
        "edge": scheme.edge,  # of lr z
        "edge_in_dt": scheme.edge * settings["dt"] ** 2 / lr,  # of Δt² z
        "free_upper": free.upper,
        **probe(net, settings, window="exact", lr=lr, momentum=mu, nesterov=True),
    }


def claims_of_theorem5_6(result: Result) -> list[Claim]:
    """The paper's bound is safe at every damping and the strictest of them; the exact one separates."""
    cases = result["cases"]
    return [
        _is_safe(cases),
        *(separates(case, published="bounds on α exist under momentum") for case in cases),
        grows_as_predicted(cases),
        _is_strictest(cases),
        _is_generous(cases, result["plain_edge"]),
    ]


def _is_safe(cases: Sequence[Any]) -> Claim:
    within = [run for case in cases for run in case["runs"] if case["lower"] < run["weight_decay"] < case["free_upper"]]
    unstable = [run["weight_decay"] for run in within if run["regime"] != "stable"]
    return claim(
        "Every weight decay between the lower bound and that of 0 < Δt² z ≤ 4/3 is stable, at every damping",
        published="α < 4/(3Δt²) − (aβ/2) min or max |Î|²",
        measured={"runs": len(within), "unstable": unstable},
        holds=bool(within) and not unstable,
    )


def _is_strictest(cases: Sequence[Any]) -> Claim:
    edges = {case["name"]: case["edge_in_dt"] for case in cases}
    least = max(cases, key=lambda case: float(case["momentum"]))["edge_in_dt"]
    return claim(
        "4/3 is the limit of no damping: the exact edge of Δt² z is above it and comes down to it as damping vanishes",
        published=_EDGE,
        measured=edges,
        interval=[min(edges.values()), max(edges.values())],
        holds=min(edges.values()) >= _EDGE and least == min(edges.values()) and least < 1.02 * _EDGE,
    )


def _is_generous(cases: Sequence[Any], plain: float) -> Claim:
    edges = {case["name"]: case["edge"] for case in cases}
    return claim(
        "Nesterov’s scheme allows larger learning rates than plain gradient descent",
        published="more generous step sizes",
        measured={"nesterov": edges, "plain": plain},
        interval=[min(edges.values()), max(edges.values())],
        holds=min(edges.values()) > plain,
        reason="In lr z its edge is (2 + 2μ)/(1 + 2μ), below 2. In the PDE’s time step, whose square lr is, it is more "
        "generous where z > 3: Δt < √(4/(3z)) against Δt < 2/z.",
    )


def draw_theorem5_6(result: Result) -> list[Drawing]:
    """Predicted and measured growth of label 1."""
    cases = [case for case in result["cases"] if case["label"] == 1]
    right = sum(bool(separates(case, published=None)["holds"]) for case in cases)
    title = (
        f"With momentum too |A| passes 1 at the bounds, and simulations turn there, in {right} of {len(cases)} cases"
    )
    return [growth_factor_figure(cases, name="theorem5.6", title=title)]


THEOREM5_6 = Item(
    id="theorem5.6",
    order=36,
    title="The stability conditions of Nesterov’s method",
    shows="Simulations on both sides of the bounds on weight decay under momentum, by damping, and the paper’s bound.",
    scales=same_at_every_scale(_THEOREM, Cost(seconds=5.0)),
    published={"edge": "0 < Δt² z ≤ 4/3"},
    run=run_theorem5_6,
    claims=claims_of_theorem5_6,
    draw=draw_theorem5_6,
)


# The text has lost its time step: with 1e-4, whose square is figure 4's learning rate, the lower bound is figure 4's.
# The damping is that of momentum 0.9. 4 / (3 dt^2) is 1.333e8.
_FIGURE: Settings = {
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
_FIGURE_SMOKE: Settings = {
    **_FIGURE,
    "size": 40,
    "dt": 1e-4 * 25,
    "damping": 2e4 / 19 / 25,
    "weight_decays": [alpha * _SHARE for alpha in _FIGURE["weight_decays"]],
    "published": {end: alpha * _SHARE for end, alpha in _FIGURE["published"].items()},
}


def run_figure11(settings: Settings, work: Work) -> dict[str, Any]:
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


def claims_of_figure11(result: Result) -> list[Claim]:
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


def draw_figure11(result: Result) -> list[Drawing]:
    """The kernel's norm and the loss at each weight decay."""
    return [*weight_decay_figures(result, name="figure11")]


FIGURE11 = Item(
    id="figure11",
    order=210,
    title="Weight decay between two bounds keeps the linear PDE stable under Nesterov momentum",
    shows="The kernel's norm and the loss at seven weight decays, below, between and above the bounds.",
    scales={
        "smoke": ItemScale(
            _FIGURE_SMOKE,
            "an image of 40 x 40 instead of 256 x 256, time step and weight decays scaled",
            Cost(seconds=0.5),
        ),
        "laptop": ItemScale(_FIGURE, cost=Cost(seconds=5.0)),
        "paper": ItemScale(_FIGURE, cost=Cost(seconds=5.0)),
    },
    published={"bounds": "lower and upper bounds exist; the text has lost the numbers"},
    run=run_figure11,
    claims=claims_of_figure11,
    draw=draw_figure11,
)
