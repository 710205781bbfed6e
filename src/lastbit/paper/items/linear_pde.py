"""Theorems 5.2 and 5.3: the linear PDE around I * K = 0, and its steps in frequencies (paper, section 5.2).

Theorem 5.2 is eq. 10 (appendices D.2 and D.4); by Theorem 5.3 forward Euler multiplies the kernel's DFT (eq. 11-13).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from lastbit.paper.item import Claim, Cost, Drawing, Item, ItemScale, Result, Settings, Work, claim, same_at_every_scale
from lastbit.pde import OneLayerCNN, fitted_order, frequency_step, linearisation_errors, noise, random_kernel
from lastbit.report.numbers import significant
from lastbit.report.pde import agreement_figure, order_figure

# An image of mean 1: on one whose sum vanishes, the residual would not move to first order in the kernel.
_LINEAR: Settings = {
    "size": 256,
    "kernel": 32,
    "seed": 7,
    "mean": 1.0,
    "pool": "mean",
    "betas": [0.5, 1.0, 5.0],
    # Of |beta z| at its largest: above, the activation's next term shows, and below, float64's rounding.
    "largest": [1e-3, 3e-3, 1e-2, 3e-2, 1e-1],
}
_LINEAR_SMOKE: Settings = {**_LINEAR, "size": 24, "kernel": 5}

_LINEARISATIONS = {
    "constant_residual": "eq. 10 against eq. 9 with a held constant",
    "moving_residual": "eq. 10 against eq. 9",
    "tangent": "appendix D.4, a linear in K, against eq. 9",
}


def run_theorem5_2(settings: Settings, work: Work) -> dict[str, Any]:
    """Compare the gradient with its linearisations at kernels of falling size, and fit the order of the error."""
    return {"cases": [_linear_case(settings, beta) for beta in settings["betas"]]}


def _linear_case(settings: Settings, beta: float) -> dict[str, Any]:
    image = settings["mean"] + noise(settings["size"], 0)
    net = OneLayerCNN(image, settings["kernel"], label=1, beta=beta, pool=settings["pool"])
    direction = random_kernel(settings["kernel"], settings["seed"])
    unit = float(linearisation_errors(net, direction, [1.0]).size[0])
    errors = linearisation_errors(net, direction, np.array(settings["largest"]) / unit)
    return {
        "beta": beta,
        "size": errors.size.tolist(),
        "kinds": {kind: _fit(errors.size, getattr(errors, kind)) for kind in _LINEARISATIONS},
    }


def _fit(size: Any, error: Any) -> dict[str, Any]:
    order = fitted_order(size, error)
    return {"error": error.tolist(), "order": order.value, "range": [order.lowest, order.highest]}


def claims_of_theorem5_2(result: Result) -> list[Claim]:
    """The error is of a higher order than the first in the kernel's size, as that of a linearisation is."""
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


def draw_theorem5_2(result: Result) -> list[Drawing]:
    """The errors of β = 1, or of the first, by the kernel's size."""
    case = next((case for case in result["cases"] if case["beta"] == 1.0), result["cases"][0])
    series = [
        {
            "name": f"{words}: order {case['kinds'][kind]['order']:.2f}",
            "size": case["size"],
            "error": case["kinds"][kind]["error"],
        }
        for kind, words in _LINEARISATIONS.items()
    ]
    orders = [case["kinds"][kind]["order"] for kind in _LINEARISATIONS]
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
            _LINEAR_SMOKE,
            "an image of 24 x 24 and a kernel of 5 x 5 instead of 256 x 256 and 32 x 32",
            Cost(seconds=0.1),
        ),
        "laptop": ItemScale(_LINEAR, cost=Cost(seconds=0.3)),
        "paper": ItemScale(_LINEAR, cost=Cost(seconds=0.3)),
    },
    published={"linear_pde": "K_t = −[(a/2)(Ī + β I ⋆ (I ⋆ K)) + αK] · w, a constant with respect to K"},
    run=run_theorem5_2,
    claims=claims_of_theorem5_2,
    draw=draw_theorem5_2,
)


