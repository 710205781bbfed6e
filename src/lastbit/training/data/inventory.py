"""What there is: every data set, and whether it is on this machine."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lastbit.training.data.catalogue import ENTRIES
from lastbit.training.data.entry import Entry, Home
from lastbit.training.data.errors import DamagedDataError, MissingDataError
from lastbit.training.data.loading import stored_arrays, stored_path

State = Literal["bundled", "cached", "damaged", "not fetched"]


@dataclass(frozen=True)
class Item:
    """A data set, as a list shows it."""

    name: str
    train: int  # images
    test: int
    shape: tuple[int, int, int]  # channels, height, width
    classes: tuple[str, ...]
    licence: str
    bytes: int  # of pixels and labels
    state: State
    path: Path | None  # the file it is in; None if not fetched
    note: str


def inventory(*, root: str | os.PathLike[str] | None = None) -> list[Item]:
    """Return every data set; those on this machine are verified, each stored file once.

    Args:
        root: folder of fetched sets; $LASTBIT_DATA, or else the user's cache folder, by default.

    Raises:
        LastbitError: if `root` is a file.
    """
    states: dict[Path, State] = {}
    items = []
    for entry in ENTRIES.values():
        path = stored_path(entry, root)
        if path not in states:
            states[path] = _state(entry, root)
        items.append(_item(entry, path, states[path]))
    return items


def _state(entry: Entry, root: str | os.PathLike[str] | None) -> State:
    try:
        stored_arrays(entry, root)
    except MissingDataError:
        return "not fetched"
    except DamagedDataError:
        return "damaged"
    return "cached" if entry.home is Home.CACHE else "bundled"


def _item(entry: Entry, path: Path, state: State) -> Item:
    return Item(
        name=entry.name,
        train=entry.train,
        test=entry.test,
        shape=entry.shape,
        classes=entry.classes,
        licence=entry.licence,
        bytes=entry.bytes,
        state=state,
        path=None if state == "not fetched" else path,
        note=entry.note,
    )
