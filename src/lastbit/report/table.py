"""The table: rows of text that a page, a terminal and a notebook show alike."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from rich.table import Table as RichTable
from rich.text import Text

from lastbit.report.numbers import thin

_NAME = 20  # characters for which the first column of a terminal's table always has room


class Cell(str):
    """The text of a cell that has a second, small line, or stands out: a run that diverged, say."""

    small: str
    alert: bool

    def __new__(cls, text: str, *, small: str = "", alert: bool = False) -> "Cell":
        """Make a cell.

        Args:
            text: its first line.
            small: its second.
            alert: whether it stands out.
        """
        cell = super().__new__(cls, text)
        cell.small, cell.alert = small, alert
        return cell


@dataclass(frozen=True)
class Table:
    """A table with its finding; every cell is text as people read it, or a `Cell`."""

    name: str  # distinct within a page's section, fit for a file name
    title: str  # the finding, with its number; empty where the heading above says it
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]  # one cell for each column
    note: str = ""  # what the cells are
    align: str = ""  # `l` or `r` for each column; by default the first to the left and the others to the right
    foot: int = 0  # last rows that are set apart: they sum up the others

    def __post_init__(self) -> None:
        """Check that every row has a cell for each column.

        Raises:
            ValueError: one has more or fewer.
        """
        wrong = [row for row in self.rows if len(row) != len(self.columns)]
        if wrong or len(self.alignment) != len(self.columns):
            raise ValueError(f"table {self.name}: {len(self.columns)} columns, and {wrong[:1] or self.align!r}")

    @property
    def alignment(self) -> str:
        """`l` or `r` for each column."""
        return self.align or ("l" + "r" * len(self.columns))[: len(self.columns)]

    @property
    def body(self) -> Sequence[Sequence[str]]:
        """The rows above the foot."""
        return self.rows[: len(self.rows) - self.foot]

    @property
    def feet(self) -> Sequence[Sequence[str]]:
        """The rows of the foot."""
        return self.rows[len(self.rows) - self.foot :]

    def for_terminal(self, *, most: int | None = None, small: bool = True) -> RichTable:
        """The rows for a terminal; title and note are the caller's to print.

        Args:
            most: rows of the body, evenly chosen, the first and the last among them; all where it is None.
            small: whether the small lines of cells are shown.
        """
        drawn = RichTable()
        for at, (column, side) in enumerate(zip(self.columns, self.alignment, strict=True)):
            # Short names are not cut to make room for the headings of other columns.
            is_name = at == 0 and all(len(cell) <= _NAME for cell in (column, *(row[0] for row in self.rows)))
            drawn.add_column(Text(column), justify="left" if side == "l" else "right", no_wrap=is_name)
        for row in thin(self.body, len(self.body) if most is None else most):
            drawn.add_row(*(_styled(cell, small=small) for cell in row))
        if self.foot:
            drawn.add_section()
        for row in self.feet:
            drawn.add_row(*(_styled(cell, small=small) for cell in row))
        return drawn

    def as_html(self) -> str:
        """The table in HTML for a notebook: no script, nothing fetched, every cell escaped."""
        caption = f"<caption>{escape(self.title)}</caption>" if self.title else ""
        head = _html_row(self.columns, self.alignment, "th")
        body = "".join(_html_row(row, self.alignment, "td") for row in self.rows)
        return f"<table>{caption}<thead>{head}</thead><tbody>{body}</tbody></table>"


def small_line(cell: str) -> str:
    """The small line of a cell; empty where it has none."""
    return cell.small if isinstance(cell, Cell) else ""


def is_alert(cell: str) -> bool:
    """Whether a cell stands out."""
    return isinstance(cell, Cell) and cell.alert


def _styled(cell: str, *, small: bool) -> Text:
    text = Text(str(cell), style="red" if is_alert(cell) else "")
    if small and small_line(cell):
        text.append(f"\n{small_line(cell)}", style="dim")
    return text


def _html_row(cells: Sequence[str], alignment: str, tag: str) -> str:
    sides = ("left" if side == "l" else "right" for side in alignment)
    parts = [
        f'<{tag} style="text-align: {side}">{_html(cell)}</{tag}>' for cell, side in zip(cells, sides, strict=True)
    ]
    return f"<tr>{''.join(parts)}</tr>"


def _html(cell: str) -> str:
    small = small_line(cell)
    return escape(cell) + (f"<br><small>{escape(small)}</small>" if small else "")


def for_notebook(heading: str, *tables: Table) -> str:
    """HTML that a notebook shows: a sentence in bold and the tables that have rows.

    Args:
        heading: the sentence, as plain text.
        tables: below it.
    """
    return f"<p><b>{escape(heading)}</b></p>{''.join(table.as_html() for table in tables if table.rows)}"
