"""Columns as numbers: which rows have none, and which say something else."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lastbit.errors import LastbitError
from lastbit.runs.columns import is_unbounded
from lastbit.runs.raw import FILE, ROW, RUN

if TYPE_CHECKING:
    import polars as pl

LARGEST = 1e150  # of a value that counts: the squares of larger ones are no numbers, and of 1 / LARGEST they are 0
NOTHING = ("", "na", "n/a", "none", "null", "-", "--", "?")
_SHOWN = 3  # rows that a message names
_MEND = "write a number, nan for a run that diverged, or nothing for one without a value"
_WITH_SPREAD = re.compile(r"[-+.\deE]+\s*%?\s*(±|\+/-|\+-|\(\s*[.\d]+\s*%?\s*\)).*")  # 93.1 ± 0.2, 93.1 (0.2)
ONE_ROW_EACH = "give single runs, a row for each, with its recipe, seed and value"


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
    nothing = cells.str.to_lowercase().is_in(NOTHING)
    numbers = pl.Series(name, [_number(cell) for cell in cells.to_list()], dtype=pl.Float64)
    wrong = cells.is_not_null() & ~nothing & numbers.is_null()
    if wrong.any():
        raise LastbitError(_said_text(frame, name, cells, wrong))
    signed = cells.str.ends_with("%").fill_null(False)
    plain = numbers.is_finite().fill_null(False) & ~signed
    if signed.any() and plain.any():
        is_plain = bool(plain.sum() < signed.sum())
        few = plain if is_plain else signed
        cells_of_few, verb = _named(frame, few, name), "has" if few.sum() == 1 else "have"
        others = "no percent sign and others do" if is_plain else "a percent sign and others have none"
        raise LastbitError(f"{cells_of_few} {verb} {others}: write all in one unit")
    return numbers


def _said_text(frame: pl.DataFrame, name: str, cells: pl.Series, wrong: pl.Series) -> str:
    """That some rows hold text, and what is to be written there."""
    one = wrong.sum() == 1
    if all(_WITH_SPREAD.fullmatch(cell) for cell in cells.filter(wrong)):
        what, cure = "is a mean with its spread" if one else "are means with their spreads", ONE_ROW_EACH
    else:
        what, cure = "is no number" if one else "are no numbers", _MEND
    return f"{_named(frame, wrong, name)} {what}: {cure}"


def are_numbers(column: pl.Series) -> bool:
    """Whether a column holds numbers, and at least one."""
    import polars as pl

    if column.dtype == pl.Boolean:
        return False
    cells = column.drop_nulls()
    if column.dtype == pl.String:
        cells = cells.filter(~cells.str.strip_chars().str.to_lowercase().is_in(NOTHING))
        return len(cells) > 0 and all(_number(cell) is not None for cell in cells.unique().to_list())
    return len(cells) > 0 and column.dtype.is_numeric()


def numbers_in(column: pl.Series) -> pl.Series:
    """The numbers of a column as float64, whatever else is in it."""
    import polars as pl

    if column.dtype != pl.String:
        return column.cast(pl.Float64, strict=False).drop_nulls()
    return pl.Series(column.name, [_number(cell) for cell in column.to_list()], dtype=pl.Float64).drop_nulls()


@dataclass(frozen=True)
class MixedUnits:
    """Values of which some look like fractions and the others like percents of the same."""

    few: NDArray[np.bool_]  # (n,): those in the rarer unit
    few_are_fractions: bool
    is_sure: bool  # whether they are several, or all of a group: a single one among others may be an outlier


def mixed_units(values: NDArray[np.float64], groups: Sequence[str], metric: str) -> MixedUnits | None:
    """Fractions beside percents of the same: None where there are none.

    They are values from 0 to 1 beside others up to 100, whose medians are 50 to 200 times as far apart. Numbers alone
    do not tell them from losses of 0.02 and 2, so the name of the metric does: what has no upper end, such as a loss, a
    perplexity, a reward or a time, has no percents; an accuracy, an error rate, and a metric without a name or with an
    unknown one, may have.

    Args:
        values: finite, shape (n,).
        groups: the recipe of each.
        metric: the name, empty where none is known.
    """
    is_small = values <= 1
    low, high = values[is_small], values[~is_small]
    if is_unbounded(metric) or not len(low) or not len(high) or low.min() < 0 or high.max() > 100:
        return None
    if not 50 * np.median(low) < np.median(high) < 200 * np.median(low):
        return None
    few_are_fractions = 2 * len(low) <= len(values)
    few = is_small if few_are_fractions else ~is_small
    names = np.asarray(groups, dtype=str)
    whole = any(few[names == name].all() for name in set(names[few]))
    return MixedUnits(few, few_are_fractions, bool(few.sum() > 1 or whole))


def place(row: dict[str, object]) -> str:
    """Where a run was read: `row 3 of runs.csv`, or the name of the run."""
    if row.get(ROW) is not None:
        return f"row {row[ROW]} of {row.get(FILE)}" if row.get(FILE) else f"row {row[ROW]}"
    return str(row.get(RUN) or row.get(FILE))


def is_number(cell: str) -> bool:
    """Whether a cell is a number, with or without a percent sign."""
    return _number(cell) is not None


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
