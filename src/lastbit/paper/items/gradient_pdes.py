"""Theorems 5.1 and 5.5: the PDEs of gradient descent (eq. 8-9) and of Nesterov's method (eq. 15-17; section 5)."""

from __future__ import annotations

from typing import Any

import numpy as np

from lastbit.paper.item import Claim, Cost, Drawing, Item, ItemScale, Result, Settings, Work, claim, same_at_every_scale
from lastbit.pde import (
    OneLayerCNN,
    autograd_error,
    checkerboard,
    damped_flow,
    difference_error,
    fitted_order,
    noise,
    optimizer_path,
    random_kernel,
    semi_implicit_path,
    window_error,
)
from lastbit.report.numbers import significant
from lastbit.report.pde import agreement, agreement_figure, order_figure

_MEAN: dict[str, Any] = {"image": "noise", "label": 1, "beta": 1.0, "pool": "mean", "boundary": "valid"}
# A kernel of size 1 has entries N(0, 1) / W, and responses around 1. A sum over N^2 of these saturates the sigmoid and
# leaves no gradient: pooled by sum, kernels are smaller by N, and only the mean sees the activation bend.
_SMALL: dict[str, Any] = {"pool": "sum", "size_over_image": True}
_CASES = [
    _MEAN | _SMALL | {"image": "checkerboard"},
    _MEAN | {"image": "checkerboard"},
    _MEAN | _SMALL,
    _MEAN,
    _MEAN | {"label": 0},
    _MEAN | {"beta": 5.0},
    _MEAN | {"boundary": "same"},
    _MEAN | {"boundary": "circular"},
    _MEAN | _SMALL | {"boundary": "circular", "label": 0},
]
_PAPER: Settings = {
    "size": 256,
    "kernel": 32,
    "seeds": [1, 2],
    "sizes": [0.1, 1.0, 3.0],
    "weight_decay": 0.01,
    "cases": _CASES,
}
_LAPTOP: Settings = {**_PAPER, "size": 128, "kernel": 16}
_SMOKE: Settings = {**_PAPER, "size": 24, "kernel": 5}
_INSTEAD = "instead of 256 x 256 and 32 x 32"

# Both sides round sums of 256^2 terms in float64, which on the checkerboard cancel to less than a millionth of a term.
_EXACT = 1e-7
# Rounding of the loss over the step of the difference, and the step's square.
_DIFFERENCE = 1e-5
_TOLERANCES = {"autograd": _EXACT, "loss difference": _DIFFERENCE, "no window": _EXACT}


def run_theorem5_1(settings: Settings, work: Work) -> dict[str, Any]:
    """Compare the theorem's gradient with autograd's, the loss's differences and the unlimited kernel's gradient."""
    return {"cases": [_gradient_case(settings, case) for case in settings["cases"]]}


def _gradient_case(settings: Settings, case: Settings) -> dict[str, Any]:
    image = checkerboard(settings["size"]) if case["image"] == "checkerboard" else noise(settings["size"], 0)
    options = {name: case[name] for name in ("label", "beta", "pool", "boundary")}
    net = OneLayerCNN(image, settings["kernel"], **options)
    scale = 1.0 / (settings["kernel"] * (settings["size"] if case.get("size_over_image") else 1))
    drawn = [random_kernel(settings["kernel"], seed) for seed in settings["seeds"]]
    kernels = [size * scale * kernel for size in settings["sizes"] for kernel in drawn]
    decay = settings["weight_decay"]
    return {
        "name": _name(case),
        "autograd": [autograd_error(net, kernel, decay) for kernel in kernels],
        "loss difference": [difference_error(net, kernel, decay) for kernel in kernels],
        "no window": [window_error(net, kernel) for kernel in kernels if net.boundary == "circular"],
    }


def _name(case: Settings) -> str:
    """The image, the pooling, and every option that differs from most cases."""
    usual = {"boundary": case["boundary"], "label": f"y = {case['label']}", "beta": f"β = {case['beta']:g}"}
    unusual = [words for name, words in usual.items() if case[name] != _MEAN[name]]
    return ", ".join([case["image"], case["pool"], *unusual])


def claims_of_theorem5_1(result: Result) -> list[Claim]:
    """The gradient is autograd's, and the slope of the loss; a window only cuts it."""
    return [
        _agrees(result, "autograd", "Eq. 8 is the gradient of the loss (7) that autograd finds"),
        _agrees(result, "loss difference", "Its length is the slope of the loss along it, by differences"),
        _agrees(result, "no window", "Eq. 9: a kernel of compact support descends eq. 8 cut to its window"),
    ]


def _agrees(result: Result, kind: str, text: str) -> Claim:
    errors = [error for case in result["cases"] for error in case[kind]]
    worst = None if not errors or None in errors else max(errors)
    return claim(
        f"{text}, to {significant(_TOLERANCES[kind])}",
        published="equal",
        measured={"largest_relative_difference": worst, "kernels": len(errors)},
        interval=None if worst is None else [0.0, worst],
        holds=worst is not None and worst < _TOLERANCES[kind],
    )


def draw_theorem5_1(result: Result) -> list[Drawing]:
    """The largest difference of each case."""
    rows = [
        {"case": case["name"], "kind": kind, "error": max(case[kind])}
        for case in result["cases"]
        for kind in _TOLERANCES
        if case[kind]
    ]
    note = (
        "The largest relative difference over random kernels, by case: the theorem’s gradient against autograd’s, its "
        "length against central differences of the loss, and a windowed kernel’s gradient against the unlimited one’s. "
        "Dashed lines are the tolerances."
    )
    title = f"The theorem’s gradient is that of the loss: {agreement(rows, _TOLERANCES)}"
    return [agreement_figure(rows, name="theorem5.1", title=title, note=note, tolerances=_TOLERANCES)]


