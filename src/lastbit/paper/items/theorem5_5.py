"""Theorem 5.5: Nesterov's method as a discretised PDE of second order in time (paper, section 5.2, eq. 15-17)."""

from __future__ import annotations

from typing import Any

import numpy as np

from lastbit.paper.item import Claim, Cost, Drawing, Item, Result, Settings, Work, claim, same_at_every_scale
from lastbit.pde import (
    OneLayerCNN,
    damped_flow,
    fitted_order,
    noise,
    optimizer_path,
    random_kernel,
    semi_implicit_path,
)
from lastbit.report.numbers import significant
from lastbit.report.pde import order_figure

_SETTINGS: Settings = {
    "size": 24,
    "kernel": 3,
    "seed": 7,
    "weight_decay": 0.1,
    "dampings": [0.3, 1.0, 3.0],
    "time": 6.0,
    "points": 12,  # of time, at which path and flow are compared
    "dts": [0.1, 0.05, 0.025, 0.0125],
}

_TOLERANCE = 1e-10  # of the weights, after some hundred steps in float64


def run(settings: Settings, work: Work) -> dict[str, Any]:
    """Follow eq. 16-17, PyTorch's optimizer and the PDE from the same kernel, at falling time steps."""
    return {"cases": [_case(settings, damping) for damping in settings["dampings"]]}


def _case(settings: Settings, damping: float) -> dict[str, Any]:
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


def claims(result: Result) -> list[Claim]:
    """The scheme is the library's Nesterov, and tends to the PDE."""
    cases = result["cases"]
    differences = [case["optimizer_difference"] for case in cases]
    ranges = [end for case in cases for end in case["range"]]
    return [
        claim(
            "Eq. 16-17 are the steps of PyTorch’s SGD with Nesterov momentum, at the lr and momentum of appendix E.1, "
            f"to {significant(_TOLERANCE)}",
            published="a two-point recursion resulting in Nesterov’s scheme",
            measured=max(differences),
            interval=[0.0, max(differences)],
            holds=max(differences) < _TOLERANCE,
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


def draw(result: Result) -> list[Drawing]:
    """The distance from the PDE’s path by time step."""
    series = [
        {"name": f"damping d = {case['damping']:g}: order {case['order']:.2f}", "size": case["dt"]}
        | {"error": case["error"]}
        for case in result["cases"]
    ]
    title = "Nesterov’s scheme tends to the damped PDE’s path in proportion to its time step"
    note = (
        "The largest difference of any weight between the partial updates and the PDE’s path, followed by a "
        f"Runge-Kutta method to ten digits, up to t = {result['settings']['time']:g}, by damping."
    )
    return [
        order_figure(
            series,
            name="theorem5.5",
            title=title if claims(result)[1]["holds"] else "Nesterov’s scheme does not tend to the damped PDE’s path",
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
    scales=same_at_every_scale(_SETTINGS, Cost(seconds=3.5)),
    published={"pde": "K_tt + d K_t = −∇L(K)"},
    run=run,
    claims=claims,
    draw=draw,
)
