"""A finished trial on disk, each file of which is held against its checksum when it is read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load as parse_tensors
from torch import Tensor

from lastbit.files import DamagedError, read_sealed, sha256
from lastbit.study.fingerprint import Fingerprint
from lastbit.study.recorder import METRICS, PREDICTIONS, weights_file

DIVERGED, FINISHED = "diverged", "finished"
DONE, TRIAL, OUTPUT = "done.json", "trial.json", "output"
FOUND = f"{OUTPUT}/found.json"  # metrics found in a script's output; may be found again, so it has its own checksum


@dataclass(frozen=True)
class StoredTrial:
    """A finished trial on disk."""

    directory: Path
    status: str  # `finished` or `diverged`
    diverged_at: int | None  # step of the first loss that was not finite
    digest: str  # hash of every metric, weight and prediction: equal digests mean bit-identical runs
    files: Mapping[str, str]  # path below the directory -> SHA-256 of its bytes

    @cached_property
    def metrics(self) -> list[dict[str, Any]]:
        """One row for each log call, in order, and then those found in a script's output."""
        lines = self.read(METRICS).decode("utf-8").splitlines()
        found = read_sealed(self.directory / FOUND)["rows"] if (self.directory / FOUND).is_file() else []
        return [*(json.loads(line) for line in lines), *found]

    @cached_property
    def fingerprint(self) -> Fingerprint:
        """The arithmetic it ran on."""
        found: Fingerprint = json.loads(self.read(TRIAL))["fingerprint"]
        return found

    def final(self, metric: str) -> float | None:
        """The last value logged under this name; None where there is none or it was not finite."""
        values = [row[metric] for row in self.metrics if metric in row]
        return values[-1] if values and self.status == FINISHED else None

    def weights(self, step: int) -> dict[str, Tensor]:
        """Weights after `step` updates, by name."""
        return self._tensors(weights_file(step))

    def weight_shapes(self, step: int) -> dict[str, tuple[int, ...]]:
        """Shapes of the weights after `step` updates, by name."""
        return {name: tuple(weight.shape) for name, weight in self.weights(step).items()}

    def weight_steps(self) -> list[int]:
        """Steps whose weights were kept, ascending."""
        return sorted(int(Path(name).stem) for name in self.files if name.startswith("weights/"))

    def predictions(self) -> Tensor | None:
        """Final predicted labels (examples,), or None where none were saved."""
        return self._tensors(PREDICTIONS)["labels"] if PREDICTIONS in self.files else None

    def targets(self) -> Tensor | None:
        """True labels (examples,) of the predicted examples, or None where none were saved."""
        return self._tensors(PREDICTIONS).get("targets") if PREDICTIONS in self.files else None

    def read(self, name: str) -> bytes:
        """The bytes of one of its files.

        Raises:
            DamagedError: they are not those that were stored.
        """
        path = self.directory / name
        try:
            content = path.read_bytes()
        except OSError as error:
            raise DamagedError(f"{path} cannot be read: {error.strerror}; {_ADVICE}") from None
        if sha256(content) != self.files.get(name):
            raise DamagedError(f"{path} does not match its checksum: it was altered or cut short; {_ADVICE}")
        return content

    def verify(self, below: str = "") -> None:
        """Read every file of which the name begins like this.

        Raises:
            DamagedError: the first that is not what was stored.
        """
        for name in sorted(self.files):
            if name.startswith(below):
                self.read(name)

    def _tensors(self, name: str) -> dict[str, Tensor]:
        try:
            # The parser gives them in another order each time, and sums over tensors would round otherwise.
            return dict(sorted(parse_tensors(self.read(name)).items()))
        except SafetensorError as error:  # its checksum is right: whoever made it wrote no tensors
            raise DamagedError(f"{self.directory / name} holds no tensors ({error})") from None


def open_trial(directory: Path) -> StoredTrial:
    """Open a finished trial; its other files are read, and held against their checksums, when asked for.

    Raises:
        DamagedError: its `done.json` is not what was written.
    """
    done = read_sealed(directory / DONE)
    return StoredTrial(directory, done["status"], done["diverged_at"], done["digest"], done["files"])


_ADVICE = "`lastbit check` on the study's directory finds all that is wrong and says what to do"
