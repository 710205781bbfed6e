"""Figures and tables of the PDE laboratory, drawn from stored results only."""

from lastbit.report.pde.agreement_figure import agreement, agreement_figure
from lastbit.report.pde.beltrami_figures import beltrami_figures
from lastbit.report.pde.growth_factor_figure import growth_factor_figure
from lastbit.report.pde.heat_figures import heat_figures
from lastbit.report.pde.order_figure import order_figure
from lastbit.report.pde.phase_figure import phase_figure, write_phase
from lastbit.report.pde.regimes_table import regimes_table
from lastbit.report.pde.table import Table
from lastbit.report.pde.training_figures import training_figures
from lastbit.report.pde.weight_decay_figures import weight_decay_figures
from lastbit.report.pde.window_bounds_drawings import window_bounds_drawings
from lastbit.report.pde.write import write_figures

__all__ = [
    "Table",
    "agreement",
    "agreement_figure",
    "beltrami_figures",
    "growth_factor_figure",
    "heat_figures",
    "order_figure",
    "phase_figure",
    "regimes_table",
    "training_figures",
    "weight_decay_figures",
    "window_bounds_drawings",
    "write_figures",
    "write_phase",
]
