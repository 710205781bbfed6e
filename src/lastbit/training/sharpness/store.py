"""A series on disk: each row is safe once it is measured.

series.json          what is trained and measured
rows.jsonl           one line for each row, appended and synced
state.safetensors    where the training is, at the last row or the one before
sharpness.json       the whole series, written when its last step is reached
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from lastbit.differing import changes
from lastbit.errors import LastbitError
from lastbit.storage.directories import Kind, check_free
from lastbit.storage.files import read_json, to_json, write_atomically, writing
from lastbit.storage.limits import MOST_JSON, MOST_TENSORS, parse_json, read_limited
from lastbit.training.sharpness.row import is_row

_SERIES, _ROWS, _STATE, RESULTS = "series.json", "rows.jsonl", "state.safetensors", "sharpness.json"


class SeriesStore:
    """Reads and writes a series' directory."""

    def __init__(self, root: Path) -> None:
        self.root = Path(root)

    def claim(self, description: Mapping[str, Any]) -> None:
        """Make the directory this series', or go on with it.

        Raises:
            LastbitError: it holds another series, or other files, and nothing is touched; or it cannot be written.
        """
        path = self.root / _SERIES
        if path.exists():
            there, here = read_json(path), json.loads(to_json(description))
            if there != here:
                changed = changes(there if isinstance(there, dict) else {}, here)
                said = ", ".join(f"{setting} {values}" for setting, values in changed.items())
                raise LastbitError(
                    f"{self.root} holds another series, of other settings: choose another directory ({said})"
                )
            return
        check_free(self.root, Kind.SHARPNESS, known=())
        with writing(self.root):
            write_atomically(path, (to_json(description, indent=1) + "\n").encode())

    def rows(self) -> dict[int, dict[str, Any]]:
        """The stored rows by their step, ascending; a line that a crash cut short is cut off.

        Raises:
            LastbitError: a line is no measurement with its step.
        """
        path = self.root / _ROWS
        if not path.exists():
            return {}
        text = read_limited(path, MOST_JSON)
        whole = text[: text.rfind(b"\n") + 1]
        if whole != text:
            write_atomically(path, whole)
        rows = [parse_json(line, path) for line in whole.splitlines()]
        if not all(map(is_row, rows)):
            raise LastbitError(f"{path} holds something else than measurements with their step: it was altered")
        return {row["step"]: row for row in sorted(rows, key=lambda row: int(row["step"]))}

    def append(self, row: Mapping[str, Any]) -> None:
        """Add a row, safe on disk when this returns."""
        with (self.root / _ROWS).open("ab") as file:
            file.write((to_json(row) + "\n").encode())
            file.flush()
            os.fsync(file.fileno())

    def save_state(self, tensors: dict[str, Tensor]) -> None:
        """Keep where the training is, in place of where it was."""
        write_atomically(self.root / _STATE, save(tensors))

    def state(self) -> dict[str, Tensor] | None:
        """Where the training was when it was last kept; None before that.

        Raises:
            LastbitError: the file holds something else.
        """
        path = self.root / _STATE
        if not path.exists():
            return None
        try:
            return load(read_limited(path, MOST_TENSORS))
        except (SafetensorError, KeyError, RuntimeError) as error:
            raise LastbitError(f"{path} holds no tensors ({error}): it was altered or cut short") from None

    def finish(self, content: Mapping[str, Any]) -> None:
        """Store the whole series for reports."""
        write_atomically(self.root / RESULTS, to_json(content).encode())
