"""Table 8: in float64 the last bit, though 2^29 times smaller, moves test accuracy as far (paper, appendix C)."""

from __future__ import annotations

from typing import Any

from lastbit.paper.item import Claim, Cost, Drawing, Item, Result, Scale, Settings, Work
from lastbit.paper.published_spreads import PublishedTable
from lastbit.paper.reduced import LAPTOP_CUTS, LAPTOP_RESNET, SMOKE_CNN, SMOKE_CUTS
from lastbit.paper.spread_claims import as_in_table1
from lastbit.paper.trainings import complete_study, study_as_json, training
from lastbit.report.paper import study_drawings

FLOAT64 = {
    "smoke": training("demo", (*SMOKE_CNN, "dtype=float64"), ks=(1, 3), seeds=(1, 2)),
    "laptop": training("resnet56-cifar10-float64", LAPTOP_RESNET, ks=(1, 3, 5), seeds=(1, 2)),
    "paper": training("resnet56-cifar10-float64"),
}
TABLE8_PUBLISHED = PublishedTable(
    (
        (93.10, 93.63, 93.31, 93.45, 93.26, 93.60),
        (93.35, 93.16, 93.42, 93.43, 93.20, 93.49),
        (93.32, 93.38, 93.23, 92.74, 93.37, 93.29),
        (93.05, 93.39, 93.46, 93.20, 93.58, 93.26),
        (93.21, 93.60, 93.28, 93.53, 93.39, 93.66),
        (93.22, 93.26, 93.33, 93.35, 93.56, 93.62),
    )
)


def run(settings: Settings, work: Work) -> dict[str, Any]:
    """Train every k at every seed in float64."""
    return {"study": study_as_json(complete_study(settings, work))}


def claims(result: Result) -> list[Claim]:
    """As Table 1's left part."""
    return as_in_table1(
        result,
        result["study"],
        mean=TABLE8_PUBLISHED.mean,
        over_k=TABLE8_PUBLISHED.over_k.std,
        share=TABLE8_PUBLISHED.share,
    )


def draw(result: Result) -> list[Drawing]:
    """Accuracies and spreads."""
    return study_drawings(result["study"], ["accuracies", "spread"])


TABLE8 = Item(
    id="table8",
    title="In float64 the last bit moves test accuracy as well",
    shows="Test accuracies by seed and k in float64, and their standard deviations.",
    scales={
        "smoke": Scale(FLOAT64["smoke"], f"{SMOKE_CUTS}; 2 k at 2 seeds", Cost(seconds=2.0, disk_mib=5)),
        "laptop": Scale(
            FLOAT64["laptop"],
            f"{LAPTOP_CUTS}; 3 k at 2 seeds",
            Cost(seconds=1200.0, memory_mib=1500, disk_mib=150, data=("cifar10",)),
        ),
        "paper": Scale(
            FLOAT64["paper"],
            "",
            Cost(seconds=38 * 200 * 391 * 10.0, memory_mib=8000, disk_mib=12_000, data=("cifar10",)),
        ),
    },
    published={
        **TABLE8_PUBLISHED.as_json(),
        "std_over_k_by_seed": [0.10, 0.16, 0.07, 0.26, 0.14, 0.15],
        "std_over_seeds_by_k": [0.19, 0.12, 0.22, 0.17, 0.16, 0.14],
    },
    run=run,
    claims=claims,
    draw=draw,
    trains=True,
)
