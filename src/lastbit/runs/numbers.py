"""Columns as numbers: which rows have none, and which say something else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lastbit.errors import LastbitError
from lastbit.runs.raw import FILE, ROW, RUN

if TYPE_CHECKING:
    import polars as pl

_NOTHING = ("", "na", "n/a", "none", "null", "-", "--", "?")
_SHOWN = 3  # rows that a message names
_MEND = "write a number, nan for a run that diverged, or nothing for one without a value"


def as_numbers(frame: pl.DataFrame, name: str) -> pl.Series:
    """A column as float64: null where nothing is written, NaN where the run says so.

    Where every number has a percent sign, the numbers are percents; an empty cell or `n/a` has none.

    Raises:
        LastbitError: some rows hold text, or percents beside plain numbers; the message names them.
    """
    import polars as pl

    column = frame[name]
    if column.dtype.is_numeric() or column.dtype == pl.Boolean:
        return column.cast(pl.Float64)
    cells = column.cast(pl.String).str.strip_chars()
    if cells.str.to_lowercase().is_in(["true", "false"]).all():  # whether an example is right
        return (cells.str.to_lowercase() == "true").cast(pl.Float64)
    nothing = cells.str.to_lowercase().is_in(_NOTHING)
    numbers = pl.Series(name, [_number(cell) for cell in cells.to_list()], dtype=pl.Float64)
    wrong = cells.is_not_null() & ~nothing & numbers.is_null()
    if wrong.any():
        raise LastbitError(
            f"{_named(frame, wrong, name)} {'is no number' if wrong.sum() == 1 else 'are no numbers'}: {_MEND}"
        )
    signed = cells.str.ends_with("%").fill_null(False)
    plain = numbers.is_finite().fill_null(False) & ~signed
    if signed.any() and plain.any():
        is_plain = bool(plain.sum() < signed.sum())
        few = plain if is_plain else signed
        found, verb = _named(frame, few, name), "has" if few.sum() == 1 else "have"
        others = "no percent sign and others do" if is_plain else "a percent sign and others have none"
        raise LastbitError(f"{found} {verb} {others}: write all in one unit")
    return numbers


def are_numbers(column: pl.Series) -> bool:
    """Whether a column holds numbers, and at least one."""
    import polars as pl

    if column.dtype == pl.Boolean:
        return False
    cells = column.drop_nulls()
    if column.dtype == pl.String:
        cells = cells.filter(~cells.str.strip_chars().str.to_lowercase().is_in(_NOTHING))
        return len(cells) > 0 and all(_number(cell) is not None for cell in cells.unique().to_list())
    return len(cells) > 0 and column.dtype.is_numeric()


def numbers_in(column: pl.Series) -> pl.Series:
    """The numbers of a column as float64, whatever else is in it."""
    import polars as pl

    if column.dtype != pl.String:
        return column.cast(pl.Float64, strict=False).drop_nulls()
    return pl.Series(column.name, [_number(cell) for cell in column.to_list()], dtype=pl.Float64).drop_nulls()


def are_fractions_and_percents(values: NDArray[np.float64]) -> bool:
    """Whether some values are fractions and the others percents of the same.

    They are values from 0 to 1 beside others from 10 to 100, whose medians are 50 to 200 times as far apart: losses of
    0.4 and 15 are in one unit.

    Args:
        values: finite, shape (n,).
    """
    small, large = values[(values >= 0) & (values <= 1)], values[(values >= 10) & (values <= 100)]
    if not len(small) or not len(large) or len(small) + len(large) < len(values):
        return False
    low, high = np.median(small), np.median(large)
    return bool(50 * low < high < 200 * low)


def place(row: dict[str, object]) -> str:
    """Where a run was read: `row 3 of runs.csv`, or the name of the run."""
    if row.get(ROW) is not None:
        return f"row {row[ROW]} of {row.get(FILE)}" if row.get(FILE) else f"row {row[ROW]}"
    return str(row.get(RUN) or row.get(FILE))


def _number(cell: str | None) -> float | None:
    try:
        return None if cell is None or "_" in cell else float(cell.strip().removesuffix("%"))  # Python allows 1_000
    except ValueError:
        return None


def _named(frame: pl.DataFrame, rows: pl.Series, name: str) -> str:
    """The cells of a column in some rows, and where they are: `acc: 'OOM' in row 3 of runs.csv`."""
    named = frame.filter(rows)
    cells = [f"{row[name]!r} in {place(row)}" for row in named.head(_SHOWN).iter_rows(named=True)]
    more = f" and {named.height - _SHOWN} more" if named.height > _SHOWN else ""
    return f"{name}: {', '.join(cells)}{more}"
