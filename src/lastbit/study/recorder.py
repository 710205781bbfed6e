"""What a trial writes into its directory while it runs, and how far the trials in progress are."""

from __future__ import annotations

import json
import math
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import save
from torch import Tensor, nn

from lastbit.errors import LastbitError, LastbitTypeError
from lastbit.noise import Noise
from lastbit.storage.checkpoint import DIRECTORY, Checkpoint, read_checkpoint, sync_files, write_checkpoint
from lastbit.storage.directories import RUNNING
from lastbit.storage.files import sha256, to_json
from lastbit.study.trial import Trial
from lastbit.tensors import plain

PREDICTIONS = "predictions.safetensors"
METRICS = "metrics.jsonl"
WEIGHTS = "weights"
STEP = "step"  # in each line of them: after how many updates, and so no name for a metric
_TAIL = 4096  # bytes from the end of a file of metrics, which hold its last line


def weights_file(step: int) -> str:
    """Where the weights after `step` updates are, below the trial's directory."""
    return f"{WEIGHTS}/{int(step):09d}.safetensors"


class Recorder:
    """A running trial's seeds, noise, and the place for its results: what a training function is given."""

    def __init__(self, trial: Trial, directory: Path) -> None:
        self.seed: int = trial.seed
        self._seeds, self.has_read_seeds = dict(trial.seeds), False
        self.noise: Noise = trial.noise
        self.diverged_at: int | None = None  # step of the first loss that was not finite
        self.directory = directory
        self.step = 0  # updates so far, by what was logged: the default step of `log`
        (directory / WEIGHTS).mkdir(parents=True, exist_ok=True)
        (directory / METRICS).touch()
        self._sums: dict[str, str] = {}  # of weights and predictions kept so far
        self._fresh = not (directory / DIRECTORY).exists()  # whether nothing of an earlier attempt is in the way

    @property
    def seeds(self) -> dict[str, int]:
        """The seed of each source of randomness, in a study that varies them; empty in others."""
        self.has_read_seeds = True
        return self._seeds

    @property
    def is_empty(self) -> bool:
        """Whether nothing has been logged, kept or taken up so far."""
        return not (
            self._results() or (self.directory / METRICS).stat().st_size or (self.directory / DIRECTORY).exists()
        )

    def log(self, step: int | None = None, **metrics: float) -> None:
        """Record numbers that belong to the state after `step` updates; what is not finite is stored as null.

        Args:
            step: after how many updates; by default the step that was logged or kept last.
            metrics: numbers by name. The last one of each name is the trial's final value.

        Raises:
            LastbitTypeError: a metric that is not a number.
        """
        self._begin()
        self.step = self.step if step is None else int(step)
        row = {name: _number(name, value) for name, value in metrics.items()}
        with (self.directory / METRICS).open("a", encoding="utf-8") as file:
            file.write(to_json({STEP: self.step, **row}, sort_keys=False) + "\n")  # the first one counts as such

    def snapshot(self, step: int, weights: Mapping[str, Tensor] | nn.Module) -> None:
        """Keep the weights after `step` updates, for comparing runs: a network, or name -> tensor."""
        named = dict(weights.named_parameters()) if isinstance(weights, nn.Module) else weights
        self.step = int(step)
        self._store(weights_file(step), named)

    def log_predictions(self, labels: Tensor, targets: Tensor | None = None) -> None:
        """Keep the final predictions of the test set, of which churn is computed.

        Args:
            labels: predicted, in the same order in every run, shape (examples,).
            targets: the true labels, shape (examples,). With them a comparison counts example by example who is right,
                and knows that two studies share a test set.

        Raises:
            LastbitError: the shapes differ.
        """
        if targets is not None and targets.shape != labels.shape:
            raise LastbitError(
                f"log_predictions: labels have shape {tuple(labels.shape)} and targets {tuple(targets.shape)}; "
                "each example has one of each"
            )
        self._store(PREDICTIONS, {"labels": labels} if targets is None else {"labels": labels, "targets": targets})

    def mark_diverged(self, step: int) -> None:
        """Say that the loss stopped being finite at `step`; a result, not an error."""
        self.diverged_at = int(step)

    def save_checkpoint(self, step: int, state: Any) -> None:
        """Keep all that the training needs to go on from here, in place of an earlier checkpoint.

        If the trial is killed, the next attempt finds it with `load_checkpoint`; a finished trial keeps none.

        Args:
            step: updates so far; all they gave must be logged and kept already.
            state: a nest of dict, list, tuple, tensors, numbers, texts and None, such as state dictionaries.

        Raises:
            LastbitTypeError: something else is in the nest.
        """
        sync_files(self.directory)
        logged = sha256((self.directory / METRICS).read_bytes())
        extra = {"files": {**self._sums, METRICS: logged}, "logged": (self.directory / METRICS).stat().st_size}
        write_checkpoint(self.directory / DIRECTORY, int(step), state, extra=extra)

    def load_checkpoint(self) -> Checkpoint | None:
        """The checkpoint of an earlier, killed attempt, to be loaded before the first update; None where there is none.

        What that attempt logged and kept after it is dropped, since it will come again.
        """
        checkpoint = read_checkpoint(self.directory / DIRECTORY)
        if checkpoint is None or not self._go_back(checkpoint[1]):
            self._drop()
            return None
        self._fresh, self.step = True, checkpoint[0].step
        self.has_read_seeds = True  # what the earlier attempt made of them may be in the checkpoint
        return checkpoint[0]

    def _go_back(self, then: Mapping[str, Any]) -> bool:
        """Bring the files back to what they were at a checkpoint; False where they are not those any more."""
        os.truncate(self.directory / METRICS, then["logged"])
        for file in self._results():
            if file.relative_to(self.directory).as_posix() not in then["files"]:
                file.unlink()
        self._sums = {name: sum_ for name, sum_ in then["files"].items() if name != METRICS}
        return all(_has(self.directory / name, sum_) for name, sum_ in then["files"].items())

    def _drop(self) -> None:
        """Begin anew, without what an earlier attempt left."""
        shutil.rmtree(self.directory / DIRECTORY, ignore_errors=True)
        for file in self._results():
            file.unlink()
        os.truncate(self.directory / METRICS, 0)
        self._sums, self._fresh = {}, True

    def _results(self) -> list[Path]:
        return [*self.directory.glob("weights/*"), *self.directory.glob(PREDICTIONS)]

    def _store(self, name: str, tensors: Mapping[str, Tensor]) -> None:
        self._begin()
        content = save({key: plain(tensor) for key, tensor in tensors.items()})
        (self.directory / name).write_bytes(content)
        self._sums[name] = sha256(content)

    def _begin(self) -> None:
        """Before the first result: a training that did not ask for its checkpoint starts from nothing."""
        if not self._fresh:
            self._drop()


