"""Pages and charts of twins that part, drawn from stored results only."""

from lastbit.report.growth.growth_page import write_growth_page

__all__ = ["write_growth_page"]
