"""Measurements in a file of JSON lines."""

import os
from pathlib import Path

from lastbit.curvature import SharpnessRow
from lastbit.storage.files import sync_directory, to_json
from lastbit.storage.outputs import is_written_through, open_through


class JsonLines:
    """A sink that appends each row to a file, on disk before training goes on; what is not finite is null.

    A file that is there already is continued. A last line that a crash cut short is dropped. What is no regular file,
    such as `/dev/stdout` or a FIFO, is opened once and written through.

    Args:
        path: the file; its folder is made if need be.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)
        self._through = open_through(self._path) if is_written_through(self._path) else None
        if self._through is None:
            self._continue()

    def _continue(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.touch()
        sync_directory(self._path.parent)
        with self._path.open("rb+") as file:
            file.truncate(file.read().rfind(b"\n") + 1)

    def __call__(self, row: SharpnessRow) -> None:
        """Append a row."""
        line = to_json(row.as_dict()).encode() + b"\n"
        if self._through is not None:
            self._through.write(line)
            self._through.flush()
            return
        with self._path.open("ab") as file:
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
