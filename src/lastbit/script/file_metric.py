"""Metrics in JSON, JSON-lines and CSV files that a script writes."""

import csv
import io
import json
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import nan
from pathlib import Path
from typing import Any

from lastbit.errors import LastbitError
from lastbit.script.metrics import parse_number, refuse_taken

FILES = "files"  # in a trial's directory of output

FileState = tuple[int, int, int]
_NOTHING = ("none", "null", "n/a", "na")  # which says that there is no number
_ABSENT = object()
_SHOWN = 60  # characters of a file


@dataclass(frozen=True)
class FileMetric:
    """A number in a JSON, JSON-lines or CSV file that a script writes.

    Attributes:
        path: relative to where the script runs; `{trial}` in it stands for the trial's own directory.
        key: of JSON: names and places joined by dots, `history.-1.acc`; of JSON lines: the same in each line; of CSV:
            the column.

    Raises:
        LastbitError: the name is taken.
    """

    path: str
    key: str

    def __str__(self) -> str:
        return f"--metric-file {self.path}:{self.key}"

    def __post_init__(self) -> None:
        refuse_taken(str(self), self.names)

    @property
    def names(self) -> tuple[str, ...]:
        """The last part of the key that is no place in a list."""
        words = [part for part in self.key.split(".") if not part.lstrip("-").isdigit()]
        return (words[-1] if words else self.key,)

    def state(self, output: Path) -> FileState | None:
        """What changes when the file is written: its place on the disk, size and last change; None without one."""
        source = self._source(output)
        if not source.is_file():
            return None
        status = source.stat()
        return status.st_ino, status.st_size, status.st_mtime_ns

    def keep(self, output: Path, *, before: FileState | None = None, wrote: Iterable[str] = ()) -> None:
        """Copy the file beside the trial's output, where later calls find it; do nothing where it is not there.

        Args:
            output: the trial's directory of output.
            before: `state` before the run: a file that is still the same is another run's, and is not kept.
            wrote: paths of files that the run wrote, in order. A script may write below a directory that it makes.
        """
        source, state = self._source(output), self.state(output)
        below = [Path(path) for path in wrote if path.endswith(f"/{self.path}") and Path(path).is_file()]
        if (state is None or state == before) and below:
            source, state = below[-1], None
        elif state is None:
            return
        (output / FILES).mkdir(exist_ok=True)
        if before is not None and state == before:
            self._mark(output).touch()
        else:
            shutil.copyfile(source, self._copy(output))

    def find(self, output: Path) -> Iterator[dict[str, float]]:
        """All values of the key in the kept file, NaN where it says that there is none."""
        for value in self._kept(output):
            parsed = _number(value)
            if parsed is not None:
                yield {self.names[0]: parsed}

    def missing(self, output: Path) -> str:
        """That the run did not write the file, or the beginning of what it wrote there."""
        copy = self._copy(output)
        if not copy.is_file():
            return f"{self}: the run did not write {self.path}"
        begins = copy.read_text(encoding="utf-8-sig", errors="replace")[:_SHOWN]
        return f"{self}: there is no number for {self.key} in {self.path}, which begins with {begins!r}"

    def doubt(self, output: Path) -> str:
        """That the run did not write the file, or that its last row has no number."""
        if self._mark(output).exists():
            return f"{self}: a run did not write {self.path}, and what is there was left before it: it counts for none"
        # Lines of JSON may be of several kinds.
        values = [value for value in self._kept(output) if value is not _ABSENT]
        if values and _number(values[-1]) is None and any(_number(value) is not None for value in values):
            return f"{self}: the last row of {self.path} has no number for {self.key}, and the last one that has counts"
        return ""

    def _kept(self, output: Path) -> list[object]:
        copy = self._copy(output)
        if not copy.is_file():
            copy = output / FILES / Path(self.path).name  # as earlier versions called it
        return _values(copy, self.key) if copy.is_file() else []

    def _source(self, output: Path) -> Path:
        return Path(self.path.replace("{trial}", str(output)))

    def _copy(self, output: Path) -> Path:
        # Two files may have one name in two directories.
        return output / FILES / self.path.replace("{trial}/", "").replace("%", "%25").replace("/", "%2F")

    def _mark(self, output: Path) -> Path:
        copy = self._copy(output)
        return copy.with_name(f"{copy.name}.not-written")


def parse_file_metric(text: str) -> FileMetric:
    """Read `PATH:KEY`.

    Raises:
        LastbitError: one of the two is missing.
    """
    path, colon, key = text.rpartition(":")
    if not colon or not path or not key:
        raise LastbitError(f"--metric-file {text!r}: write PATH:KEY, as in results.json:test.accuracy")
    return FileMetric(path, key)


def _values(file: Path, key: str) -> list[object]:
    text = file.read_text(encoding="utf-8-sig", errors="replace").lstrip("\n")
    if file.name.endswith(".csv"):
        try:
            rows = csv.DictReader(io.StringIO(text), delimiter=_delimiter(text, key), skipinitialspace=True)
            return [row.get(key, _ABSENT) for row in rows]
        except csv.Error:  # a field of more than 128 KiB: no table of numbers
            return []
    try:
        return [_lookup(json.loads(text), key)]
    except (ValueError, RecursionError):
        return [_lookup(value, key) for line in text.splitlines() if (value := _parsed(line)) is not None]


def _delimiter(text: str, key: str) -> str:
    """That of comma, semicolon and tab with which the key is a column."""
    first = text.partition("\n")[0]
    return next((mark for mark in ",;\t" if key in (name.strip(' \r"') for name in first.split(mark))), ",")


def _parsed(line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):  # also a number of more digits, or a nest of more levels, than Python reads
        return None


def _lookup(value: Any, key: str) -> object:
    for part in key.split("."):
        if isinstance(value, Mapping):
            value = value.get(part, _ABSENT)
        elif isinstance(value, list) and part.lstrip("-").isdigit() and -len(value) <= int(part) < len(value):
            value = value[int(part)]
        else:
            return _ABSENT
    return nan if value is None else value


def _number(value: object) -> float | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        return nan if value.strip().lower() in _NOTHING else parse_number(value.strip())
    try:
        return float(value) if isinstance(value, int | float) else None
    except OverflowError:
        return None
