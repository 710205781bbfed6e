"""Databases of SQLite that trackers wrote: opened for reading alone, and told apart by their tables."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from lastbit.errors import LastbitError
from lastbit.storage.limits import parse_json

_HEAD = b"SQLite format 3\0"


def opened(path: Path) -> sqlite3.Connection:
    """A connection that can change nothing.

    A database whose tracker is still writing has a file `-wal` beside it, which is read as well; SQLite then needs to
    write beside it. Where there is none, nothing is written.

    Raises:
        sqlite3.Error: it is damaged or locked.
    """
    log = path.with_name(f"{path.name}-wal")
    still = "" if log.is_file() and log.stat().st_size else "&immutable=1"
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro{still}", uri=True)


def is_database(path: Path) -> bool:
    """Whether a file begins as SQLite's do."""
    with path.open("rb") as file:
        return file.read(len(_HEAD)) == _HEAD


def tables_of(path: Path) -> set[str]:
    """The names of a database's tables; empty for a file that is none."""
    try:
        if not path.is_file() or not is_database(path):
            return set()
        with closing(opened(path)) as database:
            return {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    except (sqlite3.Error, OSError, ValueError):
        return set()


def object_of(cell: str | bytes, path: Path) -> Mapping[str, Any]:
    """A JSON object in a cell.

    Raises:
        LastbitError: it is none.
    """
    content = cell.encode() if isinstance(cell, str) else bytes(cell)
    value = parse_json(content, path)
    if not isinstance(value, dict):
        raise LastbitError(f"{path} is damaged: a cell holds no JSON object")
    return value
