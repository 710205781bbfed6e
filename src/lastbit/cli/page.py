"""A study's page, drawn again only when its results are newer."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lastbit.cli.run_study import results_path
from lastbit.files import writing


def update_page(studies: Mapping[Path, Mapping[str, Any]], page: Path) -> None:
    """Draw `page` from the studies' results by their directory, unless it is there and newer than all of them."""
    if page.is_file() and all(_is_older(results_path(directory), page) for directory in studies):
        return
    write_page(list(studies.values()), page)


def write_page(studies: Sequence[Mapping[str, Any]], page: Path) -> None:
    """Draw `page`.

    Raises:
        LastbitError: it cannot be written.
    """
    from lastbit.report import write_report  # only here: the charts' library takes a third of a second to import

    with writing(page.parent):
        write_report(studies, page)


def _is_older(file: Path, page: Path) -> bool:
    return file.stat().st_mtime_ns < page.stat().st_mtime_ns
