"""A study's directory: `study.json`, and under `trials/` one directory for each finished trial, complete or absent.

study.json                      settings, noises, seeds
trials/ID/trial.json            the trial and the arithmetic it ran on
trials/ID/metrics.jsonl         one line for each log call
trials/ID/weights/STEP.safetensors
trials/ID/predictions.safetensors
trials/ID/output/               what a script wrote, and metrics found in it; no part of the digest
trials/ID/done.json             how it ended and a checksum of every other file; written last
running/ID                      a trial in progress; of no meaning after a crash
failed/ID/failure.json          how a trial failed when it was last tried; beside it, what a script wrote
"""

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor

from lastbit.files import read_json, sha256, sync_directory, to_json, write_atomically
from lastbit.study.failure import Failure
from lastbit.study.fingerprint import Fingerprint
from lastbit.study.recorder import METRICS, PREDICTIONS, Recorder
from lastbit.study.trial import Trial

DIVERGED, FINISHED = "diverged", "finished"
FAILED = "failed"  # of a trial that is not stored, in the results
OUTPUT = "output"
FAILURE = "failure.json"
FOUND = f"{OUTPUT}/found.jsonl"  # metrics found in a script's output afterwards, one line each; may be found again


@dataclass(frozen=True)
class StoredTrial:
    """A finished trial on disk."""

    directory: Path
    status: str  # `finished` or `diverged`
    diverged_at: int | None  # step of the first loss that was not finite
    digest: str  # hash of every metric, weight and prediction: equal digests mean bit-identical runs
    metrics: list[dict[str, Any]]  # one for each log call, in order, and then those found in a script's output
    fingerprint: Fingerprint

    def final(self, metric: str) -> float | None:
        """The last value logged under this name; None where there is none or it was not finite."""
        values = [row[metric] for row in self.metrics if metric in row]
        return values[-1] if values and self.status == FINISHED else None

    def weights(self, step: int) -> dict[str, Tensor]:
        """Weights after `step` updates, by name."""
        return load_file(self.directory / "weights" / f"{step:09d}.safetensors")

    def weight_shapes(self, step: int) -> dict[str, tuple[int, ...]]:
        """Shapes of the weights after `step` updates, by name, without reading the weights."""
        with safe_open(self.directory / "weights" / f"{step:09d}.safetensors", "pt") as file:
            return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118

    def weight_steps(self) -> list[int]:
        """Steps whose weights were kept, ascending."""
        return sorted(int(file.stem) for file in (self.directory / "weights").glob("*.safetensors"))

    def predictions(self) -> Tensor | None:
        """Final predicted labels (examples,), or None where none were saved."""
        path = self.directory / PREDICTIONS
        return load_file(path)["labels"] if path.exists() else None

    def targets(self) -> Tensor | None:
        """True labels (examples,) of the predicted examples, or None where none were saved."""
        path = self.directory / PREDICTIONS
        return load_file(path).get("targets") if path.exists() else None


