"""Metrics found in what a script printed and in files it wrote."""

import csv
import io
import json
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from lastbit.errors import LastbitError
from lastbit.files import DamagedError, read_sealed, to_json, write_sealed

_TAKEN = frozenset({"step"})  # what a line of metrics has besides them: after how many updates it was logged


class Source(Protocol):
    """Where values of metrics are found."""

    @property
    def names(self) -> tuple[str, ...]:
        """The metrics it gives."""

    def find(self, output: Path) -> Iterator[dict[str, float]]:
        """All values in a trial's directory of output, in order; the last one of each name counts."""


@dataclass(frozen=True)
class PatternMetric:
    """Numbers in a script's output by a regular expression: its named groups, or its only group.

    A group without a name is called as the word before it: `acc` in `acc=([0-9.]+)`.

    Raises:
        LastbitError: not a regular expression, no group, several groups without a name, or a name that is taken.
    """

    pattern: str

    def __str__(self) -> str:
        return f"--metric {self.pattern!r}"

    def __post_init__(self) -> None:
        try:
            compiled = re.compile(self.pattern)
        except re.error as error:
            raise LastbitError(f"{self} is no regular expression: {error}") from None
        if compiled.groups == 0:
            raise LastbitError(f"{self} has no group: put the number in parentheses, as in 'acc=([0-9.]+)'")
        if compiled.groups > max(1, len(compiled.groupindex)):
            raise LastbitError(f"{self} has several groups: name them, as in '(?P<acc>[0-9.]+)'")
        _refuse_taken(str(self), self.names)

    @property
    def names(self) -> tuple[str, ...]:
        """Of the groups, or of the word before the only one."""
        groups = re.compile(self.pattern).groupindex
        return tuple(groups) or (_word_before_group(self.pattern),)

    def find(self, output: Path) -> Iterator[dict[str, float]]:
        """All matches in standard output; where it has none, those in standard error, to which loggers write."""
        for stream in ("stdout.txt", "stderr.txt"):
            text = (output / stream).read_text(encoding="utf-8", errors="replace")
            found = list(self._matches(text))
            if found:
                yield from found
                return

    def _matches(self, text: str) -> Iterator[dict[str, float]]:
        for match in re.finditer(self.pattern, text, re.MULTILINE):
            values = match.groupdict() or {self.names[0]: match[1]}
            numbers = {name: number for name, value in values.items() if (number := _number(value)) is not None}
            if numbers:
                yield numbers


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
        _refuse_taken(str(self), self.names)

    @property
    def names(self) -> tuple[str, ...]:
        """The last part of the key that is no place in a list."""
        words = [part for part in self.key.split(".") if not part.lstrip("-").isdigit()]
        return (words[-1] if words else self.key,)

    def keep(self, output: Path) -> None:
        """Copy the file beside the trial's output, where later calls find it; do nothing where it is not there."""
        source = Path(self.path.replace("{trial}", str(output)))
        if source.is_file():
            (output / "files").mkdir(exist_ok=True)
            shutil.copyfile(source, self._copy(output))

    def find(self, output: Path) -> Iterator[dict[str, float]]:
        """All values of the key in the kept file."""
        copy = self._copy(output)
        if not copy.is_file():
            return
        for value in _values(copy, self.key):
            number = _number(value)
            if number is not None:
                yield {self.names[0]: number}

    def _copy(self, output: Path) -> Path:
        return output / "files" / Path(self.path).name


def parse_file_metric(text: str) -> FileMetric:
    """Read `PATH:KEY`.

    Raises:
        LastbitError: one of the two is missing.
    """
    path, colon, key = text.rpartition(":")
    if not colon or not path or not key:
        raise LastbitError(f"--metric-file {text!r}: write PATH:KEY, as in results.json:test.accuracy")
    return FileMetric(path, key)


def write_found(sources: Sequence[Source], output: Path) -> None:
    """Find all metrics in a trial's directory of output and leave them there as `found.json`."""
    rows = [row for source in sources for row in source.find(output)]
    # NaN, and what else JSON lacks, is compared as it is stored.
    content = json.loads(to_json({"rows": rows}))
    path = output / "found.json"
    if not path.is_file() or _stored(path) != content:
        write_sealed(path, content)


def _stored(path: Path) -> dict[str, Any] | None:
    try:
        return read_sealed(path)
    except DamagedError:  # it is found again
        return None


def _values(file: Path, key: str) -> list[object]:
    text = file.read_text(encoding="utf-8", errors="replace")
    if file.suffix == ".csv":
        try:
            return [row.get(key) for row in csv.DictReader(io.StringIO(text))]
        except csv.Error:  # a field of more than 128 KiB: no table of numbers
            return []
    try:
        return [_lookup(json.loads(text), key)]
    except (ValueError, RecursionError):
        return [_lookup(value, key) for line in text.splitlines() if (value := _parsed(line)) is not None]


def _parsed(line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):  # also a number of more digits, or a nest of more levels, than Python reads
        return None


def _lookup(value: Any, key: str) -> Any:
    for part in key.split("."):
        if isinstance(value, Mapping):
            value = value.get(part)
        elif isinstance(value, list) and part.lstrip("-").isdigit() and -len(value) <= int(part) < len(value):
            value = value[int(part)]
        else:
            return None
    return value


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None


def _word_before_group(pattern: str) -> str:
    before = re.sub(r"\\.", " ", pattern.partition("(")[0])
    words: list[str] = re.findall(r"[A-Za-z_][\w./-]*", before)
    return words[-1].rstrip("./-") if words else "metric"


def _refuse_taken(option: str, names: Sequence[str]) -> None:
    for name in names:
        if name in _TAKEN:
            raise LastbitError(f"{option}: a metric cannot be called {name}, as the updates so far are; name its group")
