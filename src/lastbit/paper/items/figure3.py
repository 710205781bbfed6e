"""Figure 3: the last bit grows along training and levels off; at small learning rates it does not (section 4.2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from lastbit.paper.item import Claim, Cost, Drawing, Item, ItemScale, Result, Settings, Work, claim, run_jobs
from lastbit.paper.items.accuracy_studies import (
    LAPTOP_CUTS,
    LAPTOP_PLAIN,
    LAPTOP_PLAIN_CUTS,
    LAPTOP_RESNET,
    SMOKE_CNN,
    SMOKE_CUTS,
    complete_study,
    training,
)
from lastbit.paper.items.figure3_drawing import learning_rate_figure, networks_figure
from lastbit.paper.items.lr_sweep import SWEEP_CUTS, SWEEPS, steps_of, sweep_twins
from lastbit.study.distances import weight_distances

_RECIPES = {
    "ResNet-56, ReLU": "resnet56-cifar10",
    "ResNet-56, Swish": "resnet56-swish-cifar10",
    "ResNet-56, Adam": "resnet56-adam-cifar10",
    "ResNet-56, float64": "resnet56-cifar10-float64",
    "ResNet-56, Fashion-MNIST": "resnet56-swish-fashion-mnist",
    "VGG16-BN, Swish": "vgg16bn-swish-cifar10",
}

_REDUCED = {"ResNet-56": "ResNet-8", "VGG16-BN": "Three convolutions"}

_GROWN = 1e3  # times the first value
_LATE = 2 / 3  # of a training's steps: from there on it shows whether growth has stopped
_STOPPED = 10.0
_AMPLIFIED = 100.0  # from the first quarter to the last
# What adds up evenly is seven times as large in the middle of the last quarter as in that of the first.
_ADDED = 7.0
_AT_THE_END = (
    "The interval is of RelL1 at the end. Here as in the paper the learning rate is divided on the way, which slows "
    "any growth."
)
_ADDS_UP = (
    "lr·k rounds to a learning rate that differs from lr by some 1e-8 of it: twins part in proportion to the way they "
    "have come, even where nothing is amplified."
)


def run(settings: Settings, work: Work) -> dict[str, Any]:
    """Train a pair of each network, and twins at each learning rate of the sweep."""
    sweep = settings["sweep"]
    arguments = [
        {name: sweep[name] for name in ("recipe", "changes", "points")} | {"lr": lr, "steps": steps_of(sweep, lr)}
        for lr in sweep["lrs"]
    ]
    networks = [_network(name, asked, work) for name, asked in settings["networks"].items()]
    return {"networks": networks, "rates": [_with_growth(pair) for pair in run_jobs(sweep_twins, arguments, work)]}


def _network(name: str, asked: Settings, work: Work) -> dict[str, Any]:
    distances, _ = weight_distances(complete_study(asked, work, controlled=False).grid())
    return {
        "name": name,
        "step": [distance.step for distance in distances],
        "rel_l1": [distance.rel_l1.value for distance in distances],
    }


def _with_growth(twins: Mapping[str, Any]) -> dict[str, Any]:
    """What RelL1 is multiplied by from the first quarter of the way to the last, by their medians."""
    values = [float("inf") if value is None else value for value in twins["rel_l1"]]
    quarter = max(1, len(values) // 4)
    early, late = median(values[:quarter]), median(values[-quarter:])
    return {**twins, "growth": late / early if early > 0 else None}


def claims(result: Result) -> list[Claim]:
    """Left: growth, and its end. Right: amplification at large learning rates, attenuation at small ones."""
    rates = sorted(result["rates"], key=lambda pair: -float(pair["lr"]))
    return [
        _grows(result),
        _levels_off([pair for pair in result["networks"] if _factor(pair) >= _GROWN]),
        _is_amplified(rates[0]),
        _falls(rates),
        _only_adds_up(rates[-1]),
        _is_attenuated(rates[-1]),
    ]


def _factor(network: Mapping[str, Any]) -> float:
    present = [value for value in network["rel_l1"] if value]
    return max(present) / present[0] if present else 0.0


def _grows(result: Result) -> Claim:
    factors = {pair["name"]: _factor(pair) for pair in result["networks"]}
    still = [name for name, factor in factors.items() if factor < _GROWN]
    short = bool(still) and result["scale"] != "paper"
    return claim(
        f"In every network RelL1 grows more than {_GROWN:,.0f}-fold",
        published="the difference rapidly grows",
        measured=factors,
        interval=[min(factors.values()), max(factors.values())],
        holds=None if short else not still,
        reason=f"Too short a training for {', '.join(still)}: a longer one may." if short else "",
    )


def _levels_off(grown: Sequence[Mapping[str, Any]]) -> Claim:
    late = {pair["name"]: _late_growth(pair) for pair in grown}
    ends = [pair["rel_l1"][-1] for pair in grown]
    return claim(
        "Where it has grown, the growth is restrained: less than tenfold in the last third of the steps, and to "
        "below 2, where weights would be opposite",
        published="the growth is restrained at larger epochs",
        measured=late,
        interval=[min(ends), max(ends)] if ends else None,
        holds=max(late.values()) < _STOPPED and max(ends) < 2 if late else None,
        reason=_AT_THE_END if late else "It has grown in no network.",
    )


def _late_growth(network: Mapping[str, Any]) -> float:
    """What RelL1 is multiplied by from two thirds of the steps to the last."""
    steps, values = network["step"], network["rel_l1"]
    before = max(place for place, step in enumerate(steps) if step <= _LATE * steps[-1])
    return float(values[-1] / values[before])


def _is_amplified(largest: Mapping[str, Any]) -> Claim:
    growth = largest["growth"] or 0.0
    return claim(
        f"At the largest learning rate, {largest['lr']:g}, errors are amplified: RelL1 grows a hundredfold or more "
        "from the first quarter of the way to the last",
        published="amplified",
        measured=growth,
        holds=True if growth >= _AMPLIFIED else None if growth > _ADDED else False,
        reason=f"Errors that add up evenly grow {_ADDED:g}-fold; in between it is not decided.",
    )


def _falls(rates: Sequence[Mapping[str, Any]]) -> Claim:
    growths = [pair["growth"] for pair in rates]
    known = None not in growths
    return claim(
        "The smaller the learning rate, the less RelL1 grows over the same learning rate × steps",
        published="decreasing the learning rate to a small enough value can eliminate the divergence",
        measured={f"{pair['lr']:g}": pair["growth"] for pair in rates},
        holds=growths == sorted(growths, reverse=True) and growths[0] > growths[-1] if known else None,
        reason="" if known else "At a learning rate the twins stay bit-identical at first.",
    )


def _only_adds_up(smallest: Mapping[str, Any]) -> Claim:
    growth = smallest["growth"]
    return claim(
        f"At the smallest learning rate, {smallest['lr']:g}, errors are not amplified: RelL1 grows no faster than "
        f"errors that add up evenly, {_ADDED:g}-fold from the first quarter of the way to the last",
        published="decreasing the learning rate to a small enough value can eliminate the divergence",
        measured=growth,
        holds=growth is not None and growth <= _ADDED,
    )


def _is_attenuated(smallest: Mapping[str, Any]) -> Claim:
    growth = smallest["growth"]
    return claim(
        f"At the smallest learning rate, {smallest['lr']:g}, errors are attenuated: RelL1 is smaller in the last "
        "quarter of the way than in the first",
        published="attenuated at a learning rate of 3.125e-6",
        measured=growth,
        holds=growth is not None and growth < 1,
        reason="" if growth is None or growth < 1 else _ADDS_UP,
    )


def draw(result: Result) -> list[Drawing]:
    """RelL1 of each network by step, and of each learning rate by learning rate × steps."""
    return [networks_figure(result["networks"]), learning_rate_figure(result["rates"])]


def _reduced(name: str) -> str:
    """What is trained in place of a network at the laptop scale."""
    network, rest = name.split(", ")
    return f"{_REDUCED[network]}, {rest}"


FIGURE3 = Item(
    id="figure3",
    order=21,
    title="The last bit grows along training and levels off; at small learning rates it is not amplified",
    shows="RelL1 between k = 3 and k = 1 over training: of several networks, and by learning rate.",
    scales={
        "smoke": ItemScale(
            {
                "networks": {
                    "ReLU": training("demo", SMOKE_CNN, ks=(1, 3), seeds=(1,)),
                    "Swish": training(
                        "demo", (*SMOKE_CNN, "model.activation=swish", "model.beta=50.0"), ks=(1, 3), seeds=(1,)
                    ),
                },
                "sweep": SWEEPS["smoke"],
            },
            f"left: {SMOKE_CUTS}, two activations in place of networks; right: {SWEEP_CUTS}, two learning rates",
            Cost(seconds=8.0, disk_mib=5),
        ),
        "laptop": ItemScale(
            {
                "networks": {
                    _reduced(name): training(
                        recipe, LAPTOP_PLAIN if "vgg" in recipe else LAPTOP_RESNET, ks=(1, 3), seeds=(1,)
                    )
                    for name, recipe in _RECIPES.items()
                },
                "sweep": SWEEPS["laptop"],
            },
            f"left: {LAPTOP_CUTS}, {LAPTOP_PLAIN_CUTS}; right: {SWEEP_CUTS}",
            Cost(seconds=815.0, memory_mib=1500, disk_mib=150, data=("cifar10", "fashion-mnist")),
        ),
        "paper": ItemScale(
            {
                "networks": {name: training(recipe, ks=(1, 3), seeds=(1,)) for name, recipe in _RECIPES.items()},
                "sweep": SWEEPS["paper"],
            },
            "",
            Cost(seconds=1.4e7, memory_mib=8000, disk_mib=20_000, data=("cifar10", "fashion-mnist")),
        ),
    },
    published={
        "attenuated_at_lr": 3.125e-6,
        "amplified_above": "larger learning rates, of which 0.1 / 2 is the largest",
    },
    run=run,
    claims=claims,
    draw=draw,
    trains=True,
)
