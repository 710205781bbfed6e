"""The page of two compared recipes."""

from pathlib import Path

from lastbit.report.compared import Comparison, as_compared, mcnemar_sentence, rows_of_tests, side_rows
from lastbit.report.compared_figures import compared_figures
from lastbit.report.document import document
from lastbit.report.libraries import javascript
from lastbit.report.settings_table import differences
from lastbit.storage.files import write_output


def write_comparison(content: Comparison, path: Path) -> None:
    """Write the HTML page of a comparison; it opens offline and asks for nothing else.

    Args:
        content: as `Comparison.as_json` gives it.
        path: of the page; it is replaced in one step, and its directory made where it is missing.

    Raises:
        LastbitError: it is no comparison.
    """
    page = render_comparison(as_compared(content), libraries=javascript())
    write_output(Path(path), page.encode("utf-8", "replace"))


def render_comparison(content: Comparison, *, libraries: str) -> str:
    """The page's HTML.

    Args:
        content: as `as_compared` gives it.
        libraries: JavaScript that defines `vegaEmbed`, as `javascript()` gives it.
    """
    figures = compared_figures(content)
    studies = [side for side in (content["a"], content["b"]) if side["settings"] is not None]
    return document(
        "compare.html.j2",
        specs={f"compare-{figure.name}": figure.spec() for figure in figures if figure.is_drawn},
        libraries=libraries,
        comparison=content,
        figures=figures,
        sides=side_rows(content),
        tests=rows_of_tests(content),
        mcnemar=mcnemar_sentence(content),
        names=[side["name"] for side in studies],
        differences=differences(studies) if len(studies) == 2 else [],
    )
