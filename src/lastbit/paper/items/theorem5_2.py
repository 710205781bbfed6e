"""Theorem 5.2: the linear PDE around I * K = 0 (paper, section 5.2 and appendices D.2 and D.4, eq. 10)."""

from __future__ import annotations

from typing import Any

import numpy as np

from lastbit.paper.item import Claim, Cost, Drawing, Item, ItemScale, Result, Settings, Work, claim
from lastbit.pde import OneLayerCNN, fitted_order, linearisation_errors, noise, random_kernel
from lastbit.report.numbers import significant
from lastbit.report.pde import order_figure

# An image of mean 1: on one whose sum vanishes, the residual would not move to first order in the kernel.
_PAPER: Settings = {
    "size": 256,
    "kernel": 32,
    "seed": 7,
    "mean": 1.0,
    "pool": "mean",
    "betas": [0.5, 1.0, 5.0],
    # Of |beta z| at its largest: above, the activation's next term shows, and below, float64's rounding.
    "largest": [1e-3, 3e-3, 1e-2, 3e-2, 1e-1],
}
_SMOKE: Settings = {**_PAPER, "size": 24, "kernel": 5}

_KINDS = {
    "constant_residual": "eq. 10 against eq. 9 with a held constant",
    "moving_residual": "eq. 10 against eq. 9",
    "tangent": "appendix D.4, a linear in K, against eq. 9",
}


def run(settings: Settings, work: Work) -> dict[str, Any]:
    """Compare the gradient with its linearisations at kernels of falling size, and fit the order of the error."""
    return {"cases": [_case(settings, beta) for beta in settings["betas"]]}


def _case(settings: Settings, beta: float) -> dict[str, Any]:
    image = settings["mean"] + noise(settings["size"], 0)
    net = OneLayerCNN(image, settings["kernel"], label=1, beta=beta, pool=settings["pool"])
    direction = random_kernel(settings["kernel"], settings["seed"])
    unit = float(linearisation_errors(net, direction, [1.0]).size[0])
    errors = linearisation_errors(net, direction, np.array(settings["largest"]) / unit)
    return {
        "beta": beta,
        "size": errors.size.tolist(),
        "kinds": {kind: _fit(errors.size, getattr(errors, kind)) for kind in _KINDS},
    }


def _fit(size: Any, error: Any) -> dict[str, Any]:
    order = fitted_order(size, error)
    return {"error": error.tolist(), "order": order.value, "range": [order.lowest, order.highest]}


def claims(result: Result) -> list[Claim]:
    """The error is of a higher than the first power of the kernel's size, as a linearisation's is."""
    return [
        _is_of_order(
            result,
            "constant_residual",
            "With the residual a held constant, eq. 10 errs by the second power of the kernel’s size or a higher one",
            2.0,
            "The third: Swish’s r′ − 1/2 is an odd function, without a term of second order.",
        ),
        _is_of_order(
            result,
            "moving_residual",
            "Eq. 10 is the linearisation of eq. 9 also as its residual a moves with K",
            2.0,
            "Its error is of first order: a moves by σ′(0) P, and with it the force D / 2, as appendix D.4 has it.",
        ),
        _is_of_order(
            result,
            "tangent",
            "With a linear in K (appendix D.4) the error of the linear PDE is of second order",
            2.0,
            "",
        ),
    ]


def _is_of_order(result: Result, kind: str, text: str, least: float, reason: str) -> Claim:
    by_beta = {f"β = {case['beta']:g}": case["kinds"][kind] for case in result["cases"]}
    ranges = [end for case in by_beta.values() for end in case["range"]]
    orders = {name: case["order"] for name, case in by_beta.items()}
    return claim(
        text,
        published="the linearization of the PDE",
        measured={"order": orders},
        interval=[min(ranges), max(ranges)],
        # A fit over two decades of sizes is within a tenth of the power.
        holds=min(orders.values()) > least - 0.1,
        reason=reason,
    )


def draw(result: Result) -> list[Drawing]:
    """The errors of β = 1, or of the first, by the kernel's size."""
    case = next((case for case in result["cases"] if case["beta"] == 1.0), result["cases"][0])
    series = [
        {
            "name": f"{words}: order {case['kinds'][kind]['order']:.2f}",
            "size": case["size"],
            "error": case["kinds"][kind]["error"],
        }
        for kind, words in _KINDS.items()
    ]
    orders = [case["kinds"][kind]["order"] for kind in _KINDS]
    title = (
        f"Held constant, a leaves eq. 10 an error of order {significant(orders[0], 3)}; moving, one of order "
        f"{significant(orders[1], 3)}, and of {significant(orders[2], 3)} with appendix D.4’s term"
    )
    note = f"|gradient − linear gradient| along one random kernel, β = {case['beta']:g}; powers are straight."
    return [
        order_figure(
            series,
            name="theorem5.2",
            title=title,
            note=note,
            x_title="largest |βz| over the output positions",
            y_title="error of the gradient",
        )
    ]


THEOREM5_2 = Item(
    id="theorem5.2",
    order=32,
    title="The linear PDE around the activation’s switching point",
    shows="How the error of the linear PDE falls with the kernel’s size, with the residual held and moving.",
    scales={
        "smoke": ItemScale(
            _SMOKE, "an image of 24 x 24 and a kernel of 5 x 5 instead of 256 x 256 and 32 x 32", Cost(seconds=0.1)
        ),
        "laptop": ItemScale(_PAPER, cost=Cost(seconds=0.3)),
        "paper": ItemScale(_PAPER, cost=Cost(seconds=0.3)),
    },
    published={"linear_pde": "K_t = −[(a/2)(Ī + β I ⋆ (I ⋆ K)) + αK] · w, a constant with respect to K"},
    run=run,
    claims=claims,
    draw=draw,
)
