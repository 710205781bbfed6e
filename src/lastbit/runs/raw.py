"""What a format hands over: a frame of runs, and what the format itself says about its columns."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from lastbit.errors import LastbitError

if TYPE_CHECKING:
    import polars as pl

# Columns that lastbit adds. Nobody's own column is called like this.
FILE = "(file)"  # where a run was read
ROW = "(row)"  # in that file, as a spreadsheet or an editor counts; null where a file holds one run
RUN = "(run)"  # the run's name, or the path of its directory
STATE = "(state)"  # how the run ended, where its tracker says so
END = "(end)"  # the step that its value was taken from
TASK = "(task)"  # of formats that evaluate several
EXAMPLE = "(example)"  # of what a run was evaluated on
ADDED = (FILE, ROW, RUN, STATE, END, TASK, EXAMPLE)

StepRule = Literal["last", "best"] | int
Progress = Callable[[int, int], None]  # called with the bytes that are read, and those of all files


@dataclass(frozen=True)
class Asked:
    """What a reader needs to know of the question.

    Attributes:
        metric: the name that was asked for; None where it is still open.
        lower_is_better: the direction that was asked for; None where the metric's name is to tell.
        step: which value of a history counts: the last, the best, or the last at or before a step.
        on_bytes: called now and then with the bytes of a file that were read since the last call.
    """

    metric: str | None = None
    lower_is_better: bool | None = None
    step: StepRule = "last"
    on_bytes: Callable[[int], None] = field(default=lambda read: None, compare=False)


@dataclass(frozen=True, eq=False)
class RawRuns:
    """The runs of a file or directory.

    Attributes:
        frame: one row for each run, or for each run and step, or for each run and task.
        settings: the columns that are configuration; None where the format does not tell.
        metrics: the columns that are results; None where the format does not tell.
        lower_is_better: metrics whose direction the file itself states.
        notes: plain sentences about what was noticed while reading.
        examples: a row for each example of each run, told by its `(file)` and `(task)`, with the metrics as columns.
    """

    frame: pl.DataFrame
    settings: tuple[str, ...] | None = None
    metrics: tuple[str, ...] | None = None
    lower_is_better: Mapping[str, bool] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    examples: pl.DataFrame | None = None


def frame_of(records: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    """A frame of records that need not have the same keys, nor values of one type in a column.

    Numbers stay numbers. A column that also holds text becomes text, so that nothing of it is lost.
    """
    import polars as pl

    names = list(dict.fromkeys(name for record in records for name in record))
    return pl.DataFrame([_column(name, [record.get(name) for record in records]) for name in names])


def _column(name: str, values: list[Any]) -> pl.Series:
    import polars as pl

    kinds = {type(value) for value in values if value is not None}
    if kinds <= {bool}:
        return pl.Series(name, values, dtype=pl.Boolean)
    if kinds <= {int} and all(value is None or -(2**63) <= value < 2**63 for value in values):
        return pl.Series(name, values, dtype=pl.Int64)
    if kinds <= {int, float}:
        return pl.Series(name, [None if value is None else float(value) for value in values], dtype=pl.Float64)
    return pl.Series(name, [None if value is None else text_of(value) for value in values], dtype=pl.String)


def plain_columns(frame: pl.DataFrame) -> pl.DataFrame:
    """A frame of plain values: the fields of structs as columns, categories as text, neither lists nor objects."""
    import polars as pl

    while structs := [name for name, kind in frame.schema.items() if isinstance(kind, pl.Struct)]:
        for name in structs:
            fields = frame[name].struct.unnest()
            frame = frame.drop(name).hstack(fields.rename({field: f"{name}.{field}" for field in fields.columns}))
    frame = frame.drop([name for name, kind in frame.schema.items() if kind.is_nested() or kind == pl.Object])
    return frame.with_columns(pl.col(pl.Categorical, pl.Enum).cast(pl.String))


def refuse_added(names: Iterable[str], where: object) -> None:
    """Refuse a table with a column called like one that lastbit adds.

    Raises:
        LastbitError: it has one.
    """
    if taken := [name for name in names if name in ADDED]:
        raise LastbitError(f"{where} has a column called {taken[0]!r}, a name that lastbit needs: rename it")


def text_of(value: object) -> str:
    """A setting as text, the same for equal settings of different formats: 0.1, 1e-05, true, adam."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    return str(value)


def flat(values: Mapping[Any, Any]) -> dict[str, Any]:
    """Nested settings with their keys joined by dots; lists become text."""
    return {
        name: value if value is None or isinstance(value, bool | int | float | str) else str(value)
        for name, value in flat_items(values)
    }


def flat_items(values: Mapping[Any, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Nested settings, their keys joined by dots, with their values as they are."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from flat_items(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def total_size(paths: Iterable[Path]) -> int:
    """The bytes of files, those in directories included."""
    files = (file for path in paths for file in ([path] if path.is_file() else path.rglob("*")) if file.is_file())
    return sum(file.stat().st_size for file in files)
