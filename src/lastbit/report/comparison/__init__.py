"""The pages of compared recipes, two or many, their charts and their tables."""

from importlib import import_module
from typing import TYPE_CHECKING

from lastbit.report.comparison.recipes import comparison_figures, write_comparison
from lastbit.report.comparison.recipes_tables import (
    differences_table,
    examples_tables,
    gain_tables,
    over_all_tables,
    p_values_table,
    recipes_table,
)

if TYPE_CHECKING:
    from lastbit.report.comparison.page import difference_table, sides_table

__all__ = [
    "comparison_figures",
    "difference_table",
    "differences_table",
    "examples_tables",
    "gain_tables",
    "over_all_tables",
    "p_values_table",
    "recipes_table",
    "sides_table",
    "write_comparison",
]


def __getattr__(name: str) -> object:
    """Import the page of two studies when it is first used: it imports torch, and tables of runs do without."""
    if name in ("difference_table", "sides_table"):
        return getattr(import_module("lastbit.report.comparison.page"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
