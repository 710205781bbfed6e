"""Tables: CSV and its relatives, JSON lines, Parquet."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from lastbit.errors import LastbitError
from lastbit.runs.formats.format import RunFormat
from lastbit.runs.numbers import is_number
from lastbit.runs.raw import FILE, ROW, Asked, RawRuns, flat, frame_of, plain_columns, refuse_added

if TYPE_CHECKING:
    import polars as pl

_DELIMITED = {".csv", ".tsv", ".txt"}
_JSON = {".jsonl", ".ndjson", ".json"}
_SEPARATORS = ",;\t|"
_SEPARATOR_LINE = re.compile(r"sep=.\s*", re.IGNORECASE)  # which Excel reads, and hides
_RULE = re.compile(r"(:?-+:?)?")  # | --- | :-: | below the names in Markdown
_HEADS = {"utf-16": (b"\xff\xfe", b"\xfe\xff"), "utf-8-sig": (b"\xef\xbb\xbf",)}


class Tables(RunFormat):
    """A row for each run, or for each run and step."""

    kind: ClassVar[str] = "table"
    help: ClassVar[str] = "CSV (.csv, .tsv), JSON lines (.jsonl), Parquet (.parquet)"
    named_only: ClassVar[frozenset[str]] = frozenset({".json", ".txt"})  # which are seldom tables
    rank: ClassVar[int] = 9  # a table beside a tracker's files was most likely made from them

    def claims(self, path: Path) -> bool:
        """Whether the name of a file is that of a table."""
        return path.suffix.lower() in {*_DELIMITED, *_JSON, ".parquet", ".pq"} and path.is_file()

    def read(self, path: Path, asked: Asked) -> RawRuns:
        """Read all columns; those of a delimited file stay text until it is known which are numbers.

        Raises:
            LastbitError: the file is no table of its kind.
        """
        import polars as pl

        suffix = path.suffix.lower()
        notes: list[str] = []
        try:
            if suffix in _DELIMITED:
                frame = read_delimited(path, notes)
            else:
                frame = _read_json(path) if suffix in _JSON else _read_parquet(path)
        except OSError as error:
            raise LastbitError(f"{path} cannot be read: {error.strerror or error}") from None
        if frame.height == 0:
            raise LastbitError(f"{path} has no row: there are only the names of its columns")
        if ROW not in frame.columns:
            frame = frame.with_row_index(ROW, offset=1)
        asked.on_bytes(path.stat().st_size)
        return RawRuns(frame.with_columns(pl.lit(str(path)).alias(FILE)), notes=tuple(notes))


def read_delimited(path: Path, notes: list[str]) -> pl.DataFrame:
    """Read a delimited file as text, with the number of each line; the names of the columns are in the first.

    Lines before it that begin with `#` are comments, and read past.

    Args:
        path: of the file. Commas, semicolons, tabs or bars separate its columns.
        notes: gets a sentence for each thing that was assumed.

    Raises:
        LastbitError: it is no table.
    """
    import polars as pl

    text = _without_comments(_decoded(path, notes))
    first = next((line for line in text.split("\n") if line.strip()), "")
    separator = max(_SEPARATORS, key=first.count)
    try:
        rows = [(number, row) for number, row in _numbered(text, separator) if _says_something(row)]
    except csv.Error as error:
        raise LastbitError(f"{path} is no table: {error}") from None
    if not rows:
        raise LastbitError(f"{path} is empty")
    names = _unique([name.strip() for name in rows[0][1]], path)
    if len(names) == 1:
        raise LastbitError(
            f"{path} has a single column, {names[0][:40]!r}: put commas, semicolons or tabs between columns"
        )
    ragged = [
        (number, row) for number, row in rows[1:] if len(row) < len(names) or any(map(str.strip, row[len(names) :]))
    ]
    if ragged:
        number, row = ragged[0]
        more = f", and so on in {len(ragged)} lines" if len(ragged) > 1 else ""
        head = f"line {rows[0][0]}"
        count = f"{len(row)} column{'' if len(row) == 1 else 's'}"
        raise LastbitError(f"{path}: line {number} has {count}, and {head} has {len(names)}{more}")
    cells = {name: [row[at].strip() or None for _, row in rows[1:]] for at, name in enumerate(names)}
    columns = [pl.Series(name, values, dtype=pl.String) for name, values in cells.items()]
    if separator == ";":  # as written where a comma stands before the decimals
        columns = [_with_points(column) for column in columns]
    return pl.DataFrame([pl.Series(ROW, [number for number, _ in rows[1:]], dtype=pl.UInt32), *columns])


def _says_something(row: list[str]) -> bool:
    """Whether a row is neither empty, nor a comment below the table, nor the rule of one in Markdown."""
    cells = [cell.strip() for cell in row]
    return any(cells) and not (len(row) == 1 and cells[0].startswith("#")) and not all(map(_RULE.fullmatch, cells))


def _without_comments(text: str) -> str:
    """The text with what stands before the names of the columns blanked, so that lines keep their numbers.

    These are comments (`# ...`) and Excel's `sep=;`. Names that follow a `#` themselves, as numpy's `savetxt` writes
    them, are told from a comment by the row below: it has as many cells, and a number where a name stands.
    """
    if not text.lstrip().lower().startswith(("#", "sep=")):
        return text
    lines, at = text.split("\n"), 0
    while at < len(lines) and (not lines[at].strip() or lines[at].lstrip().startswith("#") or _is_separator(lines, at)):
        at += 1
    if at == len(lines):
        return text
    start = lines[at - 1].lstrip() if at else ""
    if start.startswith("#") and _are_names(start.lstrip("# "), lines[at]):
        at -= 1
        lines[at] = start.lstrip("# ")
    return "\n".join(["" for _ in lines[:at]] + lines[at:])


def _is_separator(lines: list[str], at: int) -> bool:
    return at == 0 and _SEPARATOR_LINE.fullmatch(lines[0]) is not None


def _are_names(line: str, below: str) -> bool:
    separator = max(_SEPARATORS, key=below.count)
    names, cells = line.split(separator), below.split(separator)
    return len(names) == len(cells) > 1 and any(
        is_number(cell) and not is_number(name) for name, cell in zip(names, cells, strict=True)
    )


def _numbered(text: str, separator: str) -> list[tuple[int, list[str]]]:
    """The rows with the lines that they begin in: a quoted cell may hold several lines."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True, strict=True)
    rows, begun = [], 1
    for row in reader:
        rows.append((begun, row))
        begun = reader.line_num + 1
    return rows


