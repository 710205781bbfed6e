"""Figures and tables of training at the edge of stability, drawn from stored results only."""

from lastbit.report.edge.depth_figures import depth_figures
from lastbit.report.edge.hidden_layer_figures import hidden_layer_figures
from lastbit.report.edge.one_layer_figures import one_layer_figures
from lastbit.report.edge.stable_rate_figures import stable_rate_figures

__all__ = ["depth_figures", "hidden_layer_figures", "one_layer_figures", "stable_rate_figures"]
