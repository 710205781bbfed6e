"""Theorem 5.4: the bounds on weight decay and learning rate (paper, section 5.2, eq. 14)."""

from __future__ import annotations

from typing import Any

from lastbit.paper.item import Claim, Cost, Drawing, Item, Result, Settings, Work, claim, same_at_every_scale
from lastbit.paper.items.bound_probes import grows_as_predicted, make_net, probe, separates
from lastbit.report.pde import growth_factor_figure

_SETTINGS: Settings = {
    "size": 16,
    "kernel": 5,
    "seed": 7,
    "steps": 600,
    "labels": [1, 0],
    "lrs": {"infinite": 3e-3, "exact": 3e-3},
}


def run(settings: Settings, work: Work) -> dict[str, Any]:
    """Simulate on both sides of the bounds for both labels, without an effective window and with one."""
    cases = [
        {"name": f"y = {label}, {words}", "label": label, "window": window}
        | probe(make_net(settings, label, side), settings, window=window, lr=settings["lrs"][window])
        for window, side, words in (
            ("infinite", settings["size"], "no window"),
            ("exact", settings["kernel"], f"W = {settings['kernel']}"),
        )
        for label in settings["labels"]
    ]
    return {"cases": cases}


def claims(result: Result) -> list[Claim]:
    """The bounds separate stable from unstable, for both signs of the residual; the growth is as predicted."""
    return [
        *(separates(case, published=_PUBLISHED[case["label"]]) for case in result["cases"]),
        grows_as_predicted(result["cases"]),
        _needs_decay(result["cases"]),
    ]


_PUBLISHED = {1: "−(aβ/2) max|Î|² < α < 2/Δt − (aβ/2) min|Î|²", 0: "α < 2/Δt − (aβ/2) max|Î|²"}


def _needs_decay(cases: Any) -> Claim:
    lower = {case["name"]: case["lower"] for case in cases}
    return claim(
        "A positive residual (label 0) needs no weight decay, a negative one (label 1) does",
        published="for a > 0 the lower bound is met automatically",
        measured=lower,
        holds=all((case["lower"] == 0.0) == (case["label"] == 0) for case in cases),
    )


def draw(result: Result) -> list[Drawing]:
    """Predicted and measured growth of all cases."""
    right = sum(bool(separates(case, published=None)["holds"]) for case in result["cases"])
    title = f"|A| passes 1 at the bounds, and simulations turn there, in {right} of {len(result['cases'])} cases"
    return [growth_factor_figure(result["cases"], name="theorem5.4", title=title)]


THEOREM5_4 = Item(
    id="theorem5.4",
    order=34,
    title="The stability conditions of gradient descent",
    shows="Simulations of the linear PDE just inside and just outside the bounds on weight decay, for both labels.",
    scales=same_at_every_scale(_SETTINGS, Cost(seconds=3.0)),
    published={"label_1": _PUBLISHED[1], "label_0": _PUBLISHED[0]},
    run=run,
    claims=claims,
    draw=draw,
)
