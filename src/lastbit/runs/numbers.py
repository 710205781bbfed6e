"""Columns as numbers: which rows have none, and which say something else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lastbit.errors import LastbitError
from lastbit.runs.raw import FILE, ROW, RUN

if TYPE_CHECKING:
    import polars as pl

_NOTHING = ("", "na", "n/a", "none", "null", "-", "--", "?")
_SHOWN = 3  # rows that a message names


def as_numbers(frame: pl.DataFrame, name: str) -> pl.Series:
    """A column as float64: null where nothing is written, NaN where the run says so; percent signs are dropped.

    Raises:
        LastbitError: some rows hold text; the message names them.
    """
    import polars as pl

    column = frame[name]
    if column.dtype.is_numeric():
        return column.cast(pl.Float64)
    if column.dtype == pl.Boolean:
        return column.cast(pl.Float64)
    cells = column.cast(pl.String).str.strip_chars()
    if cells.str.to_lowercase().is_in(["true", "false"]).all():  # whether an example is right
        return (cells.str.to_lowercase() == "true").cast(pl.Float64)
    nothing = cells.str.to_lowercase().is_in(_NOTHING)
    if (cells.drop_nulls().str.ends_with("%")).all():
        cells = cells.str.strip_suffix("%")
    numbers = pl.Series(name, [_number(cell) for cell in cells.to_list()], dtype=pl.Float64)
    wrong = cells.is_not_null() & ~nothing & numbers.is_null()
    if wrong.any():
        raise LastbitError(_text_in(frame.filter(wrong), name, int(wrong.sum())))
    return numbers


def are_numbers(column: pl.Series) -> bool:
    """Whether a column holds numbers, and at least one."""
    import polars as pl

    if column.dtype == pl.Boolean:
        return False
    cells = column.drop_nulls()
    if column.dtype == pl.String:
        cells = cells.filter(~cells.str.to_lowercase().is_in(_NOTHING))
        return len(cells) > 0 and all(_number(cell.removesuffix("%")) is not None for cell in cells.unique().to_list())
    return len(cells) > 0 and column.dtype.is_numeric()


def place(row: dict[str, object]) -> str:
    """Where a run was read: `row 3 of runs.csv`, or the name of the run."""
    if row.get(ROW) is not None:
        return f"row {row[ROW]} of {row.get(FILE)}" if row.get(FILE) else f"row {row[ROW]}"
    return str(row.get(RUN) or row.get(FILE))


def _number(cell: str | None) -> float | None:
    try:
        return None if cell is None or "_" in cell else float(cell)  # which Python allows between digits
    except ValueError:
        return None


def _text_in(rows: pl.DataFrame, name: str, count: int) -> str:
    examples = [f"{row[name]!r} in {place(row)}" for row in rows.head(_SHOWN).iter_rows(named=True)]
    more = f" and {count - _SHOWN} more" if count > _SHOWN else ""
    return f"{name} is no number in every row: {', '.join(examples)}{more}; correct them, or leave the cells empty"
