"""Table 3: the three regimes of the activation, their linear PDEs and what keeps each stable (paper, section 5.4)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lastbit.paper.item import Claim, Cost, Drawing, Item, ItemScale, Result, Settings, Work, claim
from lastbit.pde import Bounds, Linearisation, OneLayerCNN, checkerboard, noise, random_kernel, regime_bounds, simulate
from lastbit.report.numbers import significant
from lastbit.report.table import Table

_SETTINGS: Settings = {
    "seed": 7,
    "steps": 400,
    "margin": 0.05,
    "cases": [
        {"name": "figure 4", "image": "checkerboard", "size": 256, "kernel": 32, "pool": "sum", "lr": 1e-8},
        {"name": "figure 5", "image": "checkerboard", "size": 256, "kernel": 32, "pool": "mean", "lr": 0.07},
        {"name": "noise, β = 1", "image": "noise", "size": 64, "kernel": 8, "pool": "mean", "lr": 1.0},
    ],
    "published": {"alpha_of_figure_5": 20.0},
}
_SMOKE: Settings = {
    **_SETTINGS,
    "cases": [
        {"name": "figure 4", "image": "checkerboard", "size": 40, "kernel": 32, "pool": "sum", "lr": 6.25e-6},
        {"name": "figure 5", "image": "checkerboard", "size": 40, "kernel": 32, "pool": "mean", "lr": 0.07},
        {"name": "noise, β = 1", "image": "noise", "size": 32, "kernel": 4, "pool": "mean", "lr": 1.0},
    ],
}


def run(settings: Settings, work: Work) -> dict[str, Any]:
    """Bound the weight decay in each regime, and simulate its linear PDE on either side of each bound."""
    return {"cases": [_case(settings, case) for case in settings["cases"]]}


def _case(settings: Settings, case: Settings) -> dict[str, Any]:
    image = checkerboard(case["size"]) if case["image"] == "checkerboard" else noise(case["size"], 0)
    net = OneLayerCNN(image, kernel=case["kernel"], label=1, beta=1.0, pool=case["pool"])
    pairs = zip(net.linearisations(), regime_bounds(net, lr=case["lr"]), strict=True)
    rows = [_row(settings, linear, bounds, case["lr"]) for linear, bounds in pairs]
    return {"name": case["name"], "lr": case["lr"], "rows": rows}


def _row(settings: Settings, linear: Linearisation, bounds: Bounds, lr: float) -> dict[str, Any]:
    # An eigenvalue is known to its residual: a lower bound within it is that of a mode that weight decay alone moves.
    lower = bounds.lower if bounds.lower > bounds.lower_critical.residual else 0.0
    kernel = random_kernel(linear.kernel, settings["seed"])
    return {
        "regime": bounds.regime,
        "lower": lower,
        "upper": bounds.upper,
        "simulated": {
            name: simulate(linear, kernel, lr=lr, weight_decay=alpha, steps=settings["steps"]).regime
            for name, alpha in _probes(lower, bounds.upper, settings["margin"]).items()
        },
    }


def _probes(lower: float, upper: float, margin: float) -> dict[str, float]:
    """Weight decays on either side of the bounds; where no weight decay is stable, the one between them."""
    if lower >= upper:
        return {"between crossed bounds": (lower + upper) / 2.0}
    away = margin * (upper - lower)
    probes = {"above lower": lower + away, "below upper": upper - away, "above upper": upper + away}
    # Below a bound of 0 there is nothing: no weight decay is negative.
    return probes | ({"below lower": max(0.0, lower - away)} if lower > 0.0 else {})


def claims(result: Result) -> list[Claim]:
    """Simulations agree with each regime's bounds; they order as the paper says; Figure 5's weight decay."""
    cases = result["cases"]
    return [
        *(_agrees(case) for case in cases),
        *(_not_activated(case) for case in cases),
        _restrains(cases[1], result["settings"]["published"]["alpha_of_figure_5"]),
    ]


def _agrees(case: Result) -> Claim:
    inside = ("above lower", "below upper")
    seen = [(row["regime"], where, what) for row in case["rows"] for where, what in row["simulated"].items()]
    wrong = [" ".join(words) for words in seen if words[2] != ("stable" if words[1] in inside else "blow-up")]
    return claim(
        f"{case['name']}: the linear PDE of each regime is stable within its bounds and blows up outside",
        published="stability conditions for each regime",
        measured={"simulations": len(seen), "disagreeing": wrong},
        holds=bool(seen) and not wrong,
    )


def _not_activated(case: Result) -> Claim:
    row = next(row for row in case["rows"] if row["regime"] == "not activated")
    edge = 2.0 / case["lr"]
    return claim(
        f"{case['name']}: not activated, weight decay alone decides: stable iff Δt α < 2",
        published=edge,
        measured=row["upper"],
        interval=[row["lower"], row["upper"]],
        holds=row["lower"] == 0.0 and abs(row["upper"] / edge - 1.0) < 1e-9,
    )


def _restrains(case: Result, alpha: float) -> Claim:
    bounds = {row["regime"]: [row["lower"], row["upper"]] for row in case["rows"]}
    holding = {regime: low <= alpha < high for regime, (low, high) in bounds.items()}
    return claim(
        f"At figure 5's α = {alpha:g} and lr = {case['lr']:g} the transitioning regime is unstable, others are stable",
        published="the path passes between unstable and stable regimes",
        measured=bounds,
        holds=not holding["transitioning"] and holding["activated"] and holding["not activated"],
    )


def draw(result: Result) -> list[Drawing]:
    """The table."""
    return [regimes_table(result)]


# Region, linear PDE on the window, and stability condition, with D(u) = Σ_x I(x + u) and G = I ⋆ (I ⋆ ·).
_REGIMES = {
    "activated": ("βz > 1", "K_t = −(σ′ D Dᵀ K + a D + αK)", "0 < Δt (α + σ′ λ) < 2 for the eigenvalues λ of D Dᵀ"),
    "transitioning": (
        "|βz| ≤ 1",
        "K_t = −(a/2)(D + β G K) − αK",
        "0 < Δt (α + (aβ/2) λ) < 2 for the eigenvalues λ of G",
    ),
    "not activated": ("βz < −1", "K_t = −αK", "0 < Δt α < 2"),
}


def regimes_table(result: Mapping[str, Any]) -> Table:
    """Table 3: each regime's region, linear PDE and condition, and for each case its bounds on weight decay.

    Args:
        result: for each of `cases` its `name`, `lr`, and for each of `rows` its `regime`, `lower` and `upper`.
    """
    cases = result["cases"]
    names = [f"{case['name']}: α at Δt = {significant(case['lr'])}" for case in cases]
    columns = ["regime", "region", "linear PDE", "stable iff", *names]
    rows = [[regime, *theory, *(_regime_bounds(case, regime) for case in cases)] for regime, theory in _REGIMES.items()]
    first = _regime_row(cases[0], "transitioning")
    title = (
        "The transitioning regime alone needs weight decay: "
        f"at least {significant(first['lower'])} for {cases[0]['name']}’s settings"
    )
    note = (
        "The linear PDE on the kernel’s window in each regime of Swish, its stability condition and the exact bounds "
        "on weight decay. D is the sum of the image as each kernel entry sees it, G the Gram operator of its patches."
    )
    needy = {row["regime"] for case in cases for row in case["rows"] if row["lower"] > 0}
    finding = title if needy == {"transitioning"} else "Bounds of three regimes"
    return Table("table3", finding, columns, rows, note, align="l" * len(columns))


def _regime_bounds(case: Mapping[str, Any], regime: str) -> str:
    row = _regime_row(case, regime)
    if row["lower"] >= row["upper"]:
        return f"none (above {significant(row['lower'])} and below {significant(row['upper'])})"
    return f"{significant(row['lower'])} to {significant(row['upper'])}"


def _regime_row(case: Mapping[str, Any], regime: str) -> Mapping[str, Any]:
    return next(row for row in case["rows"] if row["regime"] == regime)


TABLE3 = Item(
    id="table3",
    order=43,
    title="Three regimes of the activation and their linear PDEs",
    shows="The linear PDE and the stability condition of each regime, with numbers, and simulations on either side.",
    scales={
        "smoke": ItemScale(_SMOKE, "images of 40 x 40 and 32 x 32 instead of 256 x 256 and 64 x 64", Cost(seconds=1.0)),
        "laptop": ItemScale(_SETTINGS, cost=Cost(seconds=7.0)),
        "paper": ItemScale(_SETTINGS, cost=Cost(seconds=7.0)),
    },
    published={"not_activated": "stable iff Δt α < 2"},
    run=run,
    claims=claims,
    draw=draw,
)
