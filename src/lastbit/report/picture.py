"""One figure as PNG and SVG."""

import json
from collections.abc import Iterator
from pathlib import Path

import vl_convert

from lastbit.report.figure import Figure
from lastbit.report.libraries import vega_lite_version
from lastbit.storage.files import write_output

_SCALE = 2  # pixels of a PNG for each of the chart, for dense screens and print


def write_picture(figure: Figure, stem: Path) -> Iterator[Path]:
    """Write STEM.png and STEM.svg, each in one step, and give their paths; nothing for a figure without data."""
    if not figure.is_drawn:
        return
    svg = vl_convert.vegalite_to_svg(json.dumps(figure.picture()), vl_version=vega_lite_version())
    for suffix, content in ((".png", vl_convert.svg_to_png(svg, scale=_SCALE)), (".svg", svg.encode())):
        path = stem.with_name(stem.name + suffix)
        write_output(path, content)
        yield path
