"""What a comparison of remedies ends in: results, page, tables and verdict."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lastbit.cli.output import console, write_json
from lastbit.storage.files import to_json, writing
from lastbit.storage.outputs import write_output

if TYPE_CHECKING:
    from lastbit.study.comparison.remedies import Treated

_RESULTS, _PAGE = "remedies.json", "remedies.html"


def finish(name: str, treated: Sequence[Treated], directory: Path, *, within: float | None, json: str | None) -> None:
    """Compare, draw the page, write the JSON and print tables, notes and verdict.

    Args:
        name: of the recipe or script.
        treated: the baseline first.
        directory: for the page and the results.
        within: the loss of accuracy that still counts as the same; None where none was set.
        json: where the JSON goes.

    Raises:
        LastbitError: the studies cannot be compared, or a file cannot be written.
    """
    from lastbit.report.remedies import write_remedies
    from lastbit.report.remedies_tables import cost_table, remedies_table, spread_table
    from lastbit.study.comparison.remedies import compare_remedies
    from lastbit.study.comparison.remedies_json import remedies_json

    content = remedies_json(compare_remedies(name, treated, within=within))
    with writing(f"--out {directory}"):
        write_output(directory / _RESULTS, to_json(content, indent=1).encode())
        write_remedies(content, directory / _PAGE)
    write_json(json, content)
    if json == "-":
        return
    terminal = console(json)
    for table in (remedies_table(content), cost_table(content) if within is not None else spread_table(content)):
        terminal.print(table.for_terminal())
        terminal.print(table.note)
    for note in content["notes"]:
        terminal.print(note)
    terminal.print(content["verdict"], style="bold")
    terminal.print(f"page: {directory / _PAGE}", soft_wrap=True)
