"""Metrics found in what a script printed and in files it wrote."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

from lastbit.errors import LastbitError
from lastbit.storage.files import DamagedError, read_checksummed, to_json, write_checksummed

_TAKEN = frozenset({"step"})  # what a line of metrics has besides them: after how many updates it was logged


class Source(Protocol):
    """Where values of metrics are found."""

    @property
    def names(self) -> tuple[str, ...]:
        """The metrics it gives."""

    def find(self, output: Path) -> Iterator[dict[str, float]]:
        """All values in a trial's directory of output, in order; the last one of each name counts."""

    def doubt(self, output: Path) -> str:
        """What a person should know of how the values in that directory were read, in a line; empty mostly."""


def write_found(sources: Sequence[Source], output: Path) -> None:
    """Find all metrics in a trial's directory of output and leave them there as `found.json`."""
    rows = [row for source in sources for row in source.find(output)]
    # NaN, and what else JSON lacks, is compared as it is stored.
    content = json.loads(to_json({"rows": rows}))
    path = output / "found.json"
    if not path.is_file() or _stored(path) != content:
        write_checksummed(path, content)


def _stored(path: Path) -> dict[str, Any] | None:
    try:
        return read_checksummed(path)
    except DamagedError:  # it is found again
        return None


def refuse_taken(option: str, names: Sequence[str]) -> None:
    """Refuse a metric's name that means something else.

    Raises:
        LastbitError: one of the names is taken.
    """
    for name in names:
        if name in _TAKEN:
            raise LastbitError(f"{option}: a metric cannot be called {name}, as the updates so far are; name its group")
