"""Figure 8: without weight decay, four hidden layers are unstable where two are stable (paper, section 6)."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from lastbit.curvature import EDGE
from lastbit.paper.item import Claim, Cost, Drawing, Item, ItemScale, Result, Settings, Work, claim
from lastbit.paper.items.descents import (
    NORMALISED,
    descent_of,
    follow,
    peak,
    rises,
    sharpness_curve,
    slow_descent,
)
from lastbit.report.charts import STEPS, Axis, Curve, Figure, Level, cut, line_chart
from lastbit.report.numbers import significant
from lastbit.report.sharpness.charts import EDGE_LEVEL

# The paper's learning rate is lost. It is searched for: `share` of the edge is how slowly, `margin` how far below the
# edge at the largest sharpness that two hidden layers come to the learning rate is then set.
_PAPER: Settings = {
    "recipe": "fc-cifar10-5k",
    "changes": [],
    "shallow": 2,
    "deep": 4,
    "goal": 0.1,
    "search": {"share": 0.5, "steps": 20_000, "every": 20},
    "margin": 0.75,
    "steps": 20_000,
    "every": 10,
}
_LAPTOP: Settings = {**_PAPER, "changes": ["data.train=1000"], "steps": 3000}
_SMOKE: Settings = {
    **_PAPER,
    "recipe": "fc-fashion-5k",
    "changes": ['data.name="fashion-mini"', "data.train=400", "model.width=100"],
    "goal": 0.05,
    "search": {"share": 0.5, "steps": 1000, "every": 15},
    "margin": 0.9,
    "steps": 400,
}

_SPIKE = 0.1  # how far, as a share, a spike rises above the lowest loss so far


def run(settings: Settings, work: Work) -> dict[str, Any]:
    """Search for the learning rate on the shallow network, then train both networks at it."""
    options = settings["search"]
    search = slow_descent(*_descent(settings, settings["shallow"], 1.0, work.device), **options, goal=settings["goal"])
    largest = max(search["sharpness"])
    lr = settings["margin"] * EDGE / largest
    depths = {"shallow": settings["shallow"], "deep": settings["deep"]}
    return {"search": {**search, "largest": largest}, "lr": lr} | {
        name: _train(settings, depth, lr, work.device) for name, depth in depths.items()
    }


def _descent(settings: Settings, depth: int, lr: float, device: str) -> Any:
    changes = [*settings["changes"], f"model.depth={depth}", f"optimizer.lr={lr}"]
    return descent_of(settings["recipe"], changes, device=device)


def _train(settings: Settings, depth: int, lr: float, device: str) -> dict[str, Any]:
    steps, every, goal = settings["steps"], settings["every"], settings["goal"]
    training = follow(*_descent(settings, depth, lr, device), steps=steps, every=every, goal=goal)
    loss = training["loss"]
    return {
        "depth": depth,
        **training,
        "goal_reached": loss[-1] < goal,
        "rises": len(rises(loss)),
        "spikes": _spikes(loss),
    }


def _spikes(losses: Sequence[float]) -> int:
    """Count how often the loss rises a tenth above its lowest value so far; it must return before it counts again."""
    high = [loss > (1.0 + _SPIKE) * low for loss, low in zip(losses, itertools.accumulate(losses, min), strict=True)]
    return sum(now and not before for before, now in itertools.pairwise([False, *high]))


def claims(result: Result) -> list[Claim]:
    """There is a learning rate at which two hidden layers stay below the edge to the end and four do not."""
    shallow, deep, search = result["shallow"], result["deep"], result["search"]
    complete = bool(search["goal_reached"] and shallow["goal_reached"])
    cut = (
        ""
        if complete
        else f"Two hidden layers did not come to a loss of {result['settings']['goal']:g} in these steps."
    )
    return [
        claim(
            "Along a slow descent the sharpness of two hidden layers has a largest value, from which it falls as the "
            "images are learnt: there are learning rates whose edge it never reaches",
            published="stable without weight decay",
            measured={"largest": search["largest"], "last": search["sharpness"][-1]},
            holds=search["sharpness"][-1] < search["largest"] if complete else None,
            reason=cut,
        ),
        claim(
            f"At lr = {result['lr']:.4g} two hidden layers stay below the edge at every step measured",
            published="stable",
            measured=peak(shallow),
            holds=_so_far(peak(shallow) < EDGE, complete),
            reason=cut,
        ),
        claim(
            "Their loss never rises",
            published="stable",
            measured=shallow["rises"],
            holds=_so_far(shallow["rises"] == 0, complete),
            reason=cut,
        ),
        claim(
            "At the same learning rate the sharpness of four hidden layers passes the edge",
            published="exceeds the stable bound",
            measured=peak(deep),
            holds=peak(deep) > EDGE,
        ),
        claim(
            "Their loss has spikes, and does not blow up",
            published="spikes in the loss: restrained instabilities",
            measured={"spikes": deep["spikes"], "rises": deep["rises"], "blow_up_step": deep["blow_up_step"]},
            holds=deep["spikes"] > 0 and deep["blow_up_step"] is None,
            reason=f"A spike rises {100 * _SPIKE:.0f} % or more above the lowest loss so far.",
        ),
    ]


def _so_far(held: bool, whole: bool) -> bool | None:
    """What has held so far is undecided until the end; what has failed stays failed."""
    return None if held and not whole else held


def draw(result: Result) -> list[Drawing]:
    """Losses and sharpness of fully connected networks of two depths, and the search for the learning rate.

    Args:
        result: `lr`; for `shallow` and `deep` the `depth`, `loss` by step, number of `spikes`, and `sharpness` with
            `step` and `normalised`; of the `search` the `time` and `sharpness` at each measurement, and the `largest`.
    """
    runs = [result["shallow"], result["deep"]]
    return [_hidden_losses(runs, result["lr"]), _hidden_sharpness(runs, result["lr"]), _search(result)]


def _hidden_losses(runs: Sequence[Mapping[str, Any]], lr: float) -> Figure:
    curves = [cut(_hidden(run), range(len(run["loss"])), run["loss"]) for run in runs]
    title = ", ".join(
        f"{_hidden(run)}: {run['spikes'] or 'no'} spike{'s' if run['spikes'] != 1 else ''}" for run in runs
    )
    note = (
        f"Full-batch gradient descent at lr {significant(lr)}, without weight decay. A spike rises a tenth or more "
        "above the lowest loss so far."
    )
    chart = line_chart(curves, x=STEPS, y=Axis("loss", name="loss", log=True))
    return Figure("figure8-loss", title, note, chart)


def _hidden_sharpness(runs: Sequence[Mapping[str, Any]], lr: float) -> Figure:
    curves = [sharpness_curve(_hidden(run), run) for run in runs]
    reached = " and ".join(f"{significant(peak(run), 3)} with {_hidden(run)}" for run in runs)
    note = f"The sharpness is the largest eigenvalue of the loss’s Hessian, here times lr = {significant(lr)}."
    chart = line_chart(curves, x=STEPS, y=NORMALISED, levels=[EDGE_LEVEL])
    return Figure("figure8-sharpness", f"Normalised sharpness reaches {reached}", note, chart)


def _search(result: Mapping[str, Any]) -> Figure:
    search, shallow, edge = result["search"], _hidden(result["shallow"]), EDGE / result["lr"]
    share, margin = result["settings"]["search"]["share"], result["settings"]["margin"]
    title = f"Along a slow descent the sharpness of {shallow} reaches {significant(search['largest'], 3)}"
    note = (
        f"The search for the learning rate: each step is {share:g} of the one that the present sharpness allows. The "
        f"learning rate, its edge drawn, is {margin:g} of the one that the largest sharpness allows."
    )
    chart = line_chart(
        [Curve(shallow, search["time"], search["sharpness"])],
        x=Axis("time: sum of the learning rates", name="time"),
        y=Axis("sharpness", name="sharpness"),
        levels=[Level(edge, f"edge: {significant(edge, 3)}")],
    )
    return Figure("figure8-search", title, note, chart)


def _hidden(run: Mapping[str, Any]) -> str:
    return f"{run['depth']} hidden layers"


FIGURE8 = Item(
    id="figure8",
    order=53,
    title="Four hidden layers are unstable at a learning rate at which two are stable",
    shows="Loss and sharpness of tanh networks on CIFAR-10, without weight decay, at a learning rate searched for.",
    scales={
        "smoke": ItemScale(
            _SMOKE,
            "400 images of Fashion-MNIST instead of 5,000 of CIFAR-10, 100 units a layer instead of 200, at most "
            "400 steps",
            Cost(seconds=8.0, memory_mib=600),
        ),
        "laptop": ItemScale(_LAPTOP, "1,000 of 5,000 images", Cost(seconds=240.0, memory_mib=1400, data=("cifar10",))),
        # Extrapolated: five times the images, and the longest descents that are allowed.
        "paper": ItemScale(_PAPER, cost=Cost(seconds=26_000.0, memory_mib=2000, data=("cifar10",))),
    },
    published={"shallow": "stable", "deep": "spikes in the loss, and sharpness above the stable bound"},
    run=run,
    claims=claims,
    draw=draw,
    descends=True,
)
