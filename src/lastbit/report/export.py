"""Charts as files of their own."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import vl_convert

from lastbit.files import write_atomically
from lastbit.report.figure import Figure
from lastbit.report.figures import comparison_figures, study_figures
from lastbit.report.libraries import vega_lite_version
from lastbit.report.stored import Study, as_stored, file_stems

_SCALE = 2  # pixels of a PNG for each of the chart, for dense screens and print


def write_charts(studies: Sequence[Study], directory: Path) -> list[Path]:
    """Write each chart as PNG and SVG, such as `demo-rel-l1.png`; charts of several studies as `comparison.png`.

    Args:
        studies: results as `Results.as_json` gives them or `results.json` holds them.
        directory: made where it is missing.

    Returns:
        The files, in the order of the page. What a study has no data for is left out.

    Raises:
        ValueError: these are not the results of studies.
    """
    return [path for stem, figure in _figures(as_stored(studies)) for path in _write(figure, Path(directory) / stem)]


def _figures(studies: Sequence[Study]) -> Iterator[tuple[str, Figure]]:
    for figure in comparison_figures(studies):
        yield figure.name, figure
    for stem, study in zip(file_stems(studies), studies, strict=True):
        for figure in study_figures(study, studies=len(studies)):
            yield f"{stem}-{figure.name}", figure


def _write(figure: Figure, stem: Path) -> Iterator[Path]:
    if not figure.is_drawn:
        return
    svg = vl_convert.vegalite_to_svg(json.dumps(figure.picture()), vl_version=vega_lite_version())
    png = vl_convert.svg_to_png(svg, scale=_SCALE)
    for suffix, content in ((".png", png), (".svg", svg.encode())):
        path = stem.with_name(stem.name + suffix)
        write_atomically(path, content)
        yield path
