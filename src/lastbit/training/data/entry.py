"""What the catalogue knows of a data set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from lastbit.training.data.sources import Source


class Home(Enum):
    """Where the verified arrays of a set lie."""

    BUNDLED = "bundled"  # in this package
    SCIKIT_LEARN = "scikit-learn"  # in that package, a dependency of this one
    CACHE = "cache"  # in the data folder, once fetched


@dataclass(frozen=True)
class Entry:
    """One data set; a view of another one names it as `base` and has its digests, home and sources."""

    name: str
    train: int  # training images: the first so many of those stored
    test: int
    shape: tuple[int, int, int]  # channels, height, width
    classes: tuple[str, ...]
    licence: str
    home: Home
    digests: Mapping[str, str]  # SHA-256 of each stored array, by name: see checksum.py
    sources: tuple[Source, ...] = ()  # in the order they are tried
    base: str = ""
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
