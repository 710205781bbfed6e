"""The data sets that `catalogue.toml` names, and what can go wrong with them. A new data set is an entry there."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from importlib import resources
from pathlib import Path
from typing import Any

from lastbit.errors import LastbitError, did_you_mean


class Home(Enum):
    """Where the verified arrays of a set are stored."""

    BUNDLED = "bundled"  # in this package
    SCIKIT_LEARN = "scikit-learn"  # in that package, a dependency of this one
    CACHE = "cache"  # in the data folder, once fetched


@dataclass(frozen=True)
class DatasetEntry:
    """An entry of the catalogue. A set that is the beginning of another shares its digests, home and sources."""

    name: str
    train: int  # training images: the first so many of those stored
    test: int
    shape: tuple[int, int, int]  # channels, height, width
    classes: tuple[str, ...]
    licence: str
    home: Home
    digests: Mapping[str, str]  # SHA-256 of each stored array, by name: see `store.digest`
    sources: tuple[Mapping[str, Any], ...] = ()  # in the order they are tried: see `sources.make_sources`
    base: str = ""  # the set that this one is the beginning of
    note: str = ""
    instead: str = ""  # what to say when no source can be reached

    @property
    def stored(self) -> str:
        """The name under which its arrays are stored."""
        return self.base or self.name

    @property
    def bytes(self) -> int:
        """Bytes of its pixels and labels, one each."""
        channels, height, width = self.shape
        return (self.train + self.test) * (channels * height * width + 1)


def _entries() -> Iterator[DatasetEntry]:
    text = (resources.files(__package__) / "catalogue.toml").read_text(encoding="utf-8")
    tables: dict[str, dict[str, Any]] = tomllib.loads(text)
    for name, table in tables.items():
        base = table.pop("of", "")
        fields = {**tables.get(base, {}), **table}
        tupled = {field: tuple(fields.get(field, ())) for field in ("shape", "classes", "sources")}
        yield DatasetEntry(name=name, base=base, **{**fields, **tupled, "home": Home(fields["home"])})


ENTRIES: Mapping[str, DatasetEntry] = {entry.name: entry for entry in _entries()}


def find(name: str) -> DatasetEntry:
    """Return the entry of a data set.

    Raises:
        LastbitError: no data set has that name; the message lists the nearest names, and all.
    """
    if name in ENTRIES:
        return ENTRIES[name]
    guess = did_you_mean(name, ENTRIES, before=": ", cutoff=0.5) or ";"
    raise LastbitError(f"there is no data set {name!r}{guess} data sets are {', '.join(ENTRIES)}")


class MissingDataError(LastbitError):
    """A data set is not on this machine; the message gives the command that fetches it."""

    def __init__(self, name: str, path: Path, command: str) -> None:
        super().__init__(f"data set {name!r} is not at {path}: run `{command}`")


class DamagedDataError(LastbitError):
    """A file does not hold the data set that it is named after, and is not used."""

    def __init__(self, path: Path, reason: str, remedy: str = "") -> None:
        self.path = path
        self.reason = reason
        super().__init__(f"{path} is damaged ({reason})" + (f": {remedy}" if remedy else ""))


class SourceError(Exception):
    """One source of a data set could not deliver it; the message is the reason."""


class FetchError(OSError):
    """No source could deliver a data set; the message says why each of them failed."""


def first_line(error: BaseException, limit: int = 160) -> str:
    """The type and the first line of an exception's message."""
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0][:limit]}" if text else type(error).__name__
