"""A directory of the paper's results at one scale: one JSON file for each item, and an index of their claims.

index.json      the scale; for each item with a result its claims and its seconds
ITEM.json       an item's result, its settings included
failed/ITEM.txt the traceback of an item that failed when it was last tried
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lastbit.errors import LastbitError
from lastbit.paper.item import Claim, Item, Result
from lastbit.paper.names import SCALES
from lastbit.storage.directories import Kind, check_free
from lastbit.storage.files import read_json, to_json, write_atomically, writing
from lastbit.storage.limits import OTHER_SHAPE, reachable

FORMAT = 1
INDEX = "index.json"


@dataclass(frozen=True)
class Made:
    """An item's result and how it was made."""

    result: Result  # as `Item.reproduce` gives it
    seconds: float  # that it took, those of interrupted trainings included
    fingerprint: Mapping[str, Any]  # of the arithmetic


class Results:
    """Results of one scale in a directory.

    Args:
        root: the directory; made when first written to.
        scale: of every result in it.
    """

    def __init__(self, root: str | Path, scale: str) -> None:
        self.root, self.scale = Path(root), scale

    @classmethod
    def reopen(cls, root: str | Path) -> Results:
        """Results that are there.

        Raises:
            LastbitError: the directory holds none.
        """
        index = _read_index(Path(root))
        if index is None:
            raise LastbitError(f"{root} holds no results of the paper: there is no {INDEX} in it")
        return cls(root, index["scale"])

    def check(self) -> None:
        """Check that the directory is new, empty or holds results of this scale.

        Raises:
            LastbitError: it holds another scale's results, or other files.
        """
        index = _read_index(self.root)
        if index is not None and index["scale"] != self.scale:
            raise LastbitError(
                f"{self.root} holds results at scale {index['scale']!r}, not {self.scale!r}: choose another directory"
            )
        if index is None:
            check_free(self.root, Kind.PAPER, known=())

    def load(self, item: Item) -> Made | None:
        """Return an item's result; None where there is none of the same settings and format that the item can read.

        Raises:
            LastbitError: its file is not JSON.
        """
        path = self.path(item)
        if not path.is_file():
            return None
        content = read_json(path)
        settings = json.loads(to_json(item.scale(self.scale).settings))
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            return None
        result, seconds, fingerprint = (content.get(name) for name in ("result", "seconds", "fingerprint"))
        if not isinstance(result, dict) or not isinstance(seconds, int | float) or not isinstance(fingerprint, dict):
            return None
        same = (result.get("scale"), result.get("settings")) == (self.scale, settings)
        return Made(result, seconds, fingerprint) if same and _is_readable(item, result) else None

    def save(self, item: Item, made: Made) -> None:
        """Store an item's result, and forget that it failed before."""
        write_atomically(self.path(item), (to_json({"format": FORMAT, **asdict(made)}) + "\n").encode())
        self.failure_path(item).unlink(missing_ok=True)

    def save_failure(self, item: Item, traceback: str) -> Path:
        """Store why an item failed, and return where."""
        path = self.failure_path(item)
        write_atomically(path, traceback.encode("utf-8", "replace"))
        return path

    def write_index(self, claimed: Mapping[str, tuple[Made, list[Claim]]]) -> None:
        """Write the index.

        Args:
            claimed: by the item's id, its result and its claims.

        Raises:
            LastbitError: it cannot be written.
        """
        index = {"format": FORMAT, "scale": self.scale, "items": self.as_json(claimed)}
        with writing(self.root):
            write_atomically(self.root / INDEX, (to_json(index, indent=1) + "\n").encode())

    def as_json(self, claimed: Mapping[str, tuple[Made, list[Claim]]]) -> list[dict[str, Any]]:
        """For each item its claims and what it took, as the index has them."""
        return [
            {"id": id, "scale": self.scale, "claims": claims, "seconds": made.seconds}
            for id, (made, claims) in claimed.items()
        ]

    def path(self, item: Item) -> Path:
        """Where an item's result is or would be."""
        return self.root / f"{item.id}.json"

    def failure_path(self, item: Item) -> Path:
        """Where the traceback of an item that failed is or would be."""
        return self.root / "failed" / f"{item.id}.txt"


def _is_readable(item: Item, result: Result) -> bool:
    """Whether a stored result has all that the item asks of it; one that an earlier version stored may not."""
    try:
        item.read(result)
    except (*OTHER_SHAPE, ValueError):
        return False
    return True


def _read_index(root: Path) -> Mapping[str, Any] | None:
    path = reachable(root / INDEX)
    if not path.is_file():
        return None
    index = read_json(path)
    if not isinstance(index, dict) or index.get("scale") not in SCALES:
        raise LastbitError(f"{path} is no index of the paper's results")
    return index
