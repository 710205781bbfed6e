"""Measurements in a file of JSON lines."""

import os
from pathlib import Path

from lastbit.curvature import SharpnessRow
from lastbit.files import sync_directory, to_json


class JsonLines:
    """A sink that appends each row to a file, on disk before training goes on; what is not finite is null.

    A file that is there already is continued. A last line that a crash cut short is dropped.

    Args:
        path: the file; its folder is made if need be.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.touch()
        sync_directory(self._path.parent)
        with self._path.open("rb+") as file:
            file.truncate(file.read().rfind(b"\n") + 1)

    def __call__(self, row: SharpnessRow) -> None:
        """Append a row."""
        with self._path.open("ab") as file:
            file.write(to_json(row.as_dict()).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