def _decoded(path: Path, notes: list[str]) -> str:
    content = path.read_bytes()
    encoding = next((name for name, heads in _HEADS.items() if content.startswith(heads)), "utf-8")
    if encoding != "utf-16" and b"\0" in content[:4096]:
        raise LastbitError(f"{path} is no table: it holds bytes that are no text")
    try:
        return content.decode(encoding)
    except UnicodeDecodeError:
        notes.append(f"{path} is not UTF-8: it was read as Latin-1.")
        return content.decode("latin-1")


def _unique(names: list[str], path: Path) -> list[str]:
    """The names of the columns; that of an index, which has none, becomes `index`."""
    names = [name or ("index" if at == 0 else f"column {at + 1}") for at, name in enumerate(names)]
    refuse_added(names, path)
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise LastbitError(f"{path} has two columns called {twice[0]!r}: rename one of them")
    return names


def _with_points(column: pl.Series) -> pl.Series:
    """Numbers with a point for the comma before their decimals, where no other cell has a comma."""
    cells = column.drop_nulls()
    numbers = {cell for cell in cells if re.fullmatch(r"-?\d*(,\d+)?(e[+-]?\d+)?\s*%?", cell, re.IGNORECASE)}
    if not numbers or any("," in cell for cell in cells if cell not in numbers):
        return column
    return column.replace({cell: cell.replace(",", ".") for cell in numbers})


def _read_json(path: Path) -> pl.DataFrame:
    """JSON lines, or one JSON list of objects."""
    text = path.read_text(encoding="utf-8-sig", errors="replace")
    if text.lstrip().startswith("["):
        records = _parsed(text, path, 1)
        numbered = list(enumerate(records if isinstance(records, list) else [records], start=1))
    else:
        lines = ((number, line) for number, line in enumerate(text.splitlines(), start=1) if line.strip())
        numbered = [(number, _parsed(line, path, number)) for number, line in lines]
    for number, record in numbered:
        if not isinstance(record, dict):
            raise LastbitError(f'{path}: line {number} is no JSON object such as {{"seed": 1, "acc": 0.9}}')
    if not numbered:
        raise LastbitError(f"{path} is empty")
    if len(numbered) == 1 and any(isinstance(value, list) for value in numbered[0][1].values()):
        raise LastbitError(
            f'{path} is a single object: give a list with one for each run, [{{"seed": 1, "acc": 0.9}}, ...]'
        )
    records = [flat(record) for _, record in numbered]
    refuse_added({name for record in records for name in record}, path)
    return frame_of([{ROW: number, **record} for (number, _), record in zip(numbered, records, strict=True)])


def _parsed(text: str, path: Path, line: int) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise LastbitError(f"{path}: line {line} is no JSON ({error}): lines of JSON hold one object each") from None


def _read_parquet(path: Path) -> pl.DataFrame:
    import polars as pl

    try:
        frame = pl.read_parquet(path)
    except pl.exceptions.PolarsError as error:
        raise LastbitError(f"{path} is no Parquet file: {str(error).splitlines()[0]}") from None
    refuse_added(frame.columns, path)
    return plain_columns(frame)
