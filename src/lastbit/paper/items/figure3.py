"""Figure 3: the last bit grows along training and levels off; at small learning rates it does not (section 4.2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lastbit.paper.item import Claim, Cost, Drawing, Item, ItemScale, Result, Settings, Work, claim
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
from lastbit.paper.items.learning_rates import SWEEP_CUTS, SWEEPS, run_sweep, sweep_claims
from lastbit.report.charts import Axis, Figure, cut, line_chart
from lastbit.report.charts.curves import gather, last_rows
from lastbit.report.numbers import joined, scientific_range
from lastbit.report.study.weights import DISTANCE, RELL1, distance_chart
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

_POINTS = 4000  # that are drawn, of all networks
_ROUNDOFF = -24  # exponent of two of float32's

_GROWN = 1e3  # times the first value
_LATE = 2 / 3  # of a training's steps: from there on it shows whether growth has stopped
_STOPPED = 10.0
_AT_THE_END = (
    "The interval is of RelL1 at the end. Here as in the paper the learning rate is divided on the way, which slows "
    "any growth."
)


def run(settings: Settings, work: Work) -> dict[str, Any]:
    """Train twins of each network, and twins at each learning rate of the sweep."""
    networks = [_network(name, asked, work) for name, asked in settings["networks"].items()]
    return {"networks": networks, "rates": run_sweep(settings["sweep"], work)}


def _network(name: str, asked: Settings, work: Work) -> dict[str, Any]:
    distances, _ = weight_distances(complete_study(asked, work, controlled=False).grid())
    return {
        "name": name,
        "step": [distance.step for distance in distances],
        "rel_l1": [distance.rel_l1.value for distance in distances],
    }


def claims(result: Result) -> list[Claim]:
    """Left: growth, and its end. Right: amplification at large learning rates, attenuation at small ones."""
    return [
        _grows(result),
        _levels_off([pair for pair in result["networks"] if _factor(pair) >= _GROWN]),
        *sweep_claims(result["rates"]),
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
    """The factor by which RelL1 grows from two thirds of the steps to the last."""
    steps, values = network["step"], network["rel_l1"]
    before = max(place for place, step in enumerate(steps) if step <= _LATE * steps[-1])
    return float(values[-1] / values[before])


def draw(result: Result) -> list[Drawing]:
    """RelL1 of each network by step, and of each learning rate by learning rate × steps."""
    return [networks_figure(result["networks"]), learning_rate_figure(result["rates"])]


def networks_figure(networks: Sequence[Mapping[str, Any]]) -> Figure:
    """Figure 3: RelL1 of each network's twins over training.

    Args:
        networks: each with its `name`, and `rel_l1` at each `step` whose weights were kept.
    """
    rows = [
        {"network": network["name"], "step": step, "value": value}
        for network in networks
        for step, value in zip(network["step"], network["rel_l1"], strict=True)
    ]
    thinned = gather(rows, lambda row: {"network": row["network"]}, label="network", most_points=_POINTS)
    note = f"{RELL1} Each line compares a run of k = 3 with the one of k = 1, at one seed.{thinned.remark}"
    if not thinned.vary:
        return Figure("networks", "The weights of every network stay bit for bit the same", note)
    ends = scientific_range(row["value"] for row in last_rows(rows))
    title = f"RelL1 comes to {ends} in the longest of {len(networks)} trainings"
    return Figure("networks", title, note, distance_chart(thinned.curves, exponents={_ROUNDOFF}, columns=3))


def learning_rate_figure(rates: Sequence[Mapping[str, Any]]) -> Figure:
    """Figure 3: RelL1 of twins by learning rate, over learning rate × steps.

    Args:
        rates: each with its `lr`, `rel_l1` at each `step`, and the `growth` from the first quarter to the last.
    """
    curves = [
        cut(f"lr = {rate['lr']:.3g}", [rate["lr"] * step for step in rate["step"]], rate["rel_l1"]) for rate in rates
    ]
    note = (
        f"{RELL1} Twins of k = 3 and k = 1 without momentum at constant learning rates; on this axis all of them move "
        "about as far. The factors are from the first quarter of the way to the last, by their medians."
    )
    factors = joined(f"{rate['lr']:.3g} ×{_times(rate['growth'])}" for rate in rates)
    chart = line_chart(curves, x=Axis("learning rate × update steps", name="lr × step"), y=DISTANCE, columns=5)
    return Figure("learning-rates", f"By learning rate RelL1 grows: {factors}", note, chart)


def _times(growth: float | None) -> str:
    if growth is None:
        return "?"
    return f"{growth:,.0f}" if growth >= 10 else f"{growth:.1f}"


def _reduced(name: str) -> str:
    """The name of what is trained in place of a network at the laptop scale."""
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
