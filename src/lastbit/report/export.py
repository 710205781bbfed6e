"""Charts as files of their own."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from lastbit.report.figure import Figure
from lastbit.report.figures import comparison_figures, study_figures
from lastbit.report.picture import write_picture
from lastbit.report.stored import Study, as_stored, file_stems


def write_charts(studies: Sequence[Study], directory: Path) -> list[Path]:
    """Write each chart as PNG and SVG, such as `demo-rel-l1.png`; charts of several studies as `comparison.png`.

    Args:
        studies: results as `Results.as_json` gives them or `results.json` holds them.
        directory: made where it is missing.

    Returns:
        The files, in the order of the page. What a study has no data for is left out.

    Raises:
        LastbitError: these are not the results of studies.
    """
    return [
        path for stem, figure in _figures(as_stored(studies)) for path in write_picture(figure, Path(directory) / stem)
    ]


def _figures(studies: Sequence[Study]) -> Iterator[tuple[str, Figure]]:
    for figure in comparison_figures(studies):
        yield figure.name, figure
    for stem, study in zip(file_stems(studies), studies, strict=True):
        for figure in study_figures(study, studies=len(studies)):
            yield f"{stem}-{figure.name}", figure
