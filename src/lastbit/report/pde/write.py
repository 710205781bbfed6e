"""Figures as PNG and SVG."""

from collections.abc import Sequence
from pathlib import Path

from lastbit.report.figure import Figure
from lastbit.report.picture import write_picture


def write_figures(figures: Sequence[Figure], directory: Path) -> list[Path]:
    """Write each figure as NAME.png and NAME.svg.

    Args:
        figures: distinctly named; one with nothing to draw is left out.
        directory: made where it is missing.

    Returns:
        The files, in order.
    """
    return [path for figure in figures for path in write_picture(figure, Path(directory) / figure.name)]
