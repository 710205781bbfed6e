"""How far the trials in progress are, by what they have logged so far."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lastbit.storage.directories import RUNNING
from lastbit.study.recorder import METRICS, STEP

_TAIL = 4096  # bytes from the end of a file of metrics, which hold its last line


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
