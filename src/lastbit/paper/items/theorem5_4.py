"""Theorem 5.4: the bounds on weight decay and learning rate (paper, section 5.2, eq. 14).

Theorem 5.6, which is of momentum, probes its bounds as this one does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lastbit.paper.item import Claim, Cost, Drawing, Item, Result, Settings, Work, claim, same_at_every_scale
from lastbit.pde import Momentum, OneLayerCNN, growth_factor, noise, predicted_factor, random_kernel, simulate
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
        | probe(make_noise_net(settings, label, side), settings, window=window, lr=settings["lrs"][window])
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


# Places of a weight decay: 0 at the lower bound, 1 at the upper one.
POSITIONS = (-0.2, -0.05, -0.01, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1.01, 1.05, 1.2)
# Of a factor: in a run of some hundred steps other modes are not quite gone.
GROWTH_TOLERANCE = 0.02


def make_noise_net(settings: Settings, label: int, side: int) -> OneLayerCNN:
    """The one-layer network on noise: circular where the kernel is as large as the image, else valid."""
    boundary = "circular" if side == settings["size"] else "valid"
    return OneLayerCNN(noise(settings["size"], 0), side, label=label, beta=1.0, boundary=boundary)


def probe(
    net: OneLayerCNN, settings: Settings, *, window: str, lr: float, momentum: float = 0.0, nesterov: bool = False
) -> dict[str, Any]:
    """Bound the weight decay, and simulate the linear PDE at `POSITIONS`; no weight decay is negative."""
    bounds = net.bounds(lr=lr, window=window, momentum=momentum, nesterov=nesterov)
    decays = [(position, bounds.lower + position * (bounds.upper - bounds.lower)) for position in POSITIONS]
    linear, kernel = net.transitioning(), random_kernel(net.kernel, settings["seed"])
    scheme = Momentum(momentum, nesterov)
    runs = []
    for position, alpha in decays:
        if alpha < 0.0:
            continue
        simulation = simulate(
            linear,
            kernel,
            lr=lr,
            weight_decay=alpha,
            steps=settings["steps"],
            momentum=momentum,
            nesterov=nesterov,
        )
        predicted = predicted_factor(linear, scheme, window=window, lr=lr, weight_decay=alpha)
        runs.append(
            {
                "position": position,
                "weight_decay": alpha,
                "regime": simulation.regime,
                "measured": growth_factor(simulation),
                "predicted": predicted,
            }
        )
    return {"lr": lr, "lower": bounds.lower, "upper": bounds.upper, "runs": runs}


def separates(case: Result, *, published: Any) -> Claim:
    """A claim that all runs between the bounds are stable and all others blow up."""
    inside = [run for run in case["runs"] if case["lower"] < run["weight_decay"] < case["upper"]]
    outside = [run for run in case["runs"] if run not in inside]
    wrong = [f"{run['regime']} at {run['weight_decay']:.4g}" for run in inside if run["regime"] != "stable"]
    wrong += [f"{run['regime']} at {run['weight_decay']:.4g}" for run in outside if run["regime"] != "blow-up"]
    return claim(
        f"{case['name']}: the linear PDE is stable between its bounds on weight decay and blows up beyond",
        published=published,
        measured={"runs": len(case["runs"]), "disagreeing": wrong},
        interval=[case["lower"], case["upper"]],
        holds=bool(inside) and bool(outside) and not wrong,
        reason=f"The nearest runs are {100 * _nearest(case['runs']):.0f} % of the way between the bounds from one.",
    )


def _nearest(runs: Sequence[Any]) -> float:
    return float(min(min(abs(run["position"]), abs(run["position"] - 1.0)) for run in runs))


def grows_as_predicted(cases: Sequence[Result]) -> Claim:
    """A claim that all runs grow and decay by the largest amplification factor."""
    errors = [
        None if run["measured"] is None else abs(run["measured"] - run["predicted"])
        for case in cases
        for run in case["runs"]
    ]
    known = [error for error in errors if error is not None]
    return claim(
        f"Updates grow and decay by the largest amplification factor |A|, within {GROWTH_TOLERANCE:g}",
        published="|A| decides",
        measured={"largest_difference": max(known, default=None), "runs": len(errors)},
        interval=[0.0, max(known)] if known else None,
        holds=len(known) == len(errors) > 0 and max(known) < GROWTH_TOLERANCE,
    )


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
