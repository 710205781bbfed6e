"""What a format of runs is, and the formats that there are."""

from __future__ import annotations

import os
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import ClassVar

from lastbit.errors import LastbitError
from lastbit.plugins import Registry
from lastbit.runs.raw import Asked, RawRuns
from lastbit.storage.limits import reachable


class RunFormat:
    """A way in which runs are stored. A subclass that names its `kind` is a format from then on.

    Its file must not need the tool that writes the format.
    """

    kind: ClassVar[str]  # in messages
    help: ClassVar[str]  # what is read of it, in a few words
    named_only: ClassVar[frozenset[str]] = frozenset()  # endings of files that are not looked for in directories
    companions: ClassVar[tuple[str, ...]] = ()  # patterns of files that belong to others of the format
    rank: ClassVar[int] = 0  # where two formats hold the same runs, the one of the lower rank is read

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "kind" in vars(cls):
            FORMATS.enter(cls.kind, cls)

    def claims(self, path: Path) -> bool:
        """Whether a file or directory is one of this format, by its name and by what stands beside or below it."""
        raise NotImplementedError

    def read(self, path: Path, asked: Asked) -> RawRuns:
        """Read what the format claims.

        Raises:
            LastbitError: it is damaged, or not what its name says.
        """
        raise NotImplementedError


_SAVE, _UNPACK = "save its sheet as CSV", "unpack it first"
_CURES = {
    **dict.fromkeys((".xlsx", ".xls", ".xlsm", ".ods", ".numbers"), _SAVE),
    **dict.fromkeys((".gz", ".zip", ".bz2", ".xz", ".zst", ".tar", ".tgz", ".7z"), _UNPACK),
}
FORMATS = Registry[RunFormat]("lastbit.runs.formats", "lastbit.run_formats", "format of runs")


def formats() -> list[RunFormat]:
    """One of each format, in the order of their ranks."""
    return sorted((kind() for kind in FORMATS.all()), key=lambda each: (each.rank, each.kind))


def find(path: Path) -> list[tuple[RunFormat, Path]]:
    """What is to be read at a path: the path itself, or what is below it.

    Args:
        path: a file or a directory.

    Raises:
        LastbitError: it is missing, or no format claims anything there.
    """
    if not reachable(path).exists():
        raise LastbitError(f"{path} does not exist: give a table, or the directory of a tracker")
    known = formats()
    claimed = list(_below(path, known))
    if not claimed and (cure := _CURES.get(path.suffix.lower())):
        raise LastbitError(f"{path} is no format that is read: {cure}")
    if not claimed:
        what = "holds neither tables nor" if path.is_dir() else "is neither a table nor one of"
        kinds = ", ".join(each.help for each in known)
        raise LastbitError(f"{path} {what} a tracker's files: read are {kinds}")
    return claimed


def _below(path: Path, known: list[RunFormat]) -> Iterator[tuple[RunFormat, Path]]:
    for each in known:
        if each.claims(path):
            yield each, path
            return
    if path.is_dir():
        # Links are followed by none of the trackers, and may lead in a circle.
        with os.scandir(path) as entries:
            below = sorted(Path(entry.path) for entry in entries if not (entry.is_symlink() and entry.is_dir()))
        for child in below:
            if child.is_dir() and not child.name.startswith("."):
                yield from _below(child, known)
            elif not any(fnmatch(child.name, pattern) for each in known for pattern in each.companions):
                yield from _below(child, [each for each in known if child.suffix.lower() not in each.named_only])
