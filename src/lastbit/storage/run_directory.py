"""The run directory: where one command keeps what it computes, so that nothing is lost, mixed up or read damaged.

run.json        what is kept here, kind and settings (of a study `study.json`, of a sharpness series `series.json`)
NAME.json       a part: JSON with a checksum
NAME.jsonl      a series: a line of JSON with a checksum for each row, appended and synced
.lock           held by the process that runs the command, which .owner.json names

A command claims the directory, reads what an interrupted run left, and adds what is missing:

    directory = RunDirectory(out, Kind.GROWTH)
    with directory.claimed({"format": 1, "settings": settings}):    # one line where it cannot have the directory
        rows = directory.rows("rows.jsonl")
        for step in range(len(rows), steps):
            rows.append(measure(step))
            directory.append("rows.jsonl", rows[-1])                # on disk when this returns
        directory.write("growth.json", summary(rows))               # whole or absent, with a checksum

Whoever reads it needs no claim: `RunDirectory(out, Kind.GROWTH).read("growth.json")`.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from lastbit.differing import changes
from lastbit.errors import LastbitError
from lastbit.storage.directories import DESCRIPTIONS, Kind, check_free, held
from lastbit.storage.files import (
    CHECKSUM,
    DamagedError,
    read_checksummed,
    sync_directory,
    to_json,
    verified,
    with_checksum,
    write_checksummed,
    writing,
)
from lastbit.storage.limits import MOST_JSON, parse_json, reachable, read_limited
from lastbit.storage.locks import LOCK, OWNER, directory_lock


class OtherSettingsError(LastbitError):
    """A directory holds results of other settings than those of the command that asks for it.

    Attributes:
        changed: the settings that differ, each as `old -> new`.
    """

    def __init__(self, message: str, changed: Mapping[str, str]) -> None:
        self.changed = changed
        super().__init__(message)


class RunDirectory:
    """Reads and writes the directory of one command's run.

    A kind of run that needs other rules than these overrides `check_same`, `known` and `make_room`.

    Args:
        root: the directory; made when it is claimed.
        kind: of what is kept there.
        known: the only names, besides its own, that may lie in a directory that is taken; None where other people's
            files do not matter.
    """

    def __init__(self, root: str | Path, kind: Kind, *, known: Collection[str] | None = ()) -> None:
        self.root, self.kind = Path(root), kind
        self._known = known
        self._claimant: int | None = None  # the thread that has claimed the directory through this very object

    @property
    def description_name(self) -> str:
        """The name of the file that says what the directory holds."""
        return DESCRIPTIONS[self.kind]

    def is_begun(self) -> bool:
        """Whether the directory holds a run, finished or not."""
        return reachable(self.root / self.description_name).is_file()

    def description(self) -> dict[str, Any]:
        """What the directory holds, as it was claimed with.

        Raises:
            DamagedError: the file is not there, or not what was written.
        """
        return self.read(self.description_name)

    def check(self, description: Mapping[str, Any]) -> None:
        """Check that the directory is this run's, or free for it; nothing is touched.

        Raises:
            LastbitError: it holds something else.
            OtherSettingsError: it holds a run of other settings.
            DamagedError: what it holds cannot be known, since its description was altered.
        """
        if self.is_begun():
            self.check_same(self.description(), description)
            return
        if names := held(self.root).get(self.kind):
            raise LastbitError(
                f"{self.root} holds {self.kind} ({names}) and no {self.description_name}, which was lost or is of an "
                "earlier version of lastbit: choose another directory"
            )
        check_free(self.root, self.kind, known=self.known())

    @contextmanager
    def claimed(self, description: Mapping[str, Any]) -> Iterator[None]:
        """Make the directory this run's, or go on with it, and keep every other process out while the block runs.

        Inside such a block the same thread may claim it again.

        Args:
            description: plain JSON that identifies the run: whatever decides its results.

        Raises:
            LastbitError: as `check` does; or it cannot be written.
            InUseError: another process is using it.
        """
        self.check(description)
        if self._claimant == threading.get_ident():
            yield
            return
        with ExitStack() as stack:
            with writing(self.root):
                self.root.mkdir(parents=True, exist_ok=True)
                stack.enter_context(directory_lock(self.root))
                self.check(description)  # once more: another process may have been faster
                self.make_room(description)
                self.describe(description)
            stack.callback(setattr, self, "_claimant", None)
            self._claimant = threading.get_ident()
            yield

    def describe(self, description: Mapping[str, Any]) -> None:
        """Write down what the directory holds.

        Raises:
            LastbitError: it cannot be written.
        """
        with writing(self.root):
            self.write(self.description_name, {"kind": self.kind.name.lower(), **description}, indent=1)

    def check_same(self, there: Mapping[str, Any], description: Mapping[str, Any]) -> None:
        """Check that the run in the directory is the one described; by default, all of its description must agree.

        Raises:
            OtherSettingsError: it is another.
        """
        here = json.loads(to_json({"kind": self.kind.name.lower(), **description}))
        if changed := changes(there, here):
            differences = ", ".join(f"{setting} {values}" for setting, values in changed.items())
            raise OtherSettingsError(
                f"{self.root} holds {self.kind} of other settings: choose another directory ({differences})", changed
            )

    def known(self) -> Collection[str] | None:
        """The only names that may lie in a directory that is taken; None where other people's files do not matter."""
        return None if self._known is None else {LOCK, OWNER, *self._known}

    def make_room(self, description: Mapping[str, Any]) -> None:
        """Remove what a run left that this one replaces; the directory is locked, and free for this run."""

    def holds(self, name: str) -> bool:
        """Whether a part or a series is there."""
        return reachable(self.root / name).is_file()

    def read(self, name: str) -> dict[str, Any]:
        """Read a part, and verify its checksum.

        Raises:
            DamagedError: it is missing, or not what was written.
        """
        return read_checksummed(self.root / name)

    def write(self, name: str, content: Mapping[str, Any], *, indent: int | None = None) -> None:
        """Write a part with a checksum, in place of an earlier one, in one step.

        Args:
            name: of the file, which may lie in a folder below the directory.
            content: plain JSON without a key `checksum`.
            indent: spaces of indentation.

        Raises:
            OSError: it cannot be written; `lastbit.storage.files.writing` makes one line of it.
        """
        write_checksummed(self.root / name, content, indent=indent)

    def rows(self, name: str) -> list[dict[str, Any]]:
        """Read a series in the order it was appended.

        A last line that a crash cut short is left out, and `append` cuts it off.

        Raises:
            DamagedError: a line is no JSON object, or not what was written; earlier versions wrote no checksums.
            LastbitError: the file is larger than what is read.
        """
        path = self.root / name
        if not self.holds(name):
            return []
        lines = read_limited(path, MOST_JSON).split(b"\n")[:-1]
        rows = [parse_json(line, path) for line in lines]
        if not all(isinstance(row, dict) for row in rows):
            raise DamagedError(f"{path} holds something else than rows of a series: it was altered")
        return [verified(row, path) if CHECKSUM in row else row for row in rows]

    def append(self, name: str, row: Mapping[str, Any]) -> None:
        """Add a row, plain JSON without a key `checksum`, to a series; it is on disk when this returns.

        Raises:
            OSError: it cannot be written.
        """
        path = self.root / name
        is_new = not path.exists()
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a+b") as file:
            _cut_torn_line(file.fileno())
            file.write((to_json(with_checksum(row)) + "\n").encode())
            file.flush()
            os.fsync(file.fileno())
        if is_new:
            sync_directory(path.parent)


def _cut_torn_line(descriptor: int) -> None:
    """Cut off what follows a file's last newline, which a crash left."""
    size = end = os.fstat(descriptor).st_size
    while end and os.pread(descriptor, 1, end - 1) != b"\n":
        end -= 1
    if end < size:
        os.ftruncate(descriptor, end)
