"""Pages and charts of twins that part, drawn from stored results only."""

from lastbit.report.growth.along_training import (
    learning_figure,
    learning_rate_figure,
    networks_figure,
    step_by_step_figure,
)
from lastbit.report.growth.distance_figure import distance_figure, flips_figure
from lastbit.report.growth.growth_page import growth_figures, write_growth_page
from lastbit.report.growth.horizon_figures import horizon_figures

__all__ = [
    "distance_figure",
    "flips_figure",
    "growth_figures",
    "horizon_figures",
    "learning_figure",
    "learning_rate_figure",
    "networks_figure",
    "step_by_step_figure",
    "write_growth_page",
]
