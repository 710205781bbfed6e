"""Lightning's CSV logger: `metrics.csv`, with `hparams.yaml` beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from lastbit.runs.columns import step_column
from lastbit.runs.formats.format import RunFormat
from lastbit.runs.formats.tables import read_delimited
from lastbit.runs.logged import LoggedRun, raw_runs
from lastbit.runs.numbers import are_numbers, as_numbers
from lastbit.runs.raw import FILE, ROW, Asked, RawRuns
from lastbit.storage.limits import MOST_RECIPE, read_limited

_COUNTS = ("epoch", "step")


class LightningLog(RunFormat):
    """One run for each `metrics.csv`; a row has a value for some of the metrics."""

    kind: ClassVar[str] = "Lightning"
    help: ClassVar[str] = "Lightning's metrics.csv"
    rank: ClassVar[int] = 1

    def claims(self, path: Path) -> bool:
        """Whether a directory holds a `metrics.csv`, or a file is one, with a column `epoch` or `step`."""
        file = path / "metrics.csv" if path.is_dir() else path
        if file.name != "metrics.csv" or not file.is_file():
            return False
        with file.open(encoding="utf-8", errors="replace") as lines:
            return bool({"epoch", "step"} & set(lines.readline(2**20).strip().split(",")))

    def read(self, path: Path, asked: Asked) -> RawRuns:
        """Read all metrics, and the hyperparameters that were saved."""
        import polars as pl

        file = path / "metrics.csv" if path.is_dir() else path
        notes: list[str] = []
        frame = read_delimited(file, notes).with_columns(pl.lit(str(file)).alias(FILE))
        run = LoggedRun(str(file.parent), str(file), _hyperparameters(file.parent / "hparams.yaml", notes))
        counted = step_column(frame.columns) or "epoch"
        for name in frame.columns:
            if name not in (*_COUNTS, ROW, FILE) and (name == asked.metric or are_numbers(frame[name])):
                rows = frame.drop_nulls(name)
                run.log(asked, name, as_numbers(rows, counted).to_numpy(), as_numbers(rows, name).to_numpy())
        asked.on_bytes(file.stat().st_size)
        return raw_runs([run], asked, notes=notes)


def _hyperparameters(file: Path, notes: list[str]) -> dict[str, Any]:
    """Plain values alone: whatever of Python's own Lightning wrote is never made again."""
    import yaml

    if not file.is_file():
        return {}
    try:
        node = yaml.compose(read_limited(file, MOST_RECIPE).decode("utf-8", errors="replace"), Loader=yaml.SafeLoader)
        return dict(_plain(node)) if isinstance(node, yaml.MappingNode) else {}
    except (yaml.YAMLError, RecursionError):
        notes.append(f"{file} is no YAML: its hyperparameters are not known.")
        return {}


def _plain(node: Any) -> dict[str, Any]:
    """The plain values of a mapping, nested ones with theirs."""
    import yaml

    values: dict[str, Any] = {}
    for key, value in node.value:
        if isinstance(value, yaml.MappingNode):
            values[str(key.value)] = _plain(value)
        elif isinstance(value, yaml.ScalarNode):
            is_plain = value.tag.startswith("tag:yaml.org,2002:") and "python" not in value.tag
            values[str(key.value)] = yaml.safe_load(value.value) if is_plain and value.style is None else value.value
        else:
            values[str(key.value)] = str([getattr(item, "value", "") for item in value.value])
    return values