THEOREM5_1 = Item(
    id="theorem5.1",
    order=31,
    title="The gradient descent PDE of the one-layer network",
    shows="The theorem’s gradient against autograd, differences of the loss, and the gradient without a window.",
    scales={
        "smoke": ItemScale(_SMOKE, f"images of 24 x 24 and kernels of 5 x 5 {_INSTEAD}", Cost(seconds=0.2)),
        "laptop": ItemScale(_LAPTOP, f"images of 128 x 128 and kernels of 16 x 16 {_INSTEAD}", Cost(seconds=2.0)),
        "paper": ItemScale(_PAPER, cost=Cost(seconds=40.0, memory_mib=1500)),
    },
    published={"gradient": "K_t = −(a I ⋆ r′(I ⋆ K) + αK) · w"},
    run=run_theorem5_1,
    claims=claims_of_theorem5_1,
    draw=draw_theorem5_1,
)


_NESTEROV: Settings = {
    "size": 24,
    "kernel": 3,
    "seed": 7,
    "weight_decay": 0.1,
    "dampings": [0.3, 1.0, 3.0],
    "time": 6.0,
    "points": 12,  # of time, at which path and flow are compared
    "dts": [0.1, 0.05, 0.025, 0.0125],
}
_SAME_PATH = 1e-10  # of the weights, after some hundred steps in float64


def run_theorem5_5(settings: Settings, work: Work) -> dict[str, Any]:
    """Follow eq. 16-17, PyTorch's optimizer and the PDE from the same kernel, at falling time steps."""
    return {"cases": [_path_case(settings, damping) for damping in settings["dampings"]]}


def _path_case(settings: Settings, damping: float) -> dict[str, Any]:
    net = OneLayerCNN(noise(settings["size"], 0), settings["kernel"], pool="mean")
    start = random_kernel(settings["kernel"], settings["seed"])

    def gradient(kernel: Any) -> Any:
        """Return the loss's gradient, weight decay included, of the kernel's shape."""
        return net.gradient(kernel, settings["weight_decay"])

    times = np.linspace(0.0, settings["time"], settings["points"] + 1)
    flow = damped_flow(gradient, start, damping=damping, times=times)
    errors, differences = [], []
    for dt in settings["dts"]:
        steps = round(settings["time"] / dt)
        path = semi_implicit_path(gradient, start, dt=dt, damping=damping, steps=steps)
        taken = optimizer_path(gradient, start, dt=dt, damping=damping, steps=steps)
        errors.append(float(np.abs(path[:: steps // settings["points"]] - flow).max()))
        differences.append(float(np.abs(path - taken).max()))
    order = fitted_order(settings["dts"], errors)
    return {
        "damping": damping,
        "dt": settings["dts"],
        "error": errors,
        "order": order.value,
        "range": [order.lowest, order.highest],
        "optimizer_difference": max(differences),
        "travelled": float(np.abs(flow - flow[0]).max()),
    }


def claims_of_theorem5_5(result: Result) -> list[Claim]:
    """The scheme is the library's Nesterov, and tends to the PDE."""
    cases = result["cases"]
    difference = max(case["optimizer_difference"] for case in cases)
    ranges = [end for case in cases for end in case["range"]]
    return [
        claim(
            "Eq. 16-17 are the steps of PyTorch’s SGD with Nesterov momentum, at the lr and momentum of appendix E.1, "
            f"to {significant(_SAME_PATH)}",
            published="a two-point recursion resulting in Nesterov’s scheme",
            measured=difference,
            interval=[0.0, difference],
            holds=difference < _SAME_PATH,
        ),
        claim(
            "As Δt falls, the scheme tends to the path of K_tt + d K_t = −∇L, by the first power of Δt",
            published="the continuum limit",
            measured={"order": {f"d = {case['damping']:g}": case["order"] for case in cases}},
            interval=[min(ranges), max(ranges)],
            holds=all(0.8 < case["order"] < 1.2 and case["error"][-1] < 0.1 * case["travelled"] for case in cases),
            reason="The gradient is taken a step ahead: an error of first order, where central differences have two.",
        ),
    ]


def draw_theorem5_5(result: Result) -> list[Drawing]:
    """The distance from the PDE’s path by time step."""
    label = "damping d = {damping:g}: order {order:.2f}"
    series = [{"name": label.format(**case), "size": case["dt"], "error": case["error"]} for case in result["cases"]]
    tends = "tends to the damped PDE’s path in proportion to its time step"
    outcome = tends if claims_of_theorem5_5(result)[1]["holds"] else "does not tend to the damped PDE’s path"
    note = (
        "The largest difference of any weight between the partial updates and the PDE’s path, followed by a "
        f"Runge-Kutta method to ten digits, up to t = {result['settings']['time']:g}, by damping."
    )
    return [
        order_figure(
            series,
            name="theorem5.5",
            title=f"Nesterov’s scheme {outcome}",
            note=note,
            x_title="time step Δt",
            y_title="distance from the path",
        )
    ]


THEOREM5_5 = Item(
    id="theorem5.5",
    order=35,
    title="Nesterov’s method and its PDE",
    shows="Eq. 16-17 against PyTorch’s optimizer, and against the path of the damped PDE, on the non-linear network.",
    scales=same_at_every_scale(_NESTEROV, Cost(seconds=3.5)),
    published={"pde": "K_tt + d K_t = −∇L(K)"},
    run=run_theorem5_5,
    claims=claims_of_theorem5_5,
    draw=draw_theorem5_5,
)
