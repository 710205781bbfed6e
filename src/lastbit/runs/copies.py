"""The same run twice: in a table, in two files, or under two names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lastbit.errors import shortened
from lastbit.runs.columns import is_bookkeeping, names_runs
from lastbit.runs.endings import places
from lastbit.runs.raw import RUN

if TYPE_CHECKING:
    import polars as pl

_SURE_DIGITS = 6  # a number with so many is no repetition by chance
_COPIES = 3  # runs that agree with others by more than chance
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

    It is where two files agree on every run that both have: on three at least, not all of one value. Runs are the same
    by recipe, task and seed, and without seeds by their order.
    """
    import polars as pl

    key = ["recipe", "task", "seed", "of a seed"]
    rows = runs.with_row_index("at").drop_nulls(["file", "value"]).filter(pl.col("value").is_finite())
    rows = rows.with_columns(pl.col("seed").cast(pl.String).fill_null("none"), pl.col("task").fill_null(""))
    rows = rows.with_columns(pl.int_range(pl.len()).over("recipe", "task", "seed", "file").alias("of a seed"))
    rows = rows.filter(pl.struct(key).is_duplicated()).filter(pl.len().over("file") >= _COPIES)
    order = pl.col("at").min().over("file")
    rows = rows.select(*key, "at", "file", "value", order.alias("place"))
    both = rows.join(rows, on=key, suffix=" before").filter(pl.col("place before") < pl.col("place"))
    files = ["file", "file before"]
    agree = both.group_by(files).agg(
        (pl.col("value") == pl.col("value before")).all().alias("agree"),
        pl.len().alias("runs"),
        pl.col("value").n_unique().alias("values"),
    )
    same = agree.filter(pl.col("agree") & (pl.col("runs") >= _COPIES) & (pl.col("values") > 1))
    copies = set(both.join(same, on=files, how="semi")["at"])
    return pl.Series([at in copies for at in range(runs.height)], dtype=pl.Boolean)


def twins(kept: pl.DataFrame) -> list[str]:
    """Recipes whose runs have the same tasks, seeds and values: no setting that counts differs so."""
    alike: dict[tuple[tuple[str, ...], ...], list[str]] = {}
    for (recipe,), rows in kept.group_by("recipe", maintain_order=True):
        if rows.height >= _COPIES and rows["value"].n_unique() > 1:
            runs = tuple(sorted(tuple(map(str, row)) for row in rows.select("task", "seed", "value").iter_rows()))
            alike.setdefault(runs, []).append(str(recipe))
    return [
        f"{shortened(names, _SHOWN)} have the same value in each of their {len(runs)} runs: they are the same runs "
        f"under {len(names)} names, or what they differ in changes nothing."
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
