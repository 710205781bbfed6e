"""Table 1: the last bit moves test accuracy about as far as batch order does (paper, section 4.2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from lastbit.noise import Scale, perturb
from lastbit.paper.item import Claim, Cost, Drawing, Item, ItemScale, Result, Settings, Work, claim
from lastbit.paper.items.accuracy_studies import (
    LAPTOP_CUTS,
    LAPTOP_RESNET,
    SMOKE_CNN,
    SMOKE_CUTS,
    PublishedTable,
    complete_study,
    study_as_json,
    study_drawings,
    training,
)
from lastbit.paper.items.accuracy_tables import FLOAT64, FLOAT64_PUBLISHED
from lastbit.paper.items.spread_claims import (
    about_as_large,
    disagree,
    hides_gains,
    is_moved,
    is_published_std,
    learns,
    same_spread,
)
from lastbit.report.numbers import MISSING, scientific
from lastbit.report.study.naming import metric_of
from lastbit.report.study.stored import StudyJson
from lastbit.report.table import Table

_ROUNDOFF = {"float32": 2.0**-24, "float64": 2.0**-53}
_FLUCTUATION = 26.72
_RUNS, _GAIN = 6, 0.3  # as papers compare recipes

_TABLE = PublishedTable(
    (
        (93.36, 93.40, 93.10, 93.14, 93.34, 93.33),
        (93.49, 93.37, 93.08, 93.68, 93.16, 93.12),
        (93.64, 93.22, 93.39, 93.17, 93.26, 93.42),
        (93.36, 93.31, 93.12, 93.23, 93.14, 93.28),
        (93.87, 93.55, 93.08, 93.35, 93.42, 93.41),
        (92.99, 93.31, 93.49, 93.48, 93.14, 93.56),
    )
)

_PUBLISHED = {
    **_TABLE.as_json(),
    "std_over_k_by_seed": [0.27, 0.10, 0.16, 0.19, 0.10, 0.13],
    "std_over_seeds_by_k": [0.11, 0.22, 0.16, 0.09, 0.24, 0.21],
    "gradient_error": {"float32": _ROUNDOFF["float32"], "float64": _ROUNDOFF["float64"], "batches": _FLUCTUATION},
    "mean_std": {"float32": 0.16, "float64": 0.15, "batches": 0.17},
}


def run(settings: Settings, work: Work) -> dict[str, Any]:
    """Train every k at every seed in float32 and in float64, and measure the perturbation of one update in both."""
    return {
        "float32": study_as_json(complete_study(settings["float32"], work)),
        "float64": study_as_json(complete_study(settings["float64"], work)),
        "perturbation": {
            name: largest_perturbation(getattr(torch, name), settings["float32"]["ks"]) for name in _ROUNDOFF
        },
    }


def claims(result: Result) -> list[Claim]:
    """The left part, its spreads and what they mean; then the right part's sizes of perturbations."""
    study = result["float32"]
    return [
        learns(study, published=_TABLE.mean),
        is_moved(result, study, published=_TABLE.over_k.std),
        about_as_large(result, study, published=_TABLE.share),
        is_published_std(result, study, "noise", published=_TABLE.over_k.std),
        is_published_std(result, study, "seed", published=_TABLE.over_seeds.std),
        disagree(result, study),
        hides_gains(study, runs=_RUNS, gain=_GAIN),
        *(_is_one_rounding(name, result["perturbation"][name]) for name in _ROUNDOFF),
        _batches_change_gradients(study["gradient_fluctuation"]),
        same_spread(
            result,
            result["float64"],
            study,
            names=("float64", "float32"),
            published=FLOAT64_PUBLISHED.over_k.std / _TABLE.over_k.std,
        ),
    ]


def _is_one_rounding(dtype: str, largest: float) -> Claim:
    roundoff = _ROUNDOFF[dtype]
    return claim(
        f"In {dtype} an update is perturbed by about its unit roundoff: a half to two of it",
        published=roundoff,
        measured=largest,
        holds=roundoff / 2 <= largest <= 2 * roundoff,
        reason="Two of it are one unit in the last place; d / k is rounded, and so is its product with k.",
    )


