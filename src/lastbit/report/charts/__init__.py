"""The chart kit: a line chart, a strip of dots, a bar of shares and a heat map, with one look and one kind of axis."""

from lastbit.report.charts.axes import STEPS, Axis
from lastbit.report.charts.bars import Part, share_bar
from lastbit.report.charts.curves import Curve, CurveChoice, Level, cut
from lastbit.report.charts.dots import Beyond, Dot, GreyBand, Mean, Reference, Span, dot_chart
from lastbit.report.charts.figure import Chart, Figure, write_figures
from lastbit.report.charts.heat_map import Factors, Kinds, Overlay, OverlayLook, heat_map, with_clicks
from lastbit.report.charts.line import line_chart

__all__ = [
    "STEPS",
    "Axis",
    "Beyond",
    "Chart",
    "Curve",
    "CurveChoice",
    "Dot",
    "Factors",
    "Figure",
    "GreyBand",
    "Kinds",
    "Level",
    "Mean",
    "Overlay",
    "OverlayLook",
    "Part",
    "Reference",
    "Span",
    "cut",
    "dot_chart",
    "heat_map",
    "line_chart",
    "share_bar",
    "with_clicks",
    "write_figures",
]
