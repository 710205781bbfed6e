"""The same run twice: in a table, in two files, or under two names."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lastbit.errors import shortened
from lastbit.runs.columns import is_bookkeeping, names_runs
from lastbit.runs.endings import places
from lastbit.runs.raw import RUN

if TYPE_CHECKING:
    import polars as pl

_SURE_DIGITS = 6  # a number with so many is no repetition by chance
_COPIES = 3  # runs that agree with others by more than chance
_MANY = 10  # runs that do so without seeds and with few digits
_BLOCK = 256  # files compared with all others at a time
_SHOWN = 4


def repeated(runs: pl.DataFrame, read: pl.DataFrame) -> pl.Series:
    """Whether each row is an earlier one again: all that was read is the same; or all but names, dates and the like is.

    Two runs may share a value of few digits by chance: those of a seed only in whole rows, those without never.
    """
    import polars as pl

    sure = pl.Series([_digits(value) >= _SURE_DIGITS for value in runs["value"]], dtype=pl.Boolean)
    has_seed = runs["seed"].is_not_null()
    core = [name for name in read.columns if not (is_bookkeeping(name) or names_runs(name) or name == RUN)]
    known = runs.select("recipe", "seed", "task", "value")
    parts = [part.rename(lambda name: f"read {name}") for part in (read, read.select(core))]
    whole, settings = (~known.hstack(part).to_struct().is_first_distinct() for part in parts)
    return (whole & (has_seed | sure)) | (settings & has_seed & sure)


def copied(runs: pl.DataFrame) -> pl.Series:
    """Whether each row is of a run that stands in an earlier file, too.

    It is where two files agree on every run that both have, and not all of one value: on three runs at least that have
    a seed or a value of six digits, or on ten. Runs are the same by recipe, task and seed, and without seeds by their
    order, where few digits agree by chance. Files are compared by sparse products, a block of them at a time.
    """
    import polars as pl

    key = ["recipe", "task", "seed", "of a seed"]
    rows = runs.with_row_index("at").drop_nulls(["file", "value"]).filter(pl.col("value").is_finite())
    sure = [seed is not None or _digits(value) >= _SURE_DIGITS for seed, value in rows.select("seed", "value").rows()]
    rows = rows.with_columns(pl.Series("sure", sure, dtype=pl.Boolean))
    rows = rows.with_columns(pl.col("seed").cast(pl.String).fill_null("none"), pl.col("task").fill_null(""))
    rows = rows.with_columns(pl.int_range(pl.len()).over("recipe", "task", "seed", "file").alias("of a seed"))
    rows = rows.filter(pl.struct(key).is_duplicated()).filter(pl.len().over("file") >= _COPIES)
    rows = rows.with_columns(
        pl.struct("file").rank("dense").alias("rank"),
        pl.struct(key).rank("dense").alias("run"),
        pl.struct(*key, "value").rank("dense").alias("result"),
        pl.col("value").rank("dense").alias("level"),
    )
    return pl.Series(np.isin(np.arange(runs.height), _copied_rows(rows)), dtype=pl.Boolean)


def _copied_rows(rows: pl.DataFrame) -> NDArray[np.int64]:
    """The `at` of the rows whose run and value an earlier file has that agrees with theirs."""
    at = rows["at"].to_numpy().astype(np.int64)
    if not len(at):
        return at
    from scipy.sparse import csr_array  # only here: most tables come from one file

    _, first, ranks = np.unique(rows["rank"].to_numpy(), return_index=True, return_inverse=True)
    file = np.argsort(np.argsort(first))[ranks]  # in the order of reading
    result, run, level = (rows[name].to_numpy().astype(np.int64) for name in ("result", "run", "level"))

    shape = (len(first), len(at) + 1)  # files, and ranks from 1
    one = np.ones(len(at), dtype=np.int64)
    is_sure = rows["sure"].to_numpy().astype(np.int64)
    cells = ((one, run), (one, result), (is_sure, result), (level, result), (level**2, result))
    runs, results, sure, levels, squares = (csr_array((data, (file, of)), shape=shape) for data, of in cells)
    copies = []
    for start in range(0, len(first), _BLOCK):
        block, here = slice(start, start + _BLOCK), results[start : start + _BLOCK]
        same = (here @ results.T).toarray()
        agree = same == (runs[block] @ runs.T).toarray()
        total = (here @ levels.T).toarray()
        agree &= same * (here @ squares.T).toarray() > total**2  # by Cauchy and Schwarz equal for one value alone
        agree &= ((here @ sure.T).toarray() >= _COPIES) | (same >= _MANY)
        agree &= np.arange(len(first)) < np.arange(start, start + len(same))[:, None]
        there = (csr_array(agree.astype(np.int64)) @ results).tocsr()  # of each result, in how many such files
        mine = (file >= start) & (file < start + _BLOCK)
        copies.append(at[mine][np.asarray(there[file[mine] - start, result[mine]]).ravel() > 0])
    return np.concatenate(copies)


def twins(kept: pl.DataFrame) -> list[str]:
    """Recipes whose runs have the same tasks, seeds and values: no setting that counts differs so."""
    alike: dict[tuple[tuple[str, ...], ...], list[str]] = {}
    for (recipe,), rows in kept.group_by("recipe", maintain_order=True):
        if rows.height >= _COPIES and rows["value"].n_unique() > 1:
            runs = tuple(sorted(tuple(map(str, row)) for row in rows.select("task", "seed", "value").iter_rows()))
            alike.setdefault(runs, []).append(str(recipe))
    return [
        f"In each of their {len(runs)} runs these recipes have the same value: {shortened(names, _SHOWN)}. They are "
        f"the same runs under {len(names)} names, or what they differ in changes nothing."
        for runs, names in alike.items()
        if len(names) > 1
    ]


def same_values(kept: pl.DataFrame) -> list[str]:
    """One value to many digits under several seeds or recipes: one run that was copied, or a seed that does nothing."""
    import polars as pl

    sure = kept.filter(pl.Series([_digits(value) >= _SURE_DIGITS for value in kept["value"]], dtype=pl.Boolean))
    same = sure.filter(sure.select("task", "value").is_duplicated())
    if not same.height:
        return []
    return [
        f"{same.height} runs share their value with another to the last digit ({places(same)}): either one run was "
        "pasted twice, or the seed changes nothing."
    ]


def _digits(value: float | None) -> int:
    """The significant digits of a number as it is written."""
    if value is None or value != value or abs(value) == float("inf"):
        return 0
    return len(repr(value).split("e")[0].replace(".", "").replace("-", "").strip("0"))