class Store:
    """Reads and writes a study's directory."""

    def __init__(self, root: Path) -> None:
        self.root = Path(root)

    def claim(self, study: Mapping[str, Any]) -> None:
        """Make the directory this study's, or go on with it.

        Raises:
            ValueError: it holds another study, or other files, and nothing is touched; or it cannot be written.
        """
        path = self.root / "study.json"
        if path.exists():
            self._check_same(read_json(path), study)
        elif self.root.exists() and (not self.root.is_dir() or any(self.root.iterdir())):
            raise ValueError(f"{self.root} holds other files and no study: choose an empty or new directory")
        try:
            (self.root / "trials").mkdir(parents=True, exist_ok=True)
            write_atomically(path, (to_json(study, indent=1) + "\n").encode())
        except OSError as error:
            raise ValueError(f"{self.root}: cannot write there: {error.strerror}") from None

    def study(self) -> dict[str, Any]:
        """The stored description of the study.

        Raises:
            ValueError: the directory holds no study.
        """
        path = self.root / "study.json"
        if not path.is_file():
            raise ValueError(f"{self.root} is no study: it has no study.json")
        description: dict[str, Any] = read_json(path)
        return description

    def has(self, trial: Trial) -> bool:
        """Whether the trial is finished and stored."""
        return (self._place(trial) / "done.json").exists()

    def load(self, trial: Trial) -> StoredTrial:
        """Read a finished trial; its weights only when asked for."""
        place = self._place(trial)
        done = read_json(place / "done.json")
        files = [file for file in (place / METRICS, place / FOUND) if file.is_file()]
        lines = [line for file in files for line in file.read_text(encoding="utf-8").splitlines()]
        return StoredTrial(
            directory=place,
            status=done["status"],
            diverged_at=done["diverged_at"],
            digest=done["digest"],
            metrics=[json.loads(line) for line in lines],
            fingerprint=read_json(place / "trial.json")["fingerprint"],
        )

    def begin(self, trial: Trial, fingerprint: Fingerprint) -> Recorder:
        """Open a fresh directory for a trial, dropping what an interrupted attempt left."""
        place = self._running(trial)
        shutil.rmtree(place, ignore_errors=True)
        recorder = Recorder(trial, place)
        self.describe(trial, fingerprint)
        return recorder

    def describe(self, trial: Trial, fingerprint: Fingerprint) -> None:
        """Write down what a trial in progress is, and the arithmetic it runs on."""
        content = {"id": trial.id, **trial.as_json(), "fingerprint": fingerprint}
        (self._running(trial) / "trial.json").write_text(to_json(content, indent=1) + "\n", encoding="utf-8")

    def finish(self, trial: Trial, recorder: Recorder) -> None:
        """Checksum and sync every file of a trial, then move it among the finished ones in one rename."""
        place = self._running(trial)
        files = {
            str(file.relative_to(place)): _sync_and_hash(file) for file in sorted(place.rglob("*")) if file.is_file()
        }
        # What a script prints holds times and paths, which no two runs share.
        results = {name: sum_ for name, sum_ in files.items() if name != "trial.json" and not name.startswith(OUTPUT)}
        done = {
            "id": trial.id,
            "status": FINISHED if recorder.diverged_at is None else DIVERGED,
            "diverged_at": recorder.diverged_at,
            "digest": sha256(to_json(results).encode()),
            "files": files,
        }
        write_atomically(place / "done.json", (to_json(done, indent=1) + "\n").encode())
        sync_directory(place / "weights")
        place.rename(self._place(trial))
        sync_directory(self.root / "trials")
        shutil.rmtree(self.failed(trial), ignore_errors=True)

    def failed(self, trial: Trial) -> Path:
        """Where is kept what a trial left that failed when it was last tried."""
        return self.root / "failed" / trial.id

    def fail(self, trial: Trial, found: Failure) -> None:
        """Write down how a trial failed."""
        self.failed(trial).mkdir(parents=True, exist_ok=True)
        content = {"id": trial.id, **trial.as_json(), "exit_code": found.exit_code, "last_lines": found.last_lines}
        write_atomically(self.failed(trial) / FAILURE, (to_json(content, indent=1) + "\n").encode())

    def failure(self, trial: Trial) -> Failure | None:
        """How a trial failed when it was last tried; None for one that is stored, or was not tried."""
        path = self.failed(trial) / FAILURE
        if self.has(trial) or not path.is_file():
            return None
        content = read_json(path)
        return Failure(content["exit_code"], tuple(content["last_lines"]))

    def clear_running(self) -> None:
        """Drop what interrupted trials left behind."""
        shutil.rmtree(self.root / "running", ignore_errors=True)

    def _place(self, trial: Trial) -> Path:
        return self.root / "trials" / trial.id

    def _running(self, trial: Trial) -> Path:
        return self.root / "running" / trial.id

    def _check_same(self, there: Mapping[str, Any], study: Mapping[str, Any]) -> None:
        if json.loads(to_json(study["settings"])) != there.get("settings"):
            raise ValueError(
                f"{self.root} holds another study ({there.get('name')}, with other settings): choose another directory"
            )


def _sync_and_hash(file: Path) -> str:
    with file.open("rb+") as handle:
        os.fsync(handle.fileno())
        return sha256(handle.read())
