"""The page: one HTML file that holds everything it needs."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lastbit.report.document import document
from lastbit.report.figure import Figure
from lastbit.report.figures import comparison_figures
from lastbit.report.libraries import javascript
from lastbit.report.section import Section, sections
from lastbit.report.settings_table import differences
from lastbit.report.source import source_of_all
from lastbit.report.stored import Study, as_stored
from lastbit.storage.files import write_output


def write_report(studies: Sequence[Study], path: Path) -> None:
    """Write one HTML page for one study or several; it opens offline and asks for nothing else.

    Args:
        studies: results as `Results.as_json` gives them or `results.json` holds them.
        path: of the page; it is replaced in one step, and its directory made where it is missing.

    Raises:
        LastbitError: these are not the results of studies.
    """
    page = render(as_stored(studies), libraries=javascript())
    # A name read from JSON may hold half a surrogate pair, which no file can.
    write_output(Path(path), page.encode("utf-8", "replace"))


def render(studies: Sequence[Study], *, libraries: str) -> str:
    """The page's HTML.

    Args:
        studies: results as `as_stored` gives them.
        libraries: JavaScript that defines `vegaEmbed`, as `javascript()` gives it.
    """
    parts, comparison = sections(studies), comparison_figures(studies)
    return document(
        "page.html.j2",
        specs=_specs(parts, comparison),
        libraries=libraries,
        sections=parts,
        comparison=comparison,
        differences=differences(studies),
        explanations=source_of_all(studies).explanations,
        by_order=all(part.metric.order == "batch order" for part in parts),
    )


def _specs(parts: Sequence[Section], comparison: Sequence[Figure]) -> dict[str, Any]:
    """Vega-Lite of every chart by the id of its place on the page."""
    placed = [("all", figure) for figure in comparison]
    placed += [(part.anchor, figure) for part in parts for figure in part.figures.values()]
    return {f"{anchor}-{figure.name}": figure.spec() for anchor, figure in placed if figure.is_drawn}