def _batches_change_gradients(fluctuation: float | None) -> Claim:
    return claim(
        "Batch selection changes a gradient by more than its own size, in the mean over its entries",
        published=_FLUCTUATION,
        measured=fluctuation,
        holds=None if fluctuation is None else fluctuation > 1,
        reason="Not measured." if fluctuation is None else "Entries whose mean is near 0 dominate this mean.",
    )


def draw(result: Result) -> list[Drawing]:
    """The accuracies, their spreads, churn, least detectable gains, and the sizes of the perturbations."""
    study = result["float32"]
    parts = study_drawings(study, ["accuracies", "accuracy", "spread", "variance", "churn", "gain"])
    return [*parts, gradient_errors(study, result["float64"], result["perturbation"])]


def gradient_errors(float32: StudyJson, float64: StudyJson, perturbation: Mapping[str, float]) -> Table:
    """Table 1, right: how large what perturbs an update is, and what it does to test accuracy.

    Args:
        float32: results of the study in this number format.
        float64: and in this one.
        perturbation: the largest relative one of an update, by number format.
    """
    fluctuation = float32["gradient_fluctuation"]
    rows = [
        ["last bit, float32", scientific(perturbation["float32"]), _std(float32, "noise")],
        ["last bit, float64", scientific(perturbation["float64"]), _std(float64, "noise")],
        ["batch selection", MISSING if fluctuation is None else f"{fluctuation:.2f}", _std(float32, "seed")],
    ]
    title = f"What perturbs the updates, from {rows[1][1]} to {rows[2][1]}, and how far test accuracy moves"
    note = (
        "The largest relative difference of a perturbed update from the plain one; of batch selection the mean over "
        "all weights of |g − ḡ| / |ḡ|, with g one batch’s gradient and ḡ the mean of several. STD in points, pooled, "
        "with its 95 % interval."
    )
    return Table("gradient-errors", title, ["perturbation", "relative error", "STD of test accuracy"], rows, note)


def _std(study: StudyJson, source: str) -> str:
    pooled: dict[str, Any] | None = study["std"][source]["pooled"]
    metric = metric_of(study)
    return MISSING if pooled is None else f"{metric.spread(pooled['std'])} ({metric.interval(pooled)})"


TABLE1 = Item(
    id="table1",
    order=20,
    title="The last bit moves test accuracy about as far as batch order does",
    shows="Test accuracies by seed and k, their standard deviations, and the size of what perturbs the updates.",
    scales={
        "smoke": ItemScale(
            {"float32": training("demo", SMOKE_CNN, ks=(1, 3, 5), seeds=(1, 2)), "float64": FLOAT64["smoke"]},
            f"{SMOKE_CUTS}; 3 k at 2 seeds, in float64 2 k",
            Cost(seconds=5.0, disk_mib=20),
        ),
        "laptop": ItemScale(
            {"float32": training("resnet56-cifar10", LAPTOP_RESNET), "float64": FLOAT64["laptop"]},
            LAPTOP_CUTS,
            Cost(seconds=2200.0, memory_mib=1500, disk_mib=400, data=("cifar10",)),
        ),
        "paper": ItemScale(
            {"float32": training("resnet56-cifar10"), "float64": FLOAT64["paper"]},
            "",
            Cost(seconds=38 * 200 * 391 * 12.0, memory_mib=4000, disk_mib=20_000, data=("cifar10",)),
        ),
    },
    published=_PUBLISHED,
    run=run,
    claims=claims,
    draw=draw,
    trains=True,
)


_DRAWS = 100_000


def largest_perturbation(dtype: torch.dtype, ks: Sequence[int]) -> float:
    """The largest relative difference between the perturbed and the plain update of a weight, over ks and directions.

    A weight of 0 at learning rate 1 becomes the negated update itself, -(d / k) k with both roundings. Its difference
    from -d is exact in floating point, since the two are neighbours (Sterbenz' lemma).

    Args:
        dtype: of weights and gradients.
        ks: of the perturbed updates.
    """
    direction = torch.randn(_DRAWS, dtype=dtype, generator=torch.Generator().manual_seed(0))
    return max(float(_relative(direction, k).max()) for k in ks)


def _relative(direction: torch.Tensor, k: int) -> torch.Tensor:
    weights = torch.zeros_like(direction).requires_grad_()
    weights.grad = direction.clone()
    perturb(torch.optim.SGD([weights], lr=1.0), Scale(k)).step()
    return ((weights.detach() + direction).abs() / direction.abs()).double()
