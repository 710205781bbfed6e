"""Theorem 5.3: forward Euler multiplies the kernel's DFT by an amplification factor (paper, section 5.2, eq. 11-13)."""

from __future__ import annotations

from typing import Any

from lastbit.paper.item import Claim, Cost, Drawing, Item, Result, Settings, Work, claim, same_at_every_scale
from lastbit.pde import OneLayerCNN, frequency_step, noise, random_kernel
from lastbit.report.numbers import significant
from lastbit.report.pde import agreement_figure

# The paper's dense convolution with the window's DFT takes N^4 products: the image is small at each scale.
_SETTINGS: Settings = {
    "size": 24,
    "kernels": [1, 2, 4, 8, 16, 20, 23, 24],
    "seeds": [1, 2, 3],
    "lr": 1e-3,
    "weight_decay": 100.0,
    "labels": [1, 0],
}

_TOLERANCE = 1e-12
_VISIBLE = 1e-2
_KINDS = ("eq. 12", "eq. 13")


def run(settings: Settings, work: Work) -> dict[str, Any]:
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


def claims(result: Result) -> list[Claim]:
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


def draw(result: Result) -> list[Drawing]:
    """The error of both equations by window."""
    size = result["settings"]["size"]
    rows = [
        {"case": f"W = {window['kernel']} of {size}", "kind": kind, "error": max(window[kind])}
        for window in result["windows"]
        for kind in _KINDS
    ]
    note = (
        "The largest difference between a step and its prediction, relative to the step, over random kernels and both "
        "labels. Eq. 12 convolves with the window’s DFT; eq. 13 multiplies by A(ω), for a window without end. Dashed: "
        "the tolerance."
    )
    exact = [str(window["kernel"]) for window in result["windows"] if max(window["eq. 13"]) < _TOLERANCE]
    title = f"Multiplying by A(ω) is exact at W = {', '.join(exact) or 'none'} only; eq. 12 holds at every W"
    tolerances = dict.fromkeys(_KINDS, _TOLERANCE)
    return [agreement_figure(rows, name="theorem5.3", title=title, note=note, tolerances=tolerances)]


THEOREM5_3 = Item(
    id="theorem5.3",
    order=33,
    title="A step in frequencies",
    shows="The change of the kernel’s DFT in a forward Euler step against eq. 12 and eq. 13, by window.",
    scales=same_at_every_scale(_SETTINGS, Cost(seconds=0.5)),
    published={"A(ω)": "1 − Δt(α + (aβ/2)|Î(ω)|²)"},
    run=run,
    claims=claims,
    draw=draw,
)
