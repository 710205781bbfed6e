"""Theorem 5.7: the gradient of a network of many layers, each like one layer (paper, section 5.5 and appendix F)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lastbit.paper.item import Claim, Cost, Drawing, Item, Result, Settings, Work, claim, same_at_every_scale
from lastbit.pde import MultiLayerCNN, block_error, layer_gradient_errors, noise, random_kernel, signal_change
from lastbit.report.numbers import significant
from lastbit.report.pde import agreement, agreement_figure, order_figure

_SETTINGS: Settings = {
    "size": 20,
    "kernel": 3,
    "seed": 7,
    "weight_decay": 0.1,
    "depths": [1, 2, 3, 5],
    "boundaries": ["valid", "same", "circular"],
    "labels": [0, 1],
    "regimes": {
        "transitioning": [1.0, 0.1, 0.01, 0.001],
        "activated": [1.0, 3.0, 10.0],
        "not activated": [1.0, 3.0, 10.0],
    },
    "sizes": [1.0, 0.3, 0.1, 0.03, 0.01],
    "blocks_of": 3,
}

_TOLERANCE = 1e-10
_CEASED = 0.01  # share of a signal that may still depend on the kernel


def run(settings: Settings, work: Work) -> dict[str, Any]:
    """Compare gradients with autograd's, signals at two kernels of a layer, and the layers' operators."""
    return {
        "gradients": [
            _gradients(settings, depth, boundary) for depth in settings["depths"] for boundary in settings["boundaries"]
        ],
        "signals": {
            regime: [_signal(settings, regime, size) for size in sizes] for regime, sizes in settings["regimes"].items()
        },
        "blocks": {boundary: _blocks(settings, boundary) for boundary in ("circular", "valid")},
    }


def _gradients(settings: Settings, depth: int, boundary: str) -> dict[str, Any]:
    kernels = [random_kernel(settings["kernel"], settings["seed"] + layer) for layer in range(depth)]
    nets = [
        MultiLayerCNN(noise(settings["size"], 0), kernels, label=label, pool="mean", boundary=boundary)
        for label in settings["labels"]
    ]
    errors = [error for net in nets for error in layer_gradient_errors(net, settings["weight_decay"])]
    return {"depth": depth, "boundary": boundary, "error": max(errors)}


def _signal(settings: Settings, regime: str, size: float) -> float:
    """The change of g_1 as K_1 grows by half, with the layer above in a regime.

    An image of mean 1 and kernels of mean 1 / W^2 make positive responses, of about `size`; a negative K_2 makes
    those above negative.
    """
    image, entries = 1.0 + 0.1 * noise(settings["size"], 0), settings["kernel"] ** 2
    first, second = (
        (1.0 + 0.3 * random_kernel(settings["kernel"], settings["seed"] + layer)) / entries for layer in (0, 1)
    )
    sign = -1.0 if regime == "not activated" else 1.0
    net = MultiLayerCNN(image, [size * first, sign * size * second], pool="mean")
    return signal_change(net, 1, 1.5 * size * first)


def _blocks(settings: Settings, boundary: str) -> list[list[float]]:
    """The difference of each layer from its one-layer operator, for each size of the kernels."""
    drawn = [
        abs(random_kernel(settings["kernel"], settings["seed"] + layer)) / settings["kernel"] ** 2
        for layer in range(settings["blocks_of"])
    ]
    errors = []
    for size in settings["sizes"]:
        kernels = [size * kernel for kernel in drawn]
        net = MultiLayerCNN(noise(settings["size"], 0), kernels, pool="mean", boundary=boundary)
        errors.append([block_error(net, layer) for layer in range(1, len(kernels) + 1)])
    return errors


def claims(result: Result) -> list[Claim]:
    """The gradient is autograd's; signals cease to depend on the layer; the layer's operator is that of one layer."""
    errors = [gradient["error"] for gradient in result["gradients"]]
    return [
        claim(
            f"Eq. 23-24 are the gradients of the loss in every kernel, as autograd finds, to {significant(_TOLERANCE)}",
            published="equal",
            measured={"largest_relative_difference": max(errors), "networks": len(errors)},
            interval=[0.0, max(errors)],
            holds=max(errors) < _TOLERANCE,
        ),
        *(_ceases(regime, changes) for regime, changes in result["signals"].items()),
        _is_one_layer(result["blocks"]["circular"], "Wrapping round", ""),
        _is_one_layer(
            result["blocks"]["valid"],
            "Without wrapping round",
            "Near the border fewer outputs lie above an entry, so that the signal is no constant in space. The last "
            "layer, with none above, obeys.",
        ),
    ]


def _ceases(regime: str, changes: Sequence[float]) -> Claim:
    return claim(
        f"With the layer above {regime}, g_1 ceases to depend on K_1 as responses go to the regime’s limit",
        published="approximately independent of K_l",
        measured=list(changes),
        interval=[0.0, changes[-1]],
        holds=list(changes) == sorted(changes, reverse=True) and changes[-1] < _CEASED < changes[0],
        reason="Measured: the change of g_1 as K_1 grows by half, over its size where every r′ is 1.",
    )


def _is_one_layer(errors: Sequence[Sequence[float]], where: str, reason: str) -> Claim:
    last = errors[-1]
    return claim(
        f"{where}, each layer’s operator is that of one layer with h_(l−1) for the image and a·g_l for a, as kernels "
        "become small",
        published="the constant a is replaced",
        measured={f"layer {layer}": error for layer, error in enumerate(last, 1)},
        interval=[min(last), max(last)],
        holds=max(last) < _CEASED and max(last) < max(errors[0]),
        reason=reason,
    )


def draw(result: Result) -> list[Drawing]:
    """The gradients' differences, and those of the operators by size."""
    rows = [
        {"case": f"depth {gradient['depth']}, {gradient['boundary']}", "kind": "autograd", "error": gradient["error"]}
        for gradient in result["gradients"]
    ]
    tolerances = {"autograd": _TOLERANCE}
    title = f"The gradients of every layer are autograd’s: {agreement(rows, tolerances)}"
    note = "The largest relative difference over all layers and both labels; the dashed line is the tolerance."
    return [
        agreement_figure(rows, name="theorem5.7-gradients", title=title, note=note, tolerances=tolerances),
        _operators(result),
    ]


def _operators(result: Result) -> Drawing:
    sizes = result["settings"]["sizes"]
    series = [
        {"name": f"{boundary}, layer {layer}", "size": sizes, "error": list(errors)}
        for boundary, block in result["blocks"].items()
        for layer, errors in enumerate(zip(*block, strict=True), 1)
    ]
    held = {where: claims(result)[index]["holds"] for where, index in (("circular", 4), ("valid", 5))}
    exact = " and ".join(where for where, holds in held.items() if holds) or "no"
    return order_figure(
        series,
        name="theorem5.7-operators",
        title=f"As kernels become small each layer is like one layer, with {exact} correlation only",
        note="How far the extreme eigenvalues of a layer’s own operator (autograd’s Hessian of P, times a) are from "
        "the one-layer operator’s, over the largest.",
        x_title="size of the kernels",
        y_title="relative difference of eigenvalues",
    )


THEOREM5_7 = Item(
    id="theorem5.7",
    order=45,
    title="The gradient of many layers, each like one",
    shows="Gradients of deep networks against autograd, and layers’ operators against those of one layer.",
    scales=same_at_every_scale(_SETTINGS, Cost(seconds=0.5)),
    published={"gradient": "∇_{K_l} L = a h_(l−1) ⋆ (g_l r′(z_l)) + αK_l"},
    run=run,
    claims=claims,
    draw=draw,
)
