"""Weights & Biases: offline runs, and what its pages export as CSV.

An offline run is a log of LevelDB's form (https://github.com/google/leveldb/blob/main/doc/log_format.md) whose records
are `wandb_internal.Record` messages. Exported are the table of runs, and a panel's curves, one column for each run.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import lastbit.runs.wire as wire
from lastbit.errors import LastbitError
from lastbit.runs.formats.format import RunFormat
from lastbit.runs.formats.tables import read_delimited
from lastbit.runs.logged import LoggedRun, raw_runs
from lastbit.runs.numbers import as_numbers
from lastbit.runs.raw import FILE, ROW, RUN, STATE, Asked, RawRuns, flat, frame_of

if TYPE_CHECKING:
    import polars as pl

_BLOCK = 2**15
_FILE_HEAD = b":W&B"
_CURVE = re.compile(r"(?P<run>.+) - (?P<metric>.+?)(?P<bound>__MIN|__MAX)?")
_PAGE_COLUMNS = {"Name", "State", "Created", "Runtime", "Sweep", "Notes", "User", "Tags", "ID", "Group", "Job Type"}


class WandbOffline(RunFormat):
    """Runs of `WANDB_MODE=offline`, and the local copies of those that were uploaded."""

    kind: ClassVar[str] = "W&B run"
    help: ClassVar[str] = "W&B's runs (wandb/)"

    def claims(self, path: Path) -> bool:
        """Whether a file is a run's log, by its name."""
        return path.name.startswith("run-") and path.suffix == ".wandb" and path.is_file()

    def read(self, path: Path, asked: Asked) -> RawRuns:
        """Read settings, histories and how the run ended; one without an end did not finish.

        Raises:
            LastbitError: the file is no run of W&B.
        """
        run = LoggedRun(path.stem.removeprefix("run-"), str(path), state="unfinished")
        content = path.read_bytes()
        histories: dict[str, tuple[list[int], list[float]]] = {}
        try:
            for record in _records(content, path):
                for number, value in wire.fields(record):
                    _take(number, value, run, histories)
        except LastbitError as error:
            raise LastbitError(f"{path} is damaged: {error}") from None
        for name, (steps, values) in histories.items():
            run.log(asked, name, steps, values)
        asked.on_bytes(len(content))
        return raw_runs([run], asked)


def _records(content: bytes, path: Path) -> Iterator[bytes]:
    """The records of a log; one that was cut short at the end is passed over."""
    if content[:4] != _FILE_HEAD:
        raise LastbitError("it does not begin as W&B's logs do")
    at, pieces = 7, b""
    while at + 7 <= len(content):
        left = _BLOCK - at % _BLOCK
        if left < 7:  # too little for a header: the rest of the block is empty
            at += left
            continue
        length, kind = int.from_bytes(content[at + 4 : at + 6], "little"), content[at + 6]
        piece = content[at + 7 : at + 7 + length]
        at += 7 + length
        if kind == 0 or len(piece) < length:
            return
        pieces = piece if kind in (1, 2) else pieces + piece
        if kind in (1, 4):  # whole, or the last of several pieces
            yield pieces


def _take(number: int, value: wire.Value, run: LoggedRun, histories: dict[str, tuple[list[int], list[float]]]) -> None:
    """Take in one part of a Record, by its number in `wandb_internal.proto`."""
    if number == 17:  # RunRecord
        for field, content in wire.fields(wire.message(value)):
            if field == 8:
                run.name = wire.text(content) or run.name
            elif field == 4:
                run.settings = {**run.settings, **_config(wire.message(content))}
    elif number == 5:
        run.settings = {**run.settings, **_config(wire.message(value))}
    elif number == 2:
        _history(wire.message(value), histories)
    elif number == 18:
        codes = [content for field, content in wire.fields(wire.message(value)) if field == 1]
        run.state = "failed" if any(codes) else "finished"


def _config(message: bytes) -> dict[str, Any]:
    """A ConfigRecord: settings as the script gave them; W&B's own stand under `_wandb`."""
    items = (_item(wire.message(item)) for field, item in wire.fields(message) if field == 1)
    return {name: value for name, value in items if not name.startswith("_")}


def _history(message: bytes, histories: dict[str, tuple[list[int], list[float]]]) -> None:
    step, values = 0, dict[str, Any]()
    for field, content in wire.fields(message):
        if field == 1:
            name, value = _item(wire.message(content))
            values[name] = value
        elif field == 2:
            step = next((wire.signed(number) for part, number in wire.fields(wire.message(content)) if part == 1), 0)
    step = values.get("_step", step)
    for name, value in flat(values).items():
        if not name.startswith("_") and isinstance(value, int | float) and not isinstance(value, bool):
            steps, numbers = histories.setdefault(name, ([], []))
            steps.append(step)
            numbers.append(float(value))


