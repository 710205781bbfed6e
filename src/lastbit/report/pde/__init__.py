"""Drawings of the PDE laboratory: the phase diagram, and theory against simulation."""

from lastbit.report.pde.phase import phase_figure, write_phase
from lastbit.report.pde.theory import agreement, agreement_figure, growth_factor_figure, order_figure

__all__ = [
    "agreement",
    "agreement_figure",
    "growth_factor_figure",
    "order_figure",
    "phase_figure",
    "write_phase",
]
