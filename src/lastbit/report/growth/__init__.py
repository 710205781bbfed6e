"""The page of twins that part, and its charts."""

from lastbit.report.growth.page import growth_figures, write_growth_page

__all__ = ["growth_figures", "write_growth_page"]