def _has(path: Path, checksum: str) -> bool:
    return path.is_file() and sha256(path.read_bytes()) == checksum


def _number(name: str, value: float) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise LastbitTypeError(f"log({name}={value!r}): a metric is a number") from None
    # An integral count such as the epoch reads better as 3 than as 3.0.
    return int(number) if isinstance(value, int) and math.isfinite(number) else number


@dataclass(frozen=True)
class Underway:
    """The trials in progress of which something has been logged."""

    epochs: tuple[int, ...]  # of each that logs its epoch
    steps: tuple[int, ...]  # of each that does not
    of: int | None = None  # epochs of a whole training

    @property
    def share(self) -> float:
        """How many whole trainings they come to, where the number of epochs is known."""
        return sum(min(1.0, epoch / self.of) for epoch in self.epochs) if self.of else 0.0

    def __str__(self) -> str:
        total = f" of {self.of}" if self.of else ""
        if self.epochs:
            return f"epoch {_range(self.epochs)}{total} in progress"
        return f"step {_range(self.steps)} in progress" if self.steps else ""


def underway(root: Path, *, epochs: object) -> Underway:
    """Look at what a study's trials in progress have logged last.

    Args:
        root: the study's directory.
        epochs: of a whole training, as its settings have it; something else than a number where they have none.
    """
    last = [row for path in sorted((root / RUNNING).glob(f"*/{METRICS}")) if (row := _last_row(path))]
    of = epochs if isinstance(epochs, int) and epochs > 0 else None
    by_epoch = tuple(int(row["epoch"]) for row in last if isinstance(row.get("epoch"), int | float))
    by_step = tuple(int(row[STEP]) for row in last if "epoch" not in row and isinstance(row.get(STEP), int | float))
    return Underway(by_epoch, by_step, of)


def _last_row(path: Path) -> dict[str, Any] | None:
    """The last whole line of a file that is being written; None where there is none."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _TAIL))
            lines = file.read().split(b"\n")[:-1]
        row = json.loads(lines[-1]) if lines else None
    except (OSError, ValueError):  # it was moved, or is longer than what is read
        return None
    return row if isinstance(row, dict) else None


def _range(numbers: tuple[int, ...]) -> str:
    low, high = min(numbers), max(numbers)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"
