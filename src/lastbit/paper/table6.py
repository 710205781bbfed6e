"""Table 6: with Swish, other networks and other images the last bit moves test accuracy as well (appendix C)."""

from __future__ import annotations

from typing import Any

from lastbit.paper.item import Claim, Cost, Drawing, Item, Result, Scale, Settings, Work
from lastbit.paper.published_spreads import PublishedTable
from lastbit.paper.reduced import LAPTOP_CUTS, LAPTOP_PLAIN, LAPTOP_PLAIN_CUTS, LAPTOP_RESNET, SMOKE_CNN, SMOKE_CUTS
from lastbit.paper.spread_claims import as_in_table1
from lastbit.paper.trainings import complete_study, study_as_json, training
from lastbit.report.paper import study_drawings

# What is left of the paper's summary is one STD for each; of ResNet-56 on CIFAR-10 there is the whole table too.
_STD = {
    "VGG16-BN, Fashion-MNIST": 0.10,
    "VGG16-BN, CIFAR-10": 0.09,
    "ResNet-56, Fashion-MNIST": 0.10,
    "ResNet-56, CIFAR-10": 0.09,
}
_RECIPES = dict(
    zip(
        _STD,
        (
            "vgg16bn-swish-fashion-mnist",
            "vgg16bn-swish-cifar10",
            "resnet56-swish-fashion-mnist",
            "resnet56-swish-cifar10",
        ),
        strict=True,
    )
)
_FULL_TABLE = "ResNet-56, CIFAR-10"
_TABLE = PublishedTable(
    (
        (93.81, 93.79, 93.62, 93.83, 93.72, 93.59),
        (93.52, 93.94, 93.29, 93.59, 93.73, 93.60),
        (93.39, 93.89, 93.89, 93.60, 93.71, 93.62),
        (93.35, 93.59, 93.52, 93.48, 93.37, 93.43),
        (93.49, 93.50, 93.70, 93.79, 93.55, 93.71),
        (93.84, 93.71, 93.72, 93.91, 93.71, 93.56),
    )
)

_SMOKE = {
    name: training("demo", (*SMOKE_CNN, *changes), ks=(1, 3), seeds=(1, 2))
    for name, changes in {
        _FULL_TABLE: ("model.activation=swish", "model.beta=5.0"),
        "VGG16-BN, Fashion-MNIST": ("model.activation=swish", "model.beta=50.0"),
    }.items()
}
_LAPTOP = {
    name: training(recipe, LAPTOP_PLAIN if "vgg" in recipe else LAPTOP_RESNET, ks=(1, 3, 5), seeds=(1, 2, 3))
    for name, recipe in _RECIPES.items()
}
_PAPER = {name: training(recipe) for name, recipe in _RECIPES.items()}


def run(settings: Settings, work: Work) -> dict[str, Any]:
    """Train every k at every seed, for each network and data set."""
    return {"studies": {name: study_as_json(complete_study(asked, work)) for name, asked in settings.items()}}


def claims(result: Result) -> list[Claim]:
    """As Table 1's left part, for each network and data set."""
    return [made for name, study in result["studies"].items() for made in _claims(result, name, study)]


def _claims(result: Result, name: str, study: Any) -> list[Claim]:
    full, what = name == _FULL_TABLE, _trained(result, name)
    share = _TABLE.share if full else "greater or similar"
    std = _TABLE.over_k.std if full else _STD[name]
    return as_in_table1(result, study, mean=_TABLE.mean if full else None, over_k=std, share=share, what=what)


def draw(result: Result) -> list[Drawing]:
    """Accuracies and spreads of each."""
    return [
        made
        for name, study in result["studies"].items()
        for made in study_drawings(study, ["accuracies", "spread"], what=_trained(result, name))
    ]


def _trained(result: Result, name: str) -> str:
    return name if result["scale"] == "paper" else f"In place of {name}"


TABLE6 = Item(
    id="table6",
    title="With Swish, other networks and other images the last bit moves test accuracy as well",
    shows="Test accuracies by seed and k of two networks with Swish on two data sets, and their standard deviations.",
    scales={
        "smoke": Scale(
            _SMOKE,
            f"{SMOKE_CUTS}, with β = 5 and 50 in place of two networks; 2 k at 2 seeds",
            Cost(seconds=5.0, disk_mib=10),
        ),
        "laptop": Scale(
            _LAPTOP,
            f"{LAPTOP_CUTS}; {LAPTOP_PLAIN_CUTS}; 3 k at 3 seeds",
            Cost(seconds=815.0, memory_mib=1500, disk_mib=400, data=("cifar10", "fashion-mnist")),
        ),
        "paper": Scale(
            _PAPER,
            "",
            Cost(
                seconds=38 * 200 * 430 * 2 * (1.9 + 4.4),
                memory_mib=4000,
                disk_mib=200_000,
                data=("cifar10", "fashion-mnist"),
            ),
        ),
    },
    published={
        _FULL_TABLE: _TABLE.as_json(),
        "std_over_k_by_seed": [0.19, 0.15, 0.18, 0.14, 0.13, 0.082],
        "std_over_seeds_by_k": [0.09, 0.20, 0.17, 0.08, 0.12, 0.11],
        "std_of_the_summary": _STD,
    },
    run=run,
    claims=claims,
    draw=draw,
    trains=True,
)
