"""The charts of a study, and of several together."""

from collections.abc import Sequence

from lastbit.report.accuracy_chart import accuracy_figure
from lastbit.report.comparison_chart import comparison_figure
from lastbit.report.figure import Figure
from lastbit.report.gain_chart import gain_figure
from lastbit.report.layer_chart import layer_figure
from lastbit.report.rel_l1_chart import rel_l1_figure
from lastbit.report.spread_chart import spread_figure
from lastbit.report.stored import Study
from lastbit.report.variance_chart import variance_figure

# Points that a page can hold with its libraries (0.9 MB) in less than 3 MB: about 16 bytes each.
_LAYER_POINTS = 48_000
_RUN_POINTS = 16_000
_COMPARED_POINTS = 16_000


def study_figures(study: Study, *, studies: int) -> list[Figure]:
    """A study's charts, in the order of reading.

    Args:
        study: stored results.
        studies: how many share the page, and so its room.
    """
    return [
        rel_l1_figure(study, most_points=_RUN_POINTS // studies),
        layer_figure(study, most_points=_LAYER_POINTS // studies),
        accuracy_figure(study),
        spread_figure(study),
        variance_figure(study),
        gain_figure(study),
    ]


def comparison_figures(studies: Sequence[Study]) -> list[Figure]:
    """The charts that hold all studies; none for a single one."""
    return [comparison_figure(studies, most_points=_COMPARED_POINTS)] if len(studies) > 1 else []
