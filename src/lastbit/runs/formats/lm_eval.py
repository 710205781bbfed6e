"""lm-evaluation-harness: `results_*.json`, with each example's score in `samples_*.jsonl` beside it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

from lastbit.errors import LastbitError
from lastbit.runs.formats.format import RunFormat
from lastbit.runs.logged import LoggedRun, raw_runs
from lastbit.runs.raw import EXAMPLE, FILE, TASK, Asked, RawRuns, frame_of
from lastbit.storage.files import read_json

_SETTINGS = ("model", "model_args", "limit", "gen_kwargs", "system_instruction", "chat_template_sha")
_SEEDS = ("random_seed", "numpy_seed", "torch_seed", "fewshot_seed")


class LmEvalResults(RunFormat):
    """One run for each file of results, with a value for each task."""

    kind: ClassVar[str] = "lm-evaluation-harness"
    help: ClassVar[str] = "lm-evaluation-harness results"

    companions: ClassVar[tuple[str, ...]] = ("samples_*.jsonl",)

    def claims(self, path: Path) -> bool:
        """Whether a file is called as the harness calls its results."""
        return path.name.startswith("results_") and path.suffix == ".json" and path.is_file()

    def read(self, path: Path, asked: Asked) -> RawRuns:
        """Read each task's metrics, their direction as the harness states it, and the examples' scores.

        Raises:
            LastbitError: the file holds no results of the harness.
        """
        content = read_json(path)
        if not isinstance(content, dict) or not isinstance(content.get("results"), dict):
            raise LastbitError(f"{path} holds no results of lm-evaluation-harness")
        config = content.get("config") or {}
        settings = {name: config.get(name, content.get(name)) for name in (*_SETTINGS, *_SEEDS)}
        groups = set(content.get("groups") or {})  # means over tasks, which are no tasks
        runs = []
        for task, results in content["results"].items():
            run = LoggedRun(str(config.get("model") or path.parent), str(path), settings, task=task)
            for name, value in _metrics(results):
                run.log(asked, name, [0], [value])
            if run.metrics and task not in groups:
                runs.append(run)
        asked.on_bytes(path.stat().st_size)
        return raw_runs(runs, asked, examples=_examples(path, asked), stated=_stated(content))


def _metrics(results: dict[str, Any]) -> Iterator[tuple[str, float]]:
    """The metrics of a task: `acc,none` is `acc`; the name of any other filter stays."""
    for name, value in results.items():
        if "," in name and "_stderr," not in name and isinstance(value, int | float):
            yield name.removesuffix(",none"), float(value)


def _stated(content: dict[str, Any]) -> dict[str, bool]:
    """Whether less of each metric is better, where all tasks agree."""
    said: dict[str, set[bool]] = {}
    for metrics in (content.get("higher_is_better") or {}).values():
        for name, higher in (metrics or {}).items():
            if isinstance(higher, bool):
                said.setdefault(name, set()).add(not higher)
    return {name: lower.pop() for name, lower in said.items() if len(lower) == 1}


def _examples(path: Path, asked: Asked) -> Any:
    """The scores of all examples of a run, as a frame with a row each; None where none were logged."""
    date = path.stem.removeprefix("results_")
    records = []
    for file in sorted(path.parent.glob(f"samples_*_{date}.jsonl")):
        task = file.stem.removeprefix("samples_").removesuffix(f"_{date}")
        with file.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                records.append(_example(line, file, number) | {FILE: str(path), TASK: task})
                asked.on_bytes(len(line))
    return frame_of(records) if records else None


def _example(line: str, file: Path, number: int) -> dict[str, Any]:
    try:
        sample = json.loads(line)
        names = sample.get("metrics") or []
        filtered = sample.get("filter", "none")
        scores = {name: sample.get(name) for name in names}
        return {EXAMPLE: str(sample["doc_id"])} | {
            name if filtered == "none" else f"{name},{filtered}": float(score)
            for name, score in scores.items()
            if isinstance(score, int | float)
        }
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise LastbitError(f"{file} is damaged: line {number} is no sample of lm-evaluation-harness") from None
