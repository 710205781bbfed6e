"""Pages and charts of twins that part, drawn from stored results only."""

from lastbit.report.growth.growth_page import growth_figures, write_growth_page
from lastbit.report.growth.horizon_figures import horizon_figures

__all__ = ["growth_figures", "horizon_figures", "write_growth_page"]
