"""The page of the paper's items, and the drawings that serve these only."""

from lastbit.report.paper.bounds import regimes_table, window_bounds_drawings
from lastbit.report.paper.edges import depth_figures, hidden_layer_figures, stable_rate_figures
from lastbit.report.paper.one_layer import one_layer_figures, training_figures, weight_decay_figures
from lastbit.report.paper.page import Entry, write_paper_page
from lastbit.report.paper.studies import controls_table, gradient_errors, repeats_table, study_drawings
from lastbit.report.paper.trainings import (
    horizon_figures,
    learning_figure,
    learning_rate_figure,
    networks_figure,
    step_by_step_figure,
)
from lastbit.report.paper.waves import beltrami_figures, heat_figures
from lastbit.report.paper.words import Tally, in_words, tally

__all__ = [
    "Entry",
    "Tally",
    "beltrami_figures",
    "controls_table",
    "depth_figures",
    "gradient_errors",
    "heat_figures",
    "hidden_layer_figures",
    "horizon_figures",
    "in_words",
    "learning_figure",
    "learning_rate_figure",
    "networks_figure",
    "one_layer_figures",
    "regimes_table",
    "repeats_table",
    "stable_rate_figures",
    "step_by_step_figure",
    "study_drawings",
    "tally",
    "training_figures",
    "weight_decay_figures",
    "window_bounds_drawings",
    "write_paper_page",
]
