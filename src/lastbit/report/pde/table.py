"""A table with its finding, as rows of text."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    """What a page shows as a table; every cell is text as people read it."""

    name: str  # fit for a file name
    title: str  # the finding, with its number
    note: str  # what the cells are
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]  # one cell for each column
