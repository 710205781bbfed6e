"""Tables and trackers with a row for each example: a run's value is their mean, and the rows are kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import lastbit.runs.columns as named
from lastbit.errors import LastbitError
from lastbit.runs.groups import texts
from lastbit.runs.numbers import place
from lastbit.runs.raw import EXAMPLE, FILE, TASK, RawRuns
from lastbit.runs.roles import Question, own_columns, run_keys

if TYPE_CHECKING:
    import polars as pl

_SHOWN = 3  # rows that a message names
AT = "(at)"  # the row of a run's table that an example belongs to
_EXAMPLES = ("example", "example_id", "doc_id", "question_id", "sample_id", "instance_id", "item_id")


def example_columns(
    frame: pl.DataFrame, question: Question, where: str, *, taken: Mapping[str, str]
) -> tuple[str | None, str | None]:
    """The columns of the example and of its cluster: as asked, or one called so of the first; else None.

    Args:
        frame: as read.
        question: what was asked.
        where: the files, for messages.
        taken: columns that are something else, and what each is.

    Raises:
        LastbitError: one that was asked for is not there, or is something else, or there is a cluster and no example.
    """
    own = own_columns(frame)
    cluster = question.cluster and named.require(question.cluster, own, option="--cluster", where=where)
    example = question.example and named.require(question.example, own, option="--example", where=where)
    for option, name in (("--example", example), ("--cluster", cluster)):
        if name and name in taken:
            raise LastbitError(f"{option} {name}: this column is {taken[name]}; name the one of the examples")
    if example and example == cluster:
        raise LastbitError(f"--example {example} and --cluster {cluster}: examples and their clusters need two columns")
    free = (name for name in own if name not in taken and name != cluster)
    example = example or next((name for name in free if named.plain(name) in _EXAMPLES), None)
    if cluster and not example:
        raise LastbitError(
            f"--cluster {cluster} needs --example NAME: the column that says which example of {cluster} a row is of"
        )
    return example, cluster


def runs_of_examples(
    frame: pl.DataFrame,
    metric: str,
    example: str | None,
    cluster: str | None,
    *,
    settings: Sequence[str],
    known: Sequence[str | None],
    notes: list[str],
) -> tuple[pl.DataFrame, pl.DataFrame | None]:
    """A row for each run, with the mean of its examples, and the examples.

    Args:
        frame: with `metric` as numbers.
        metric: its name.
        example: the column of the example; None where each row is a run.
        cluster: the column of what examples belong to, if one is.
        settings: the columns that may be configuration.
        known: columns that tell runs apart.
        notes: gets a sentence on what was done.

    Raises:
        LastbitError: a row does not say which example it is of, or which cluster.
    """
    import polars as pl

    if example is None:
        return frame, None
    for name in (example, cluster):
        if name:
            _refuse_empty(frame.drop_nulls(metric), name)
    others = [name for name in settings if name not in (example, cluster)]
    keys = run_keys(frame, others, known, example)
    frame = frame.with_columns(frame.select(keys).to_struct().rank("dense").alias(AT) if keys else pl.lit(0).alias(AT))
    order = {at: place for place, at in enumerate(frame[AT].unique(maintain_order=True))}
    frame = frame.with_columns(frame[AT].replace_strict(order, return_dtype=pl.Int64))
    runs = frame.group_by(AT, maintain_order=True).agg(pl.all().exclude(AT, metric).first(), pl.col(metric).mean())
    notes.append(f"{frame.height:,} rows hold single examples: the value of a run is the mean of their {metric}.")
    examples = [frame[AT], pl.Series("example", texts(frame[example]), dtype=pl.String)]
    belongs = texts(frame[cluster]) if cluster else [None] * frame.height
    examples += [pl.Series("cluster", belongs, dtype=pl.String), frame[metric].alias("value")]
    return runs.drop(AT, example, *([cluster] if cluster else [])), pl.DataFrame(examples).drop_nulls("value")


def _refuse_empty(frame: pl.DataFrame, name: str) -> None:
    """Refuse rows that do not say which example they are of, or which group it is in: all would be taken for one."""
    import polars as pl

    empty = frame.filter(frame[name].cast(pl.String).str.strip_chars().fill_null("") == "")
    if empty.height:
        rows = ", ".join(place(row) for row in empty.head(_SHOWN).iter_rows(named=True))
        more = f" and {empty.height - _SHOWN} more" if empty.height > _SHOWN else ""
        raise LastbitError(
            f"{name} is empty in {rows}{more}: write which {name} each row is of, or leave these rows out"
        )


def examples_of_parts(parts: Sequence[RawRuns], frame: pl.DataFrame, metric: str) -> pl.DataFrame | None:
    """The examples that trackers logged, joined to the rows of their runs by file and task."""
    import polars as pl

    own = [part.examples for part in parts if part.examples is not None and metric in part.examples.columns]
    if not own:
        return None
    rows = frame.with_row_index(AT).select(pl.col(AT).cast(pl.Int64), FILE, TASK)
    columns = [pl.col(EXAMPLE).alias("example"), pl.lit(None, pl.String).alias("cluster")]
    every = pl.concat(
        [part.select(FILE, TASK, *columns, pl.col(metric).cast(pl.Float64).alias("value")) for part in own]
    )
    return every.drop_nulls("value").join(rows, on=[FILE, TASK], maintain_order="left").drop(FILE, TASK)


def of_recipes(examples: pl.DataFrame | None, kept: pl.DataFrame) -> pl.DataFrame | None:
    """The examples of the runs that count, with their recipe, seed and task.

    Args:
        examples: with the row that each belongs to.
        kept: the runs that count, with their rows.
    """
    if examples is None:
        return None
    joined = examples.join(kept.select(AT, "recipe", "seed", "task"), on=AT, maintain_order="left")
    return joined.select("recipe", "seed", "task", "example", "cluster", "value")
