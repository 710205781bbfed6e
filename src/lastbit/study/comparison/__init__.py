"""Recipes' runs compared: how large the differences are, how sure, and how many runs would make them so."""

from typing import TYPE_CHECKING

from lastbit.study.comparison.compare import compare
from lastbit.study.comparison.recipes import RecipesComparison

if TYPE_CHECKING:
    from lastbit.study.comparison.comparison import Comparison

__all__ = ["Comparison", "RecipesComparison", "compare"]


def __getattr__(name: str) -> object:
    """Import the comparison of studies when it is first used: with it comes torch, which tables do without."""
    if name == "Comparison":
        from lastbit.study.comparison import comparison

        return comparison.Comparison
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
