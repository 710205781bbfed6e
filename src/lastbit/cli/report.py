"""`lastbit report`: pages and charts from stored results."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from lastbit.cli.output import JsonOption, checked_output, console, write_json
from lastbit.errors import LastbitError
from lastbit.storage.directories import RESULTS, STUDY, Kind, check_free
from lastbit.storage.files import read_checksummed, read_json, writing
from lastbit.storage.url_copies import is_url


def report(
    place: Annotated[
        str, typer.Argument(metavar="DIR", help="Of one command, or one that holds studies; or its fsspec URL.")
    ],
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", callback=checked_output("--out"), help="The page [beside the results]."),
    ] = None,
    charts: Annotated[Path | None, typer.Option(metavar="DIR", help="Write each chart as PNG and SVG there.")] = None,
    json: JsonOption = None,
) -> None:
    """Draw a page again, and its charts, from what is stored.

    DIR is where `run`, `study`, `demo`, `growth`, `compare` or `sharpness` kept its results; of a directory that holds
    several studies one page is drawn. For one behind a URL the page is drawn in the current directory.

    Examples: `lastbit report runs/demo --charts runs/demo/charts`, `lastbit report s3://bucket/demo --out demo.html`
    """
    from lastbit.cli.progress import opened

    with opened(place, wanted=_wanted()) as directory:
        _check_charts(charts, directory)
        page, written = _draw(directory, Path() if is_url(place) else directory, out, charts)
    content: dict[str, Any] = {"page": str(page), "charts": [str(path) for path in written]}
    write_json(json, content)
    if json != "-":
        for path in (page, *written):
            console(json).print(str(path), soft_wrap=True)


def _check_charts(charts: Path | None, directory: Path) -> None:
    """See that charts go into no other directory of ours; in a folder of the one that is drawn they are at home."""
    if charts is None or charts.resolve() == directory.resolve():
        return
    check_free(charts, Kind.CHARTS, within=directory)


def _wanted() -> list[str]:
    """Names, of what `find_results` looks at, to be copied from elsewhere."""
    return [*_DRAWN, f"*/{RESULTS}", "study.json", "audit.json"]


def _draw(directory: Path, beside: Path, out: Path | None, charts: Path | None) -> tuple[Path, list[Path]]:
    """Draw what the directory holds, by default into `beside`; the page, and the files of its charts."""
    from lastbit.report.shape import ShapeError  # only here: the charts' library takes a third of a second to import

    files = find_results(directory)
    name = files[0].name
    page = out or beside / ("report.html" if name == RESULTS else f"{files[0].stem}.html")
    contents = [_content(path) for path in files]
    try:
        with writing(page if charts is None else f"{page} or {charts}"):
            return page, _DRAWN[name](contents, page, charts)
    except ShapeError as error:
        place = files[0] if len(files) == 1 else directory
        raise LastbitError(f"{place} does not hold what it should: {error}") from None


def _content(path: Path) -> Any:
    """What a file of results holds."""
    from lastbit.study.check import verify_study
    from lastbit.study.store import Store

    if path.name == RESULTS:  # where what they rest on is as it was; of a study elsewhere the trials are not here
        verify_study(path.parent)
        return Store(path.parent).stored_results()
    return read_checksummed(path) if path.name in ("growth.json", "sharpness.json") else read_json(path)


def find_results(directory: Path) -> list[Path]:
    """The file of results in a directory, or those of the studies directly below it.

    Raises:
        LastbitError: there is none.
    """
    here = [path for name in _DRAWN if (path := directory / name).is_file()]
    files = here[:1] or sorted(directory.glob(f"*/{RESULTS}"))
    if not files:
        raise LastbitError(_nothing(directory))
    return files


def _unfinished(directory: Path) -> str:
    """Why a study has no results: its controls failed, or it has not ended."""
    from lastbit.study.open_study import open_study

    controls = open_study(directory).controls()
    if controls is not None and not controls.passed:
        return f"{directory} holds a study without {RESULTS}: {controls.complaint}"
    return (
        f"{directory} holds a study that has not ended, without {RESULTS}; give the command that began it again: it "
        "continues"
    )


def _nothing(directory: Path) -> str:
    from lastbit.study.directory import no_directory

    if not directory.is_dir():
        return no_directory(directory)
    if (directory / STUDY).is_file():
        return _unfinished(directory)
    if (directory / "audit.json").is_file():
        return f"{directory} holds an audit, which has no page: what it found is in {directory / 'audit.json'}"
    return (
        f"{directory} holds no finished study and nothing else that has a page: there is no {', '.join(_DRAWN)} in it, "
        f"and no {RESULTS} directly below it"
    )


# Imported where they are used: the charts' library takes a third of a second.
def _draw_studies(studies: Sequence[Any], page: Path, charts: Path | None) -> list[Path]:
    from lastbit.report.study import write_charts, write_report

    write_report(studies, page)
    return [] if charts is None else write_charts(studies, charts)


def _draw_growth(contents: Sequence[Any], page: Path, charts: Path | None) -> list[Path]:
    from lastbit.report.growth import growth_figures, write_growth_page

    write_growth_page(contents[0], page)
    return _pictures(growth_figures(contents[0]), charts, "growth")


def _draw_comparison(contents: Sequence[Any], page: Path, charts: Path | None) -> list[Path]:
    from lastbit.report.comparison import comparison_figures, write_comparison

    write_comparison(contents[0], page)
    return _pictures(comparison_figures(contents[0]), charts, "compare")


def _draw_sharpness(contents: Sequence[Any], page: Path, charts: Path | None) -> list[Path]:
    from lastbit.report.sharpness import sharpness_figures, write_sharpness

    write_sharpness(contents[0], page)
    return _pictures(sharpness_figures(contents[0]), charts, "sharpness")


def _pictures(figures: Sequence[Any], directory: Path | None, stem: str) -> list[Path]:
    from lastbit.report.charts import write_figures

    return [] if directory is None else write_figures(figures, directory, prefix=f"{stem}-")


_DRAWN: Mapping[str, Callable[[Sequence[Any], Path, Path | None], list[Path]]] = {
    "results.json": _draw_studies,
    "growth.json": _draw_growth,
    "compare.json": _draw_comparison,
    "sharpness.json": _draw_sharpness,
}
