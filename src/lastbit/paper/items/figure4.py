"""Figure 4: the linear PDE of the one-layer network needs a weight decay between two bounds (paper, section 5.3).

Figure 11, which is of Nesterov momentum, makes, judges and draws its runs as this one does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lastbit.paper.item import Claim, Cost, Drawing, Item, ItemScale, Result, Settings, Work, claim, rounded
from lastbit.pde import Bounds, OneLayerCNN, checkerboard, random_kernel, simulate
from lastbit.report.charts import STEPS, Axis, Chart, Figure, cut, line_chart
from lastbit.report.numbers import significant

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
        simulation = simulate(
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
                "regime": simulation.regime,
                "blow_up_step": simulation.blow_up_step,
                "loss": rounded(simulation.loss, _DIGITS),
                "norm": rounded(simulation.norm, _DIGITS),
            }
        )
    return runs


def bounds_as_json(bounds: Bounds) -> dict[str, float]:
    """Return both bounds as plain JSON."""
    return {"lower": bounds.lower, "upper": bounds.upper}


def lower_claim(result: Result, published: float) -> Claim:
    """A claim that the published lower bound separates the runs and agrees with the exact one to 1 %."""
    exact = result["bounds"]["exact"]["lower"]
    below = [run for run in result["runs"] if run["weight_decay"] < published]
    inside = [run for run in result["runs"] if published <= run["weight_decay"] < result["bounds"]["exact"]["upper"]]
    return claim(
        f"Below a weight decay of {published:.4g} the linear PDE blows up, from there on it is stable",
        published=published,
        measured={"exact_bound": exact},
        interval=[max(run["weight_decay"] for run in below), min(run["weight_decay"] for run in inside)],
        holds=_all(below, "blow-up") and _all(inside, "stable") and abs(exact / published - 1.0) < 0.01,
    )


def upper_claim(result: Result, bound: float, *, published: float | None) -> Claim:
    """A claim that an upper bound separates the runs; a run at the bound itself does not count."""
    inside = [run for run in result["runs"] if result["bounds"]["exact"]["lower"] < run["weight_decay"] < bound]
    above = [run for run in result["runs"] if run["weight_decay"] > bound]
    interval = [max(run["weight_decay"] for run in inside), min(run["weight_decay"] for run in above)]
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
    return bool(runs) and all(run["regime"] == regime for run in runs)


def weight_decay_figures(result: Mapping[str, Any], *, name: str) -> list[Figure]:
    """Figures 4 and 11: the kernel's norm and the loss of the linear PDE on either side of its bounds.

    Args:
        result: `lr`, `bounds` (by kind, `lower` and `upper`, with `exact` among them), and for each of `runs` its
            `weight_decay`, `regime`, `norm` and `loss` before each update.
        name: of the item; the files are called after it.
    """
    exact, runs = result["bounds"]["exact"], result["runs"]
    between = f"between weight decays {significant(exact['lower'])} and {significant(exact['upper'])}"
    rate = f"learning rate {significant(result['lr'], 3)}"
    scheme = f"Nesterov momentum {result['momentum']:.3g}" if "momentum" in result else "gradient descent"
    note = (
        f"The linear PDE around z = 0 by {scheme}, {rate}. The exact bounds of the windowed operator are in the title. "
        "A cross ends a run that left the picture."
    )
    # With its residual frozen, the loss of the linear PDE has no lower bound.
    fallen = " A loss that falls below 0 runs off to minus infinity, and its curve ends there."
    below = any(min(run["loss"]) <= 0 for run in runs)
    return [
        Figure(
            f"{name}-norm",
            f"The kernel stays bounded only {between}",
            note,
            _of_runs(runs, "norm", Axis("kernel norm |K|", name="|K|", log=True)),
        ),
        Figure(
            f"{name}-loss",
            f"The loss settles only {between}",
            note + (fallen if below else ""),
            _of_runs(runs, "loss", Axis("loss of the linear PDE", name="loss", log=True)),
        ),
    ]


def _of_runs(runs: Sequence[Mapping[str, Any]], field: str, y: Axis) -> Chart:
    top = 1e4 * max(run[field][0] for run in runs)  # beyond, a curve is said to have blown up
    curves = [
        cut(
            f"α = {significant(run['weight_decay'])}, {run['regime']}",
            range(len(run[field])),
            [value if value > 0 or field == "norm" else None for value in run[field]],
            cap=top,
        )
        for run in runs
    ]
    return line_chart(curves, x=STEPS, y=y)


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
