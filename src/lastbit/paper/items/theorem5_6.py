"""Theorem 5.6: the stability conditions under Nesterov momentum (paper, section 5.2 and appendix E, eq. 18)."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from typing import Any

from lastbit.paper.item import Claim, Cost, Drawing, Item, Result, Settings, Work, claim, same_at_every_scale
from lastbit.paper.items.theorem5_4 import grows_as_predicted, make_net, probe, separates
from lastbit.pde import Momentum, from_damping
from lastbit.report.pde import growth_factor_figure

_SETTINGS: Settings = {
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


def run(settings: Settings, work: Work) -> dict[str, Any]:
    """Simulate on both sides of the exact bounds, for both labels and several dampings, and give the paper's bound."""
    return {
        "cases": [_case(settings, label, damping) for label in settings["labels"] for damping in settings["dampings"]],
        "plain_edge": Momentum().edge,
    }


def _case(settings: Settings, label: int, damping: float) -> dict[str, Any]:
    lr, mu = from_damping(settings["dt"], damping / settings["dt"])
    net, scheme = make_net(settings, label, settings["kernel"]), Momentum(mu, nesterov=True)
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


def claims(result: Result) -> list[Claim]:
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


def draw(result: Result) -> list[Drawing]:
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
    scales=same_at_every_scale(_SETTINGS, Cost(seconds=5.0)),
    published={"edge": "0 < Δt² z ≤ 4/3"},
    run=run,
    claims=claims,
    draw=draw,
)
