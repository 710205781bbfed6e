"""What the single examples of the runs say of a difference: how far it would move with other examples like these."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lastbit.errors import LastbitError
from lastbit.report.numbers import number, signed, some
from lastbit.statistics.clustered import clustered_t
from lastbit.statistics.means import MeanTest
from lastbit.statistics.multiplicity import holm
from lastbit.statistics.power import SIGNIFICANCE

if TYPE_CHECKING:
    import polars as pl

_NAMED = 5  # so many recipes are named


@dataclass(frozen=True)
class OverExamples:
    """A recipe's difference from the baseline over examples, for the runs as they are."""

    test: MeanTest  # of the difference example by example; clustered, where examples are in groups
    examples: int  # that both have
    groups: int | None  # that they are in; None where each stands for itself
    p_holm: float  # adjusted for the number of recipes

    def as_json(self) -> dict[str, Any]:
        """As a comparison holds it."""
        return {
            "difference": self.test.difference,
            "interval": [self.test.lower, self.test.upper] if self.test.standard_error > 0 else None,
            "p": self.test.p,
            "p_holm": self.p_holm,
            "examples": self.examples,
            "groups": self.groups,
        }


def over_examples(examples: pl.DataFrame, names: list[str], baseline: str) -> Mapping[str, OverExamples]:
    """Compare every recipe with the baseline on the examples that both have; those with fewer than two are left out.

    Each example's value is the mean over a recipe's runs. The interval is over other examples (other groups of them)
    and the same runs: it holds nothing of how far another run would lie.

    Args:
        examples: as `RunTable.examples` of one task.
        names: of the recipes, the baseline among them.
        baseline: its name.
    """
    import polars as pl

    means = examples.group_by("recipe", "example", maintain_order=True).agg(
        pl.col("cluster").first(), pl.col("value").mean()
    )
    base = means.filter(pl.col("recipe") == baseline)
    found: dict[str, tuple[MeanTest, int, int | None]] = {}
    for name in names:
        if name == baseline:
            continue
        both = means.filter(pl.col("recipe") == name).join(base, on="example", suffix="_base", maintain_order="left")
        differences = (both["value"] - both["value_base"]).to_numpy()
        grouped = both.height > 0 and both["cluster"].null_count() == 0
        groups = both["cluster"] if grouped else both["example"]
        try:
            test = clustered_t(differences, groups.to_list())
        except LastbitError:  # one group, or no common example
            continue
        found[name] = test, both.height, groups.n_unique() if grouped else None
    adjusted = holm(np.array([test.p for test, _, _ in found.values()]))
    return {name: OverExamples(*row, float(p)) for (name, row), p in zip(found.items(), adjusted, strict=True)}


def sentences_of(found: Mapping[str, OverExamples], baseline: str, decimals: int) -> list[str]:
    """Which recipes differ over other examples, in words; none where there are no examples.

    Args:
        found: by recipe.
        baseline: its name.
        decimals: of the numbers.
    """
    if not found:
        return []
    rows = sorted(found.items(), key=lambda row: -abs(row[1].test.difference))
    counts = _ends([row.examples for row in found.values()])
    in_groups = [row.groups for row in found.values() if row.groups is not None]
    groups = f" in {_ends(in_groups)} groups" if len(in_groups) == len(found) else ""
    clear = [
        f"{name} {signed(row.test.difference, decimals)} "
        f"({number(row.test.lower, decimals)} to {number(row.test.upper, decimals)})"
        for name, row in rows
        if row.p_holm <= SIGNIFICANCE and row.test.standard_error > 0
    ]
    verb = "differs" if len(clear) == 1 else "differ"
    result = f"{some(clear, _NAMED)} {verb}" if clear else "no recipe differs"
    start = f"Over other examples like these {counts}{groups}, with the same runs,"
    return [f"{start} {result} from {baseline} (95 % intervals; Holm’s p {'below' if clear else 'not below'} 0.05)."]


def _ends(counts: Sequence[int]) -> str:
    """A number, or the smallest and the largest of several: recipes need not share all examples."""
    low, high = min(counts), max(counts)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"
