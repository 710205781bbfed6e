"""Figure 5: restrained instability of the one-layer network, and what it does to the last bit (paper, section 5.4)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lastbit.paper.item import Claim, Cost, Drawing, Item, ItemScale, Result, Settings, Work, claim, rounded
from lastbit.pde import OneLayerCNN, Simulation, checkerboard, random_kernel, simulate
from lastbit.report.paper import training_figures

_PAPER: Settings = {
    "size": 256,
    "kernel": 32,
    "seed": 7,
    "weight_decay": 20.0,
    "steps": 1000,
    "lrs": [0.01, 0.02, 0.03, 0.04, 0.05, 0.07, 0.09, 0.095, 0.1, 0.105, 0.11],
    "ks": [1, 3],
    "twins": {"lrs": [0.03, 0.07], "ks": [1, 3, 5, 7, 9, 11]},
    # Learning rates of the two sides of the threshold that the paper finds by experiment.
    "converging": [0.01, 0.02, 0.03],
}
# What decides is the kernel's side: with as large a kernel the small image's network does nearly the same.
_SMOKE: Settings = {**_PAPER, "size": 40}

_GONE = 1e-12  # RelL1 of weights that differ in rounding only
_GROWN = 1e-2
_DIGITS = 6  # of a RelL1


def run(settings: Settings, work: Work) -> dict[str, Any]:
    """Train at each learning rate with a twin, and at two of them with all twins."""
    twins = settings["twins"]
    return {
        "runs": [_as_json(lr, _train(settings, lr, settings["ks"])) for lr in settings["lrs"]],
        "twins": [_as_json(lr, _train(settings, lr, twins["ks"])) for lr in twins["lrs"]],
    }


def _train(settings: Settings, lr: float, ks: Sequence[int]) -> Simulation:
    net = OneLayerCNN(checkerboard(settings["size"]), kernel=settings["kernel"], label=1, beta=1.0, pool="mean")
    kernel = random_kernel(settings["kernel"], settings["seed"])
    return simulate(net, kernel, lr=lr, weight_decay=settings["weight_decay"], steps=settings["steps"], ks=ks)


def _as_json(lr: float, found: Simulation) -> dict[str, Any]:
    return {
        "lr": lr,
        "regime": found.regime,
        "blow_up_step": found.blow_up_step,
        "loss": found.loss.tolist(),
        "rel_l1": {str(k): rounded(found.rel_l1[i], _DIGITS) for i, k in enumerate(found.ks) if i > 0},
    }


def claims(result: Result) -> list[Claim]:
    """The three bands of learning rates; that the last bit grows in the middle one and not below."""
    limit = 2.0 / result["settings"]["weight_decay"]
    below = [each for each in result["runs"] if each["lr"] in result["settings"]["converging"]]
    beyond = [each for each in result["runs"] if each["lr"] > limit]
    between = [each for each in result["runs"] if each not in below and each["lr"] < limit]
    return [
        _bounded(result["runs"], beyond, limit),
        _converges(below),
        _is_restrained(between, limit),
        _amplifies(result["twins"]),
        _amplifies_throughout(between),
        _forgets([*below, *(each for each in result["twins"] if each["lr"] in result["settings"]["converging"])]),
    ]


def _bounded(runs: Sequence[Any], beyond: Sequence[Any], limit: float) -> Claim:
    finite = [each["lr"] for each in runs if each["regime"] != "blow-up"]
    gone = [each["lr"] for each in runs if each["regime"] == "blow-up"]
    return claim(
        f"The loss blows up when lr > 2/α = {limit:g}, and only then",
        published=limit,
        measured=_regimes(beyond),
        interval=[max(finite), min(gone)] if finite and gone else None,
        holds=bool(beyond) and {each["lr"] for each in beyond} == set(gone),
        reason=f"At lr = {limit:g} exactly the not activated regime neither grows nor decays.",
    )


def _converges(below: Sequence[Any]) -> Claim:
    ends = [each["loss"][-1] for each in below]
    return claim(
        f"At lr up to {max(each['lr'] for each in below)} the kernel converges, to one loss",
        published="converges",
        measured=_regimes(below),
        interval=[min(ends), max(ends)],
        holds=all(each["regime"] == "stable" for each in below) and max(ends) - min(ends) < 1e-9 * max(ends),
    )


def _is_restrained(between: Sequence[Any], limit: float) -> Claim:
    return claim(
        f"Between there and {limit:g} the loss oscillates: the instability is restrained",
        published="oscillations between stable and unstable regimes",
        measured=_regimes(between),
        holds=bool(between) and all(each["regime"] == "restrained" for each in between),
    )


def _amplifies(twins: Sequence[Any]) -> Claim:
    """Of the twins, those beyond the threshold are the ones at the highest learning rate."""
    last = max(twins, key=lambda each: each["lr"])
    peaks = {k: _peak(values) for k, values in last["rel_l1"].items()}
    return claim(
        f"At lr = {last['lr']} the last bit of every k grows to a plateau",
        published="the error builds up quickly and then levels off",
        measured=peaks,
        interval=[min(peaks.values()), max(peaks.values())],
        holds=min(peaks.values()) > _GROWN and all(_levels_off(values) for values in last["rel_l1"].values()),
    )


def _amplifies_throughout(between: Sequence[Any]) -> Claim:
    peaks = {str(each["lr"]): _peak(each["rel_l1"]["3"]) for each in between}
    still = [lr for lr, peak in peaks.items() if peak <= _GROWN]
    return claim(
        "Wherever the instability is restrained, the last bit is amplified",
        published="builds up quickly (stated for one learning rate)",
        measured=peaks,
        holds=bool(peaks) and not still,
        reason=f"At lr = {', '.join(still)} the loss oscillates in a stable cycle, which forgets errors."
        if still
        else "",
    )


def _forgets(below: Sequence[Any]) -> Claim:
    ends = [values[-1] for each in below for values in each["rel_l1"].values()]
    largest = None if None in ends else max(ends)
    return claim(
        "Where training converges, the last bit is not amplified",
        published="errors are not amplified",
        measured=largest,
        holds=largest is not None and largest < _GONE,
    )


def _regimes(runs: Sequence[Any]) -> dict[str, str]:
    return {str(each["lr"]): each["regime"] for each in runs}


def _peak(values: Sequence[float | None]) -> float:
    return max(value for value in values if value is not None)


def _levels_off(values: Sequence[float | None]) -> bool:
    """Whether the first half already reached a tenth of the peak: the second cannot have gone on growing."""
    return _peak(values[: len(values) // 2]) > 0.1 * _peak(values)


def draw(result: Result) -> list[Drawing]:
    """The loss at each learning rate, and RelL1 of the twins."""
    return [*training_figures(result)]


FIGURE5 = Item(
    id="figure5",
    order=44,
    title="Restrained instability amplifies the last bit in a network of one layer",
    shows="The loss over training by learning rate, and the twins' RelL1 below and beyond the threshold.",
    scales={
        "smoke": ItemScale(_SMOKE, "an image of 40 x 40 instead of 256 x 256", Cost(seconds=3.5)),
        "laptop": ItemScale(_PAPER, cost=Cost(seconds=75.0)),
        "paper": ItemScale(_PAPER, cost=Cost(seconds=75.0)),
    },
    published={"blow_up_beyond_lr": 0.1},
    run=run,
    claims=claims,
    draw=draw,
)
