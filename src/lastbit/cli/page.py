"""A study's page, drawn again only when its results are newer."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lastbit.cli.run_study import results_path
from lastbit.errors import LastbitError
from lastbit.storage.files import writing


def update_page(studies: Mapping[Path, Mapping[str, Any]], page: Path) -> None:
    """Draw `page` from the studies' results by their directory, unless it is there and newer than all of them.

    Raises:
        LastbitError: the page cannot be written, or stored results do not hold what a page needs.
    """
    from lastbit.report.shape import ShapeError  # only here: the charts' library takes a third of a second to import

    files = [results_path(directory) for directory in studies]
    if page.is_file() and all(_is_older(file, page) for file in files):
        return
    try:
        write_page(list(studies.values()), page)
    except ShapeError as error:
        places = " or ".join(map(str, files))
        raise LastbitError(f"{places} does not hold what it should: {error}") from None


def write_page(studies: Sequence[Mapping[str, Any]], page: Path) -> None:
    """Draw `page`.

    Raises:
        LastbitError: it cannot be written.
    """
    from lastbit.report.study import write_report  # only here: the charts' library takes a third of a second to import

    with writing(page.parent):
        write_report(studies, page)


def _is_older(file: Path, page: Path) -> bool:
    return file.stat().st_mtime_ns < page.stat().st_mtime_ns
