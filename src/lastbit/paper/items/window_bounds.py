"""Tables 2 and 9: bounds on weight decay that simulations find, by kernel size, against the theory's.

Table 2 is of plain gradient descent (paper, section 5.3), table 9 of Nesterov momentum (appendix E.2).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import sqrt
from typing import Any

from lastbit.paper.item import Claim, Cost, Drawing, Item, ItemScale, Result, Settings, Work, claim
from lastbit.paper.items.window_bounds_drawing import window_bounds_drawings
from lastbit.pde import OneLayerCNN, checkerboard, empirical_bounds, from_damping, noise, random_kernel

_CHECKERBOARD: dict[str, Any] = {"image": "checkerboard", "size": 256, "dt": 1e-8}
# A small kernel's mode grows slowly, so that its bound takes many steps to show. By kernel size:
_STEPS = {"1": 1_000, "2": 40_000, "4": 12_000, "8": 4_000}
# The last series is not in the paper: an image with many frequencies, for which the window moves both bounds.
_PAPER: Settings = {
    "seed": 7,
    "tolerance": 1e-3,
    "series": [
        _CHECKERBOARD | {"boundary": "valid", "kernels": [1, 2, 4, 8, 16, 32, 64, 128, 192], "steps": 1_000},
        _CHECKERBOARD | {"boundary": "circular", "kernels": [2, 8, 32, 64, 128, 256], "steps": 1_000},
        {
            "image": "noise",
            "size": 64,
            "dt": 2e-4,
            "boundary": "circular",
            "kernels": [1, 4, 8, 16, 64],
            "steps": 3_000,
        },
    ],
    "more_steps": _STEPS,
}
_SMOKE: Settings = {
    "seed": 7,
    "tolerance": 3e-3,
    "series": [
        _CHECKERBOARD | {"size": 16, "dt": 6e-4, "boundary": "valid", "kernels": [1, 2, 4, 8], "steps": 300},
        _CHECKERBOARD | {"size": 16, "dt": 6e-4, "boundary": "circular", "kernels": [2, 4, 16], "steps": 300},
        {"image": "noise", "size": 16, "dt": 3e-3, "boundary": "circular", "kernels": [1, 4, 16], "steps": 500},
    ],
    "more_steps": {},
}

_ROUNDING = 1e-6  # an eigenvalue's own residual is below it

SCALES = {
    "smoke": ItemScale(
        _SMOKE,
        "images of 16 x 16 instead of 256 x 256, kernels up to 16, simulations of 300 to 500 steps",
        Cost(seconds=2.0),
    ),
    "laptop": ItemScale(_PAPER, cost=Cost(seconds=430.0)),
    "paper": ItemScale(_PAPER, cost=Cost(seconds=430.0)),
}


def run(scheme: Callable[[float], dict[str, Any]], settings: Settings, work: Work) -> dict[str, Any]:
    """Bound the weight decay by simulation and by theory at each kernel size of each series.

    Args:
        scheme: from a series' `dt`, the options `lr`, `momentum` and `nesterov` of the simulation and the bounds.
        settings: one of `SCALES`.
        work: not used, for nothing is trained.
    """
    return {"series": [_series(settings, series, scheme(series["dt"])) for series in settings["series"]]}


def _plain(dt: float) -> dict[str, Any]:
    return {"lr": dt, "momentum": 0.0, "nesterov": False}


def _nesterov(dt: float) -> dict[str, Any]:
    # Figure 11's time step squared is figure 4's; damping 2/19 a step is momentum 0.9.
    lr, momentum = from_damping(sqrt(dt), 2.0 / 19.0 / sqrt(dt))
    return {"lr": lr, "momentum": momentum, "nesterov": True}


def _series(settings: Settings, series: Settings, options: dict[str, Any]) -> dict[str, Any]:
    image = checkerboard(series["size"]) if series["image"] == "checkerboard" else noise(series["size"], 0)
    rows = []
    boundary = series["boundary"]
    for side in series["kernels"]:
        steps = max(series["steps"], settings["more_steps"].get(str(side), 0))
        net = OneLayerCNN(image, kernel=side, label=1, beta=1.0, boundary=boundary, method=_method(series, side))
        rows.append({"kernel": side, **_row(net, settings, steps, options)})
    return {name: series[name] for name in ("image", "size", "boundary")} | {"rows": rows, **options}


def _row(net: OneLayerCNN, settings: Settings, steps: int, options: dict[str, Any]) -> dict[str, Any]:
    kernel = random_kernel(net.kernel, settings["seed"])
    simulated = empirical_bounds(net.transitioning(), kernel, steps=steps, tolerance=settings["tolerance"], **options)
    theory = {window: net.bounds(window=window, **options) for window in ("exact", "pixel", "infinite")}
    return {
        "simulated": None if simulated.empty else {"lower": simulated.lower, "upper": simulated.upper},
        "steps": steps,
        **{window: {"lower": bounds.lower, "upper": bounds.upper} for window, bounds in theory.items()},
    }


def _method(series: Settings, side: int) -> str:
    # A checkerboard has two distinct patches, so that its small kernels are simulated 100 times faster with these than
    # by FFT; for large ones, finding the two costs more than it saves.
    return "direct" if series["image"] == "checkerboard" and side <= 8 else "auto"


def claims(result: Result) -> list[Claim]:
    """The exact bounds are what simulations bisect, and run from the one-pixel to the infinite bounds."""
    return [
        _settled(result),
        *(_starts_at_one_pixel(series) for series in result["series"] if series["rows"][0]["kernel"] == 1),
        *(_approaches(series) for series in result["series"]),
        _lies_between(result),
    ]


def _settled(result: Result) -> Claim:
    rows = [row for series in result["series"] for row in series["rows"]]
    agree = [(row["simulated"] is None) == (row["exact"]["lower"] >= row["exact"]["upper"]) for row in rows]
    errors = [
        abs(row["simulated"][end] / row["exact"][end] - 1.0)
        for row in rows
        if row["simulated"] is not None
        for end in ("lower", "upper")
    ]
    return claim(
        "The exact bounds of the windowed operator are those that simulations find by bisection, to 1 %",
        published=None,
        measured={"largest_relative_difference": max(errors), "both_say_none": len(rows) - len(errors) // 2},
        interval=[0.0, max(errors)],
        holds=all(agree) and max(errors) < 0.01,
    )


def _lies_between(result: Result) -> Claim:
    rows = [(_name(series), row) for series in result["series"] for row in series["rows"]]
    outside = [f"{name}, W = {row['kernel']}" for name, row in rows if not _is_between(row)]
    return claim(
        "At every kernel size the exact bounds lie between those of one pixel and of the infinite window",
        published="the upper bound increases and the lower one decreases, as for one pixel (conjectured)",
        measured={"kernel_sizes": len(rows), "outside": outside},
        holds=bool(rows) and not outside,
    )


def _is_between(row: Result) -> bool:
    pixel, exact, infinite = (row[window] for window in ("pixel", "exact", "infinite"))
    # One pixel's are the exact ones at W = 1, and the infinite ones at a circular W = N, but for rounding.
    down, up = 1.0 - _ROUNDING, 1.0 + _ROUNDING
    lower = down * pixel["lower"] <= exact["lower"] <= up * infinite["lower"]
    upper = down * infinite["upper"] <= exact["upper"] <= up * pixel["upper"]
    return bool(lower and upper)


def _starts_at_one_pixel(series: Result) -> Claim:
    first, pixel = series["rows"][0]["simulated"], series["rows"][0]["pixel"]
    errors = [] if first is None else [abs(first[end] / pixel[end] - 1.0) for end in ("lower", "upper")]
    return claim(
        f"{_name(series)}: a kernel of one pixel has the bounds of eq. 19",
        published="the upper bound is higher and the lower bound lower than eq. 14's",
        measured=first,
        interval=[pixel["lower"], pixel["upper"]],
        holds=bool(errors)
        and max(errors) < 0.01
        and pixel["lower"] < series["rows"][0]["infinite"]["lower"]
        and pixel["upper"] >= series["rows"][0]["infinite"]["upper"],
    )


def _approaches(series: Result) -> Claim:
    gaps = [row["infinite"]["lower"] / row["exact"]["lower"] for row in series["rows"]]
    widening = gaps == sorted(gaps, reverse=True)
    last = series["rows"][-1]
    return claim(
        f"{_name(series)}: the bounds approach those of the infinite window as the kernel grows",
        published="the bounds approach those of infinite support",
        measured={"infinite_over_exact_lower": gaps, "kernels": [row["kernel"] for row in series["rows"]]},
        interval=[last["exact"]["lower"], last["infinite"]["lower"]],
        holds=widening and gaps[-1] < 1.01,
        reason="" if gaps[-1] < 1.01 else _VALID,
    )


_VALID = (
    "Without wrapping round, a larger kernel has fewer positions: the lower bound stays below the infinite one's and "
    "falls again beyond half the image."
)


def _name(series: Result) -> str:
    return f"{series['image']} {series['size']} x {series['size']}, {series['boundary']}"


def draw(name: str, result: Result) -> list[Drawing]:
    """The bounds by kernel size, and the table."""
    return [*window_bounds_drawings(result, name=name)]


def _table(*, id: str, order: int, title: str, scheme: Callable[[float], dict[str, Any]], published: str) -> Item:
    return Item(
        id=id,
        order=order,
        title=title,
        shows="Bounds found by bisecting simulations beside the exact, the one-pixel and the infinite window's.",
        scales=SCALES,
        published={"bounds": published},
        run=partial(run, scheme),
        claims=claims,
        draw=partial(draw, id),
    )


TABLE2 = _table(
    id="table2",
    order=42,
    title="Bounds on weight decay by kernel size",
    scheme=_plain,
    published="approach those of infinite support; the text has lost the numbers",
)
TABLE9 = _table(
    id="table9",
    order=211,
    title="Bounds on weight decay by kernel size under Nesterov momentum",
    scheme=_nesterov,
    published="exist under momentum too; the text has lost the numbers",
)
