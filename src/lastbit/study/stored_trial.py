"""A finished trial on disk. Reading a file verifies its checksum."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load as parse_tensors
from torch import Tensor

from lastbit.errors import LastbitError
from lastbit.execution.jobs import BitFingerprint
from lastbit.execution.numerics import Fingerprint
from lastbit.storage.files import DamagedError, read_checksummed, sha256
from lastbit.storage.limits import MOST_JSON, MOST_LINES, MOST_TENSORS, parse_json, read_limited
from lastbit.study.recorder import METRICS, PREDICTIONS, weights_file

DIVERGED, FINISHED = "diverged", "finished"
FAILED = "failed"  # of a trial that is not stored, in the results
DONE, TRIAL, OUTPUT = "done.json", "trial.json", "output"
_WEIGHTS = re.compile(r"weights/([0-9]{1,15})\.safetensors")
NOTES = f"{OUTPUT}/notes.json"  # of a script's process
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
        """One row for each log call, in order, and then those found in a script's output.

        Raises:
            DamagedError: there are more lines than are read, or a line was altered.
        """
        lines = self.read(METRICS).split(b"\n")
        if len(lines) > MOST_LINES:
            raise DamagedError(f"{self.directory / METRICS} has more than {MOST_LINES:,} lines, the most that are read")
        rows = read_checksummed(self.directory / FOUND).get("rows") if (self.directory / FOUND).is_file() else []
        return [
            *(_row(self._parsed(METRICS, line), self.directory / METRICS) for line in lines if line),
            *(_row(row, self.directory / FOUND) for row in (rows if isinstance(rows, list) else [rows])),
        ]

    @cached_property
    def fingerprint(self) -> Fingerprint:
        """The numerics it ran with.

        Raises:
            DamagedError: the trial has none: it was altered.
        """
        fingerprint = self.description.get("fingerprint")
        if not isinstance(fingerprint, dict):
            raise DamagedError(f"{self.directory / TRIAL} has no fingerprint: it was altered")
        return fingerprint

    @cached_property
    def bit_fingerprint(self) -> BitFingerprint:
        """The bit fingerprint of the process it ran in; None where the training does not repeat itself.

        Raises:
            DamagedError: it is no text: it was altered.
        """
        bits = self.description.get("bit_fingerprint", self.description.get("proof"))  # of earlier versions
        if bits is not None and not isinstance(bits, str):
            raise DamagedError(f"{self.directory / TRIAL} has a bit fingerprint that is no text: it was altered")
        return bits

    @cached_property
    def doubts(self) -> tuple[str, ...]:
        """Why a script's run may not have begun as the others did, in words that follow its label; mostly none.

        Raises:
            DamagedError: what its process noted was altered.
        """
        noted = self._parsed(NOTES, self.read(NOTES)) if NOTES in self.files else {}
        doubts = noted.get("doubts", []) if isinstance(noted, dict) else []
        return tuple(str(doubt) for doubt in doubts) if isinstance(doubts, list) else ()

    @cached_property
    def description(self) -> dict[str, Any]:
        """What the trial is and ran on, as its `trial.json` holds it.

        Raises:
            DamagedError: it is no JSON object: it was altered.
        """
        content = self._parsed(TRIAL, self.read(TRIAL))
        if not isinstance(content, dict):
            raise DamagedError(f"{self.directory / TRIAL} does not describe a trial: it was altered")
        return content

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
        return sorted(int(match[1]) for name in self.files if (match := _WEIGHTS.fullmatch(name)))

    @cached_property
    def weight_sums(self) -> dict[str, str]:
        """The checksum of each file of weights: equal ones are the same weights, bit for bit."""
        return {name: sum_ for name, sum_ in self.files.items() if _WEIGHTS.fullmatch(name)}

    def predictions(self) -> Tensor | None:
        """Final predicted labels (examples,), or None where none were saved."""
        return self._classes("labels")

    def targets(self) -> Tensor | None:
        """True labels (examples,) of the predicted examples, or None where none were saved."""
        return self._classes("targets")

    def read(self, name: str) -> bytes:
        """The bytes of one of its files.

        Raises:
            DamagedError: they are not those that were stored.
        """
        path = self.directory / name
        if not _stays_below(name):
            raise DamagedError(f"{path} is not below {self.directory}: {DONE} was altered")
        try:
            content = read_limited(path, MOST_TENSORS if path.suffix == ".safetensors" else MOST_JSON)
        except LastbitError as error:
            raise DamagedError(f"{error}; {_ADVICE}") from None
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
        content = self.read(name)
        try:
            # The parser gives them in another order each time, and sums over tensors would round otherwise.
            return dict(sorted(parse_tensors(content).items()))
        # Its checksum is right, but it holds no tensors, or tensors of a type that torch lacks.
        except (SafetensorError, KeyError, RuntimeError, ValueError) as error:
            raise DamagedError(f"{self.directory / name} holds no tensors ({error})") from None

    @cached_property
    def _predicted(self) -> dict[str, Tensor]:
        """The tensors of the predictions' file, which several results ask for; none where it is not there."""
        return self._tensors(PREDICTIONS) if PREDICTIONS in self.files else {}

    def _classes(self, name: str) -> Tensor | None:
        """Whole numbers (examples,) of the predictions' file; None where they are not there."""
        classes = self._predicted.get(name)
        if classes is not None and (classes.ndim != 1 or classes.is_floating_point() or classes.is_complex()):
            shape = tuple(classes.shape)
            raise DamagedError(
                f"{self.directory / PREDICTIONS}: {name} are no classes, {classes.dtype} of shape {shape}"
            )
        return classes

    def _parsed(self, name: str, content: bytes) -> Any:
        try:
            return parse_json(content, self.directory / name)
        except LastbitError as error:
            raise DamagedError(str(error)) from None


def open_trial(directory: Path) -> StoredTrial:
    """Open a finished trial; its other files are read, and their checksums verified, when asked for.

    Raises:
        DamagedError: its `done.json` is not what was written.
    """
    done = read_checksummed(directory / DONE)
    status, step, digest, files = (done.get(name) for name in ("status", "diverged_at", "digest", "files"))
    sound = status in (FINISHED, DIVERGED) and isinstance(step, int | None) and isinstance(digest, str)
    if not sound or not isinstance(files, dict) or not all(isinstance(sum_, str) for sum_ in files.values()):
        raise DamagedError(f"{directory / DONE} does not say how a trial ended: it was altered")
    return StoredTrial(directory, str(status), step, str(digest), files)


def _row(row: object, path: Path) -> dict[str, Any]:
    """A row of metrics, as it is."""
    if not isinstance(row, dict) or not all(isinstance(value, int | float | None) for value in row.values()):
        raise DamagedError(f"{path} holds something else than numbers by name: it was altered")
    return row


def _stays_below(name: str) -> bool:
    """Whether a relative path leads nowhere but down."""
    return not PurePosixPath(name).is_absolute() and ".." not in PurePosixPath(name).parts and "\0" not in name


_ADVICE = "`lastbit check` on the study's directory finds all that is wrong and says what to do"