# The paper's dense convolution with the window's DFT takes N^4 products: the image is small at each scale.
_FREQUENCIES: Settings = {
    "size": 24,
    "kernels": [1, 2, 4, 8, 16, 20, 23, 24],
    "seeds": [1, 2, 3],
    "lr": 1e-3,
    "weight_decay": 100.0,
    "labels": [1, 0],
}

_TOLERANCE = 1e-12
_VISIBLE = 1e-2
_EQUATIONS = ("eq. 12", "eq. 13")


def run_theorem5_3(settings: Settings, work: Work) -> dict[str, Any]:
    """Take a step from random kernels of each size, and predict it in frequencies."""
    image = noise(settings["size"], 0)
    return {"windows": [_window(settings, image, side) for side in settings["kernels"]]}


def _window(settings: Settings, image: Any, side: int) -> dict[str, Any]:
    windows = [
        frequency_step(
            OneLayerCNN(image, side, label=label, boundary="circular").transitioning(),
            random_kernel(side, seed),
            lr=settings["lr"],
            weight_decay=settings["weight_decay"],
        )
        for label in settings["labels"]
        for seed in settings["seeds"]
    ]
    return {
        "kernel": side,
        "eq. 12": [step.convolved_error for step in windows],
        "eq. 13": [step.multiplied_error for step in windows],
    }


def claims_of_theorem5_3(result: Result) -> list[Claim]:
    """Eq. 12 at every window, eq. 13 for a window as large as the image, and not for smaller ones."""
    *smaller, whole = result["windows"]
    return [
        _is_exact(result["windows"], "eq. 12", "A step changes the DFT of a windowed kernel by eq. 12"),
        _is_exact(
            [whole],
            "eq. 13",
            "With a window as large as the image a step multiplies each DFT coefficient by A(ω), less the source at 0",
        ),
        claim(
            "With a smaller window it does not: the convolution with the window’s DFT does not separate",
            published="no simple multiplicative amplifier for finite support",
            measured={str(window["kernel"]): min(window["eq. 13"]) for window in smaller},
            holds=min(error for window in smaller for error in window["eq. 13"]) > _VISIBLE,
        ),
    ]


def _is_exact(windows: Any, kind: str, text: str) -> Claim:
    errors = [error for window in windows for error in window[kind]]
    return claim(
        f"{text}, to {significant(_TOLERANCE)} of the change",
        published="equal",
        measured=max(errors),
        interval=[0.0, max(errors)],
        holds=max(errors) < _TOLERANCE,
    )


def draw_theorem5_3(result: Result) -> list[Drawing]:
    """The error of both equations by window."""
    size = result["settings"]["size"]
    rows = [
        {"case": f"W = {window['kernel']} of {size}", "kind": kind, "error": max(window[kind])}
        for window in result["windows"]
        for kind in _EQUATIONS
    ]
    note = (
        "The largest difference between a step and its prediction, relative to the step, over random kernels and both "
        "labels. Eq. 12 convolves with the window’s DFT; eq. 13 multiplies by A(ω), for a window without end. Dashed: "
        "the tolerance."
    )
    exact = [str(window["kernel"]) for window in result["windows"] if max(window["eq. 13"]) < _TOLERANCE]
    title = f"Multiplying by A(ω) is exact at W = {', '.join(exact) or 'none'} only; eq. 12 holds at every W"
    tolerances = dict.fromkeys(_EQUATIONS, _TOLERANCE)
    return [agreement_figure(rows, name="theorem5.3", title=title, note=note, tolerances=tolerances)]


THEOREM5_3 = Item(
    id="theorem5.3",
    order=33,
    title="A step in frequencies",
    shows="The change of the kernel’s DFT in a forward Euler step against eq. 12 and eq. 13, by window.",
    scales=same_at_every_scale(_FREQUENCIES, Cost(seconds=0.5)),
    published={"A(ω)": "1 − Δt(α + (aβ/2)|Î(ω)|²)"},
    run=run_theorem5_3,
    claims=claims_of_theorem5_3,
    draw=draw_theorem5_3,
)
