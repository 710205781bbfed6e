"""Figures as PNG and SVG."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import vl_convert

from lastbit.files import write_atomically
from lastbit.report.figure import Figure
from lastbit.report.libraries import vega_lite_version

_SCALE = 2  # pixels of a PNG for each of the chart, for dense screens and print


def write_figures(figures: Sequence[Figure], directory: Path) -> list[Path]:
    """Write each figure as NAME.png and NAME.svg.

    Args:
        figures: distinctly named; one with nothing to draw is left out.
        directory: made where it is missing.

    Returns:
        The files, in order.
    """
    return [path for figure in figures if figure.is_drawn for path in _write(figure, Path(directory))]


def _write(figure: Figure, directory: Path) -> Iterator[Path]:
    svg = vl_convert.vegalite_to_svg(json.dumps(figure.picture()), vl_version=vega_lite_version())
    for suffix, content in ((".png", vl_convert.svg_to_png(svg, scale=_SCALE)), (".svg", svg.encode())):
        path = directory / (figure.name + suffix)
        write_atomically(path, content)
        yield path
