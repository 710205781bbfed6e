"""Runs that exist already: read from files, directories and frames into one table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lastbit.errors import LastbitError, LastbitTypeError, shortened
from lastbit.runs.formats.format import RunFormat, find
from lastbit.runs.raw import (
    FILE,
    ROW,
    Asked,
    Progress,
    RawRuns,
    StepRule,
    frame_of,
    plain_columns,
    refuse_added,
    total_size,
)
from lastbit.runs.resolve import resolve
from lastbit.runs.roles import Question
from lastbit.runs.table import RunTable
from lastbit.storage.limits import OTHER_SHAPE

if TYPE_CHECKING:
    import polars as pl

Names = str | Sequence[str] | None


def read_runs(
    paths: str | Path | Sequence[str | Path],
    *,
    by: Names = None,
    metric: str | None = None,
    seed: Names = None,
    task: str | None = None,
    example: str | None = None,
    cluster: str | None = None,
    lower_is_better: bool | None = None,
    step: StepRule = "last",
    on_progress: Progress | None = None,
) -> RunTable:
    """Read runs from files and directories; what they are is found out by looking.

    Args:
        paths: tables (CSV, JSON lines, Parquet), files of trackers, or directories with any of them.
        by: the columns that make a recipe; by default everything in the configuration but the seed.
        metric: the column or logged name to compare; may be left out where there is only one.
        seed: the columns of the seed; by default those called so.
        task: the column of the task or data set; by default one called so. `""`: none.
        example: the column of the example, in tables that have a row for each; their means are the runs' values.
        cluster: the column of what examples belong to, such as the patient.
        lower_is_better: whether less of the metric is better; by default what its name says.
        step: which value of a history counts: `last`, `best`, or a number: the last one at or before this step.
        on_progress: called with the bytes read so far and in all.

    Raises:
        LastbitError: something there cannot be read, a column is missing, or the metric is text in some rows.
    """
    question = _question(by, metric, seed, task, example, cluster, lower_is_better, step)
    given = [Path(path) for path in ([paths] if isinstance(paths, str | Path) else paths)]
    if not given:
        raise LastbitError("no file is given: name a table, or the directory of a tracker")
    claimed = [(path, find(path)) for path in given]
    asked = Asked(
        metric, lower_is_better, step, _counter(on_progress, [at for _, claims in claimed for _, at in claims])
    )
    notes: list[str] = []
    parts: list[RawRuns] = []
    for path, claims in claimed:
        rank = min(each.rank for each, _ in claims)
        read = [(each, at) for each, at in claims if each.rank == rank]
        if others := sorted({each.kind for each, at in claims if each.rank != rank}):
            notes.append(f"{path} also holds {' and '.join(others)} files, which are not read: name them to read them.")
        parts += [_read(each, at, asked) for each, at in read]
    where = shortened([str(path) for path in given], 3)
    return resolve(parts, question, where=where, notes=notes)


def runs_of_frame(
    frame: Any,
    *,
    by: Names = None,
    metric: str | None = None,
    seed: Names = None,
    task: str | None = None,
    example: str | None = None,
    cluster: str | None = None,
    lower_is_better: bool | None = None,
    step: StepRule = "last",
) -> RunTable:
    """Runs in a pandas or polars frame, or in any other whose columns have a `to_list`; else like `read_runs`.

    Raises:
        LastbitTypeError: it is no frame.
        LastbitError: a column is missing, or the metric is text in some rows.
    """
    import polars as pl

    question = _question(by, metric, seed, task, example, cluster, lower_is_better, step)
    notes: list[str] = []
    table = _polars(frame, notes)
    if table.height == 0:
        raise LastbitError("the frame has no row")
    refuse_added(table.columns, "the frame")
    table = table.with_row_index(ROW).with_columns(pl.lit("the frame").alias(FILE))
    return resolve([RawRuns(table)], question, where="the frame", notes=notes)


def _read(kind: RunFormat, path: Path, asked: Asked) -> RawRuns:
    """What a format reads at a path; where it meets content of another shape than its tool writes, one line."""
    try:
        return kind.read(path, asked)
    except LastbitError:
        raise
    except OSError as error:
        raise LastbitError(f"{path} cannot be read: {error.strerror or error}") from None
    except (*OTHER_SHAPE, ValueError) as error:
        what = (str(error) or type(error).__name__).splitlines()[0]
        raise LastbitError(f"{path} is damaged, or not what {kind.kind} writes: {what}") from None


def _polars(frame: Any, notes: list[str]) -> pl.DataFrame:
    import polars as pl

    if isinstance(frame, pl.LazyFrame):
        frame = frame.collect()
    if isinstance(frame, pl.DataFrame):
        return plain_columns(frame)
    if not hasattr(frame, "columns") or not hasattr(frame, "__getitem__"):
        raise LastbitTypeError(f"a {type(frame).__name__} is no table: give a pandas or polars frame, or a file's path")
    names = list(map(str, frame.columns))
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise LastbitError(f"the frame has two columns called {twice[0]!r}: rename one of them")
    levels = _levels(frame, notes)
    # pandas turns itself into Arrow only where pyarrow is installed; lists it always gives.
    columns = {str(name): [_value(value) for value in frame[name].to_list()] for name in frame.columns}
    if other := [name for name in levels if columns.get(name, levels[name]) != levels[name]]:
        raise LastbitError(f"the frame’s index and another column are both called {other[0]!r}: rename one of them")
    columns = levels | columns
    rows = len(next(iter(columns.values()), []))
    return frame_of([{name: values[at] for name, values in columns.items()} for at in range(rows)])


def _levels(frame: Any, notes: list[str]) -> dict[str, list[Any]]:
    """The index of a pandas frame as columns, as far as it has names; one without that is no row number is noted."""
    index: Any = getattr(frame, "index", None)
    names = list(getattr(index, "names", ()))
    if names == [None] and not index.is_unique:
        notes.append(
            "The frame’s index has no name, and is not read, though it repeats: if it holds the seed or the recipe, "
            "name it by frame.rename_axis('seed')."
        )
    return {
        str(name): [_value(value) for value in index.get_level_values(at).to_list()]
        for at, name in enumerate(names)
        if name is not None
    }


def _value(value: Any) -> Any:
    """A plain value: numpy's scalars as Python's own, a missing one as None."""
    value = value.item() if hasattr(value, "item") else value
    missing = value is None or type(value).__name__ in ("NAType", "NaTType")
    return None if missing else value


def _question(
    by: Names,
    metric: str | None,
    seed: Names,
    task: str | None,
    example: str | None,
    cluster: str | None,
    lower_is_better: bool | None,
    step: StepRule,
) -> Question:
    if step not in ("last", "best") and (isinstance(step, bool) or not isinstance(step, int) or step < 0):
        raise LastbitError(f"--step {step}: say last, best, or the number of a step")
    return Question(_several(by), metric, _several(seed), task, example, cluster, lower_is_better, step)


def _several(names: Names) -> tuple[str, ...] | None:
    """Names as a person gave them, several in a text with commas between them."""
    parts = names.split(",") if isinstance(names, str) else names or ()
    return tuple(dict.fromkeys(part.strip() for part in parts if part.strip())) or None


def _counter(on_progress: Progress | None, paths: list[Path]) -> Callable[[int], None]:
    """The function that readers call with the bytes they read, and that adds them up."""
    if on_progress is None:
        return lambda read: None
    total, done = total_size(paths), 0

    def count(read: int) -> None:
        """Tell how many bytes are read so far."""
        nonlocal done
        done += read
        on_progress(min(done, total), total)

    return count
