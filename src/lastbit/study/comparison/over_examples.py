"""What the single examples of the runs say of a difference: how far it would move with other examples like these."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from lastbit.report.numbers import count_range, number, signed, some
from lastbit.statistics.clustered import clustered_t
from lastbit.statistics.multiplicity import Joint, joint_pairs
from lastbit.statistics.power import SIGNIFICANCE
from lastbit.statistics.recipes import AgainstBaseline, with_multiplicity
from lastbit.statistics.spread import Table
from lastbit.study.comparison.findings import real_rows

if TYPE_CHECKING:
    import polars as pl

_NAMED = 5  # so many recipes are named


@dataclass(frozen=True)
class OverExamples:
    """A recipe's difference from the baseline over examples, for the runs as they are."""

    row: AgainstBaseline  # example by example, clustered where these are in groups; its family is all recipes
    examples: int  # that both have
    groups: int | None  # that they are in; None where each stands for itself

    def as_json(self) -> dict[str, Any]:
        """As a comparison holds it."""
        row, test = self.row, self.row.test
        varies = test is not None and row.simultaneous is not None
        return {
            "difference": row.difference,
            "interval": [test.lower, test.upper] if test is not None and varies else None,
            "interval_simultaneous": list(row.simultaneous) if row.simultaneous is not None else None,
            "p": row.p,
            "p_simultaneous": row.p_simultaneous if varies else None,
            "p_holm": row.p_holm,
            "real": row.is_real,
            "examples": self.examples,
            "groups": self.groups,
        }


def over_examples(
    examples: pl.DataFrame,
    names: Sequence[str],
    baseline: str,
    *,
    significance: float = SIGNIFICANCE,
    notes: list[str] | None = None,
) -> Mapping[str, OverExamples]:
    """Compare every recipe with the baseline on the examples that both have; those with fewer than two are left out.

    Each example's value is the mean over a recipe's runs; examples of two groups are two, whatever they are called.
    The interval is over other examples (other groups of them) and the same runs: it holds nothing of how far
    another run would lie. The simultaneous intervals are `joint_pairs`'s where all have the same examples and these
    are in no groups, and else Bonferroni's.

    Args:
        examples: as `RunTable.examples` of one task.
        names: of the recipes, the baseline among them.
        baseline: its name.
        significance: the probability with which a simultaneous interval may fail; less where there are other tasks.
        notes: gets a sentence on the recipes that are left out.
    """
    pairs = {name: _pairs(examples, name, baseline) for name in names if name != baseline}
    compared = {name: row for name, both in pairs.items() if (row := _compared(both, name, baseline)) is not None}
    if notes is not None:
        notes += _left_out({name: both for name, both in pairs.items() if name not in compared}, baseline)

    def joint(tested: Sequence[AgainstBaseline]) -> list[Joint]:
        """Over the examples, which are in the place of seeds."""
        parts = [pairs[row.recipe] for row in tested]
        is_grouped = any(compared[row.recipe].groups is not None for row in tested)
        if is_grouped or any(not part["example"].equals(parts[0]["example"]) for part in parts):
            return [Joint(len(tested))]
        return [joint_pairs(np.array([_differences(part) for part in parts]))]

    rows = with_multiplicity([of.row for of in compared.values()], joint, significance=significance)
    return {row.recipe: replace(compared[row.recipe], row=row) for row in rows}


def _pairs(examples: pl.DataFrame, name: str, baseline: str) -> pl.DataFrame:
    """The examples that a recipe and the baseline have, in the baseline's order, with the mean of each one's runs."""
    import polars as pl

    keys = ["example"] if examples["cluster"].null_count() else ["cluster", "example"]
    base, own = (
        examples.filter(pl.col("recipe") == recipe).group_by(keys, maintain_order=True).agg(pl.col("value").mean())
        for recipe in (baseline, name)
    )
    return base.join(own, on=keys, suffix="_own", maintain_order="left")


def _differences(both: pl.DataFrame) -> Table:
    return (both["value_own"] - both["value"]).to_numpy()


def _compared(both: pl.DataFrame, name: str, baseline: str) -> OverExamples | None:
    """The recipe by itself; None where it has one group, or no common example."""
    groups = _groups(both)
    count = groups.n_unique()
    if count < 2:
        return None
    size = float(np.abs(both.select("value", "value_own").to_numpy()).max())
    test = clustered_t(_differences(both), groups.to_list(), size=size)
    is_exact = test.standard_error == 0 and test.difference != 0
    p = 2.0 ** (1 - count) if is_exact else test.p  # how often signs drawn for each group all agree
    row = AgainstBaseline(name, baseline, test.difference, test, p=p)
    return OverExamples(row, both.height, count if "cluster" in both.columns else None)


def _groups(both: pl.DataFrame) -> pl.Series:
    return both["cluster" if "cluster" in both.columns else "example"]


def _left_out(without: Mapping[str, pl.DataFrame], baseline: str) -> list[str]:
    """Which recipes have nothing to be compared over examples, and why."""
    named = []
    for name, both in without.items():
        groups = "group" if "cluster" in both.columns else "example"
        named.append(f"{name} ({f'one common {groups}' if both.height else 'no common example'})")
    if not named:
        return []
    are = "is" if len(named) == 1 else "are"
    return [f"Over examples, {some(named, _NAMED)} {are} not compared with {baseline}: it takes two at least."]


def sentences_of(over: Mapping[str, OverExamples], baseline: str, decimals: int) -> list[str]:
    """Which recipes differ over other examples, in words; none where there are no examples.

    Args:
        over: by recipe.
        baseline: its name.
        decimals: of the numbers.
    """
    if not over:
        return []
    counts = count_range(of.examples for of in over.values())  # recipes need not share all
    in_groups = [of.groups for of in over.values() if of.groups is not None]
    groups = f" in {count_range(in_groups)} groups" if len(in_groups) == len(over) else ""
    clear = [
        f"{row.recipe} {signed(row.difference, decimals)} "
        f"({number(row.simultaneous[0], decimals)} to {number(row.simultaneous[1], decimals)})"
        for row in real_rows([of.row for of in over.values()])
        if row.simultaneous is not None
    ]
    verb = "differs" if len(clear) == 1 else "differ"
    result = f"{some(clear, _NAMED)} {verb}" if clear else "no recipe differs"
    start = f"Over other examples like these {counts}{groups}, with the same runs,"
    together = " that hold together" if len(over) > 1 else ""
    return [f"{start} {result} from {baseline} by more than noise (95 % intervals{together})."]
