"""trackio's databases: a SQLite file for each project, by default in `~/.cache/huggingface/trackio`."""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, ClassVar

from lastbit.errors import LastbitError
from lastbit.runs.formats.format import RunFormat
from lastbit.runs.logged import LoggedRun, raw_runs
from lastbit.runs.raw import Asked, RawRuns, flat
from lastbit.runs.sqlite import object_of, opened, tables_of


class TrackioDatabase(RunFormat):
    """The runs of a project. trackio does not note whether a run failed."""

    kind: ClassVar[str] = "trackio"
    help: ClassVar[str] = "trackio's databases (.db)"

    def claims(self, path: Path) -> bool:
        """Whether a file is a database with trackio's tables."""
        return {"metrics", "configs", "system_metrics"} <= tables_of(path)

    def read(self, path: Path, asked: Asked) -> RawRuns:
        """Read all runs; those of versions before 0.24 are told apart by their names.

        Raises:
            LastbitError: it is no database of trackio.
        """
        try:
            with closing(opened(path)) as database:
                columns = {column[1] for column in database.execute("PRAGMA table_info(metrics)")}
                key = "run_id" if "run_id" in columns else "run_name"
                runs = dict(_configured(database, key, path))
                histories = _histories(database, key, runs, path)
        except sqlite3.Error as error:
            raise LastbitError(f"{path} cannot be read as trackio's database: {error}") from None
        for (identity, name), (steps, values) in histories.items():
            runs[identity].log(asked, name, steps, values)
        asked.on_bytes(path.stat().st_size)
        return raw_runs(runs.values(), asked)


def _configured(database: sqlite3.Connection, key: str, path: Path) -> Iterator[tuple[str, LoggedRun]]:
    configs = {}
    for identity, config in database.execute(f"SELECT {key}, config FROM configs"):
        settings = object_of(config, path)
        configs[identity] = {name: value for name, value in settings.items() if not name.startswith("_")}
    for identity, name in database.execute(f"SELECT {key}, MIN(run_name) FROM metrics GROUP BY {key} ORDER BY MIN(id)"):
        yield identity, LoggedRun(name, str(path), configs.get(identity, {}))


def _histories(
    database: sqlite3.Connection, key: str, runs: dict[str, LoggedRun], path: Path
) -> dict[tuple[str, str], tuple[list[int], list[float]]]:
    """Steps and values by run and metric; numbers that are not finite stand as text."""
    histories = defaultdict[tuple[str, str], tuple[list[int], list[float]]](lambda: ([], []))
    for identity, step, metrics in database.execute(f"SELECT {key}, step, metrics FROM metrics ORDER BY id"):
        for name, value in flat(json.loads(metrics)).items():
            number = _number(value)
            if number is not None and identity in runs:
                steps, values = histories[identity, name]
                steps.append(step)
                values.append(number)
    return histories


def _number(value: Any) -> float | None:
    if isinstance(value, str):
        return float(value) if value in ("NaN", "Infinity", "-Infinity") else None
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
