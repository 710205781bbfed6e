"""MLflow's stores: the folders of `mlruns/`, and the SQLite database that it uses by default since version 3.

https://mlflow.org/docs/latest/self-hosting/architecture/backend-store/
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, ClassVar

from lastbit.errors import LastbitError
from lastbit.runs.formats.format import RunFormat
from lastbit.runs.logged import LoggedRun, raw_runs
from lastbit.runs.raw import Asked, RawRuns
from lastbit.runs.sqlite import opened, tables_of
from lastbit.storage.limits import MOST_RECIPE, read_limited

_STATES = {1: "running", 2: "scheduled", 3: "finished", 4: "failed", 5: "killed"}


class MlflowFiles(RunFormat):
    """The file store: a folder for each experiment, in it one for each run."""

    kind: ClassVar[str] = "MLflow"
    help: ClassVar[str] = "MLflow's runs (mlruns/)"

    def claims(self, path: Path) -> bool:
        """Whether a directory is a run's: it has its `meta.yaml`, `metrics` and `params`."""
        return (path / "meta.yaml").is_file() and (path / "metrics").is_dir() and (path / "params").is_dir()

    def read(self, path: Path, asked: Asked) -> RawRuns:
        """Read a run; one that was deleted is passed over."""
        meta = _meta(path / "meta.yaml")
        if str(meta.get("lifecycle_stage", "active")) != "active":
            return raw_runs([], asked)
        tag = path / "tags" / "mlflow.runName"
        name = _text(tag) if tag.is_file() else str(meta.get("run_name") or path.name)
        status = meta.get("status")
        state = _STATES.get(status) if isinstance(status, int) else str(status).lower()
        settings = {key: _text(file) for key, file in _files(path / "params")}
        experiment = path.parent / "meta.yaml"
        if experiment.is_file():
            settings["experiment"] = str(_meta(experiment).get("name"))
        run = LoggedRun(name, str(path), settings, state)
        for key, file in _files(path / "metrics"):
            steps, values = _history(file)
            run.log(asked, key, steps, values)
            asked.on_bytes(file.stat().st_size)
        return raw_runs([run], asked)


def _files(folder: Path) -> list[tuple[str, Path]]:
    """The files below a folder with their keys: a key with a slash stands in a folder of its own."""
    return [(file.relative_to(folder).as_posix(), file) for file in sorted(folder.rglob("*")) if file.is_file()]


def _text(file: Path) -> str:
    return read_limited(file, MOST_RECIPE).decode("utf-8", errors="replace").strip()


def _meta(file: Path) -> dict[str, Any]:
    import yaml

    try:
        # The loader in C is ten times as fast; not every installation has it.
        meta = yaml.load(_text(file), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise LastbitError(f"{file} is no YAML: {str(error).splitlines()[0]}") from None
    return meta if isinstance(meta, dict) else {}


def _history(file: Path) -> tuple[list[float], list[float]]:
    """A metric's lines: time, value and step; files of early versions have no step."""
    steps, values = list[float](), list[float]()
    with file.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            parts = line.split()
            try:
                values.append(float(parts[1]))
                steps.append(float(parts[2]) if len(parts) > 2 else 0.0)
            except (IndexError, ValueError):
                raise LastbitError(f"{file} is damaged: line {number} is no time, value and step") from None
    return steps, values


class MlflowDatabase(RunFormat):
    """The SQLite store."""

    kind: ClassVar[str] = "MLflow database"
    help: ClassVar[str] = "MLflow's database (mlflow.db)"

    def claims(self, path: Path) -> bool:
        """Whether a file is a database with MLflow's tables."""
        return {"runs", "params", "metrics", "experiments"} <= tables_of(path)

    def read(self, path: Path, asked: Asked) -> RawRuns:
        """Read all runs that were not deleted.

        Raises:
            LastbitError: it is no database of MLflow.
        """
        try:
            with closing(opened(path)) as database:
                runs = dict(_runs(database, path))
                _metrics(database, runs, asked)
        except sqlite3.Error as error:
            raise LastbitError(f"{path} cannot be read as MLflow's database: {error}") from None
        asked.on_bytes(path.stat().st_size)
        return raw_runs(runs.values(), asked)


def _runs(database: sqlite3.Connection, path: Path) -> Iterator[tuple[str, LoggedRun]]:
    params = defaultdict[str, dict[str, Any]](dict)
    for identity, key, value in database.execute("SELECT run_uuid, key, value FROM params"):
        params[identity][key] = value
    names = dict(database.execute("SELECT run_uuid, value FROM tags WHERE key = 'mlflow.runName'"))
    query = (
        "SELECT run_uuid, runs.name, status, experiments.name FROM runs JOIN experiments USING (experiment_id) "
        "WHERE runs.lifecycle_stage = 'active' AND experiments.lifecycle_stage = 'active' ORDER BY start_time"
    )
    for identity, name, status, experiment in database.execute(query):
        settings = {**params[identity], "experiment": experiment}
        yield identity, LoggedRun(names.get(identity) or name or identity, str(path), settings, str(status).lower())


def _metrics(database: sqlite3.Connection, runs: dict[str, LoggedRun], asked: Asked) -> None:
    query = "SELECT run_uuid, key, step, value, is_nan FROM metrics ORDER BY run_uuid, key, timestamp"
    histories = defaultdict[tuple[str, str], tuple[list[float], list[float]]](lambda: ([], []))
    for identity, key, step, value, is_nan in database.execute(query):
        if identity in runs:
            steps, values = histories[identity, key]
            steps.append(step)
            values.append(float("nan") if is_nan else value)
    for (identity, key), (steps, values) in histories.items():
        runs[identity].log(asked, key, steps, values)