def _item(message: bytes) -> tuple[str, Any]:
    """An item of a config, history or summary; NaN and infinity are written as text."""
    keys, value = list[str](), None
    for field, content in wire.fields(message):
        if field in (1, 2):
            keys.append(wire.text(content))
        elif field == 16:
            value = json.loads(wire.message(content))
    infinite = isinstance(value, str) and value in ("NaN", "Infinity", "-Infinity")
    return ".".join(filter(None, keys)), float(value) if infinite else value  # type: ignore[arg-type]


class WandbExport(RunFormat):
    """A CSV that W&B's page wrote: its table of runs, or the curves of a panel; or its API, as its manual shows."""

    kind: ClassVar[str] = "W&B export"
    help: ClassVar[str] = "W&B's CSV exports"
    rank: ClassVar[int] = 8

    def claims(self, path: Path) -> bool:
        """Whether the first line of a CSV has the columns that W&B gives it."""
        if path.suffix.lower() != ".csv" or not path.is_file():
            return False
        with path.open(encoding="utf-8-sig", errors="replace") as file:
            names = [name.strip(' "\r\n') for name in file.readline(2**20).split(",")]
        curves = [match for name in names[1:] if (match := _CURVE.fullmatch(name))]
        is_panel = bool(curves) and any(match["bound"] for match in curves)
        return is_panel or len(_PAGE_COLUMNS & set(names)) >= 3 or {"summary", "config", "name"} <= set(names)

    def read(self, path: Path, asked: Asked) -> RawRuns:
        """Read one of the three."""
        notes: list[str] = []
        frame = read_delimited(path, notes)
        asked.on_bytes(path.stat().st_size)
        if {"summary", "config", "name"} <= set(frame.columns):
            return _of_api(frame, path, asked, notes)
        if _PAGE_COLUMNS & set(frame.columns):
            return _of_page(frame, path, notes)
        return _of_panel(frame, path, asked, notes)


def _of_page(frame: pl.DataFrame, path: Path, notes: list[str]) -> RawRuns:
    import polars as pl

    frame = frame.rename({old: new for old, new in (("Name", RUN), ("State", STATE)) if old in frame.columns})
    frame = frame.drop(_PAGE_COLUMNS - {"Group"}, strict=False)
    return RawRuns(frame.with_columns(pl.lit(str(path)).alias(FILE)), notes=tuple(notes))


def _of_panel(frame: pl.DataFrame, path: Path, asked: Asked, notes: list[str]) -> RawRuns:
    """Curves: a column of steps, and for each run one of values and those of the smallest and largest within a step."""
    runs: dict[str, LoggedRun] = {}
    step = next((name for name in frame.columns if name not in (ROW,) and not _CURVE.fullmatch(name)), None)
    if step is None:
        raise LastbitError(f"{path} has curves of W&B and no column of steps")
    for name in frame.columns:
        match = _CURVE.fullmatch(name)
        if match and not match["bound"]:
            curve = frame.drop_nulls(name)
            run = runs.setdefault(match["run"], LoggedRun(match["run"], str(path)))
            if curve.height:
                run.log(asked, match["metric"], as_numbers(curve, step).to_numpy(), as_numbers(curve, name).to_numpy())
    return raw_runs(runs.values(), asked, notes=notes)


def _of_api(frame: pl.DataFrame, path: Path, asked: Asked, notes: list[str]) -> RawRuns:
    """Columns that hold Python's dictionaries as text."""
    records, settings, metrics = [], dict[str, None](), dict[str, None]()
    for row in frame.iter_rows(named=True):
        config, summary = _literal(row["config"], path, row[ROW]), _literal(row["summary"], path, row[ROW])
        numbers = {name: value for name, value in flat(summary).items() if not name.startswith("_")}
        shown = {f"config.{name}" if name in numbers else name: value for name, value in flat(config).items()}
        settings |= dict.fromkeys(shown)
        metrics |= dict.fromkeys(name for name, value in numbers.items() if isinstance(value, int | float))
        records.append({**shown, **numbers, RUN: row["name"], ROW: row[ROW], FILE: str(path)})
    return RawRuns(frame_of(records), tuple(settings), tuple(metrics), notes=tuple(notes))


def _literal(text: str | None, path: Path, row: int) -> dict[str, Any]:
    # repr writes nan and inf as names, which are no literals; 1e999 is one of infinity.
    text = re.sub(
        r"(?<=[\s:\[])(-?)inf(?=[,}\]])", r"\g<1>1e999", re.sub(r"(?<=[\s:\[])nan(?=[,}\]])", "None", text or "{}")
    )
    with suppress(ValueError, SyntaxError, RecursionError, MemoryError):
        value = ast.literal_eval(text)
        if isinstance(value, dict):
            return value
    raise LastbitError(f"{path}: row {row} has no dictionary in its columns summary and config")
