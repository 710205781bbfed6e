"""The page of two compared recipes, its charts and its tables."""

from lastbit.report.comparison.page import comparison_figures, difference_table, sides_table, write_comparison

__all__ = ["comparison_figures", "difference_table", "sides_table", "write_comparison"]
