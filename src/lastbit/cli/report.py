"""`lastbit report`: pages and charts from stored results."""

from pathlib import Path
from typing import Annotated, Any

import typer

from lastbit.cli.output import JsonOption, console, write_json
from lastbit.cli.page import write_page
from lastbit.cli.run_study import RESULTS, results_path
from lastbit.cli.wrong_input import WrongInputError, wrong_input
from lastbit.files import read_json


def report(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="A study, or a directory that holds studies.")],
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="The page [DIR/report.html].")] = None,
    charts: Annotated[Path | None, typer.Option(metavar="DIR", help="Write each chart as PNG and SVG there.")] = None,
    json: JsonOption = None,
) -> None:
    """Draw a study's page again, and its charts as PNG and SVG, from its stored results.

    Example: `lastbit report runs/demo --charts runs/demo/charts`
    """
    with wrong_input():
        studies = [read_json(path) for path in find_results(directory)]
    page = out or directory / "report.html"
    with wrong_input():
        write_page(studies, page)
        written = _write_charts(studies, charts) if charts is not None else []
    content: dict[str, Any] = {"page": str(page), "charts": [str(path) for path in written]}
    write_json(json, content)
    if json != "-":
        for path in (page, *written):
            console(json).print(str(path), soft_wrap=True)


def _write_charts(studies: list[Any], directory: Path) -> list[Path]:
    from lastbit.report import write_charts  # only here: the charts' library takes a third of a second to import

    return write_charts(studies, directory)


def find_results(directory: Path) -> list[Path]:
    """Result files of a study, or of the studies directly under a directory.

    Raises:
        WrongInputError: there is none.
    """
    found = [path for path in (results_path(directory), *sorted(directory.glob(f"*/{RESULTS}"))) if path.is_file()]
    if not found:
        raise WrongInputError(f"{directory} holds no finished study: there is no {RESULTS} in it or directly below it")
    return found
