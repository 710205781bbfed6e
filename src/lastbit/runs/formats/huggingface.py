"""Hugging Face's Trainer: `trainer_state.json` in an output directory or in its checkpoints."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from lastbit.errors import LastbitError
from lastbit.runs.formats.format import RunFormat
from lastbit.runs.logged import LoggedRun, raw_runs
from lastbit.runs.raw import Asked, RawRuns
from lastbit.storage.files import read_json

_FILE = "trainer_state.json"
_SETTINGS = ("max_steps", "num_train_epochs", "train_batch_size")
_COUNTS = ("step", "epoch")


class TrainerStates(RunFormat):
    """One run for each output directory; of its checkpoints the last has the whole history."""

    kind: ClassVar[str] = "Hugging Face"
    help: ClassVar[str] = "Hugging Face's trainer_state.json"
    rank: ClassVar[int] = 2

    def claims(self, path: Path) -> bool:
        """Whether a directory is a run's output, or a file is a state."""
        if path.is_file():
            return path.name == _FILE
        return path.is_dir() and bool(_states(path))

    def read(self, path: Path, asked: Asked) -> RawRuns:
        """Read the history. A run that stopped before its last step, and was not told to, did not finish."""
        files = [path] if path.is_file() else _states(path)
        states = [(file, _state(file)) for file in files]
        file, state = max(states, key=lambda pair: pair[1].get("global_step", 0))
        settings = {name: state[name] for name in _SETTINGS if isinstance(state.get(name), int | float)}
        run = LoggedRun(str(file.parent if path.is_file() else path), str(file), settings, _ending(state))
        for entry in state["log_history"]:
            for name, value in entry.items():
                # Infinity and NaN are no JSON: the Trainer writes them so all the same, and they are read as null.
                number = float("nan") if value is None else value
                if name not in _COUNTS and isinstance(number, int | float):
                    run.log(asked, name, [float(entry.get("step", 0))], [float(number)])
            asked.on_bytes(0)
        asked.on_bytes(sum(each.stat().st_size for each in files))
        note = (
            "Hugging Face keeps learning rate and seed in training_args.bin, which is Python's pickle and not read: "
            "recipes and seeds are told by the names of the directories."
        )
        return raw_runs([run], asked, notes=[note])


def _states(path: Path) -> list[Path]:
    return sorted(file for file in (path / _FILE, *path.glob(f"checkpoint-*/{_FILE}")) if file.is_file())


def _state(file: Path) -> dict[str, Any]:
    state = read_json(file)
    history = state.get("log_history") if isinstance(state, dict) else None
    if not isinstance(history, list) or not all(isinstance(entry, dict) for entry in history):
        raise LastbitError(f"{file} is no state of a Trainer: it has no log_history")
    return dict(state)


def _ending(state: dict[str, Any]) -> str:
    control = (state.get("stateful_callbacks") or {}).get("TrainerControl") or {}
    stopped = bool((control.get("args") or {}).get("should_training_stop"))
    return "finished" if stopped or state.get("global_step", 0) >= state.get("max_steps", 0) else "unfinished"
