"""A directory of the paper's results at one scale: a JSON file for each item, an index of their claims, and their page.

index.json      the scale; for each item with a result its claims and its seconds
ITEM.json       an item's result, its settings included
failed/ITEM.txt the traceback of an item that failed when it was last tried
paper.html      the page of all stored results

Both kinds of JSON carry a checksum since format 2; those of format 1 are read as they are.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lastbit.errors import LastbitError
from lastbit.paper.catalogue import ITEMS
from lastbit.paper.item import Claim, Item, Result
from lastbit.paper.names import SCALES
from lastbit.report.paper import Entry, write_paper_page
from lastbit.storage.directories import Kind
from lastbit.storage.files import read_json, to_json, verified, write_atomically, writing
from lastbit.storage.limits import OTHER_SHAPE
from lastbit.storage.run_directory import OtherSettingsError, RunDirectory

FORMAT = 2
INDEX = "index.json"
PAGE = "paper.html"


@dataclass(frozen=True)
class Made:
    """An item's result and how it was made."""

    result: Result  # as `Item.reproduce` gives it
    seconds: float  # of computing, including those of interrupted trainings
    fingerprint: Mapping[str, Any]  # of the numerics


class _PaperDirectory(RunDirectory):
    """The run directory of the paper: the index describes it, and only the scale must agree."""

    def description(self) -> dict[str, Any]:
        """The index, with or without a checksum.

        Raises:
            LastbitError: it is no index, or was altered.
        """
        return _read_index(self.root / INDEX)

    def check_same(self, there: Mapping[str, Any], description: Mapping[str, Any]) -> None:
        """Check that the scale is the same.

        Raises:
            OtherSettingsError: it is another.
        """
        old, new = there["scale"], description["scale"]
        if old != new:
            raise OtherSettingsError(
                f"{self.root} holds results at scale {old!r}, not {new!r}: choose another directory",
                {"scale": f"{old} -> {new}"},
            )

    def describe(self, description: Mapping[str, Any]) -> None:
        """Write an index without items, unless there is one.

        Raises:
            LastbitError: it cannot be written.
        """
        if not self.is_begun():  # the claims that an index gives stay
            with writing(self.root):
                self.write(INDEX, {"format": FORMAT, **description, "items": []}, indent=1)


class PaperResults:
    """The results of one scale in a directory.

    Args:
        root: the directory; created when it is first written to.
        scale: of every result in it.
    """

    def __init__(self, root: str | Path, scale: str) -> None:
        self.root, self.scale = Path(root), scale
        self._directory = _PaperDirectory(root, Kind.PAPER)

    @classmethod
    def reopen(cls, root: str | Path) -> PaperResults:
        """Open the results in a directory.

        Raises:
            LastbitError: the directory holds none.
            DamagedError: its index does not match its checksum.
        """
        directory = _PaperDirectory(root, Kind.PAPER)
        if not directory.is_begun():
            raise LastbitError(f"{root} holds no results of the paper: there is no {INDEX} in it")
        return cls(root, directory.description()["scale"])

    def check(self) -> None:
        """Check that the directory is new, empty or holds results of this scale.

        Raises:
            LastbitError: it holds another scale's results, or other files.
        """
        self._directory.check({"scale": self.scale})

    def claimed(self) -> AbstractContextManager[None]:
        """Reserve the directory for this scale, and lock out every other process while the block runs.

        Raises:
            LastbitError: as `check` does; or another process is using it.
        """
        return self._directory.claimed({"scale": self.scale})

    def load(self, item: Item) -> Made | None:
        """Return an item's stored result; None if there is none of the same settings that the item can read.

        Raises:
            LastbitError: its file is not JSON.
            DamagedError: it does not match its checksum.
        """
        path = self.path(item)
        if not path.is_file():
            return None
        content = _read(path)
        settings = json.loads(to_json(item.scale(self.scale).settings))
        if content is None:
            return None
        result, seconds, fingerprint = (content.get(name) for name in ("result", "seconds", "fingerprint"))
        if not isinstance(result, dict) or not isinstance(seconds, int | float) or not isinstance(fingerprint, dict):
            return None
        same = (result.get("scale"), result.get("settings")) == (self.scale, settings)
        return Made(result, seconds, fingerprint) if same and _is_readable(item, result) else None

    def save(self, item: Item, made: Made) -> None:
        """Store an item's result, and delete the record of an earlier failure."""
        self._directory.write(f"{item.id}.json", {"format": FORMAT, **asdict(made)})
        self.failure_path(item).unlink(missing_ok=True)

    def save_failure(self, item: Item, traceback: str) -> Path:
        """Store the traceback of an item that failed, and return its path."""
        path = self.failure_path(item)
        write_atomically(path, traceback.encode("utf-8", "replace"))
        return path

    def write_index(self, claimed: Mapping[str, tuple[Made, list[Claim]]]) -> None:
        """Write the index.

        Args:
            claimed: each item's result and claims, by the item's id.

        Raises:
            LastbitError: it cannot be written.
        """
        with writing(self.root):
            index = {"format": FORMAT, "scale": self.scale, "items": self.as_json(claimed)}
            self._directory.write(INDEX, index, indent=1)

    def as_json(self, claimed: Mapping[str, tuple[Made, list[Claim]]]) -> list[dict[str, Any]]:
        """Return each item's claims and its seconds, as in the index."""
        return [
            {"id": id, "scale": self.scale, "claims": claims, "seconds": made.seconds}
            for id, (made, claims) in claimed.items()
        ]

    def path(self, item: Item) -> Path:
        """Return the path of an item's result, whether or not it exists."""
        return self.root / f"{item.id}.json"

    def failure_path(self, item: Item) -> Path:
        """Return the path of the traceback of an item that failed, whether or not it exists."""
        return self.root / "failed" / f"{item.id}.txt"


def _is_readable(item: Item, result: Result) -> bool:
    """Whether a stored result has everything that the item reads; one stored by an earlier version may not."""
    try:
        item.read(result)
    except (*OTHER_SHAPE, ValueError):
        return False
    return True


def _read(path: Path) -> dict[str, Any] | None:
    """Return the content of a file, verified unless it is of format 1; None if it is of neither format."""
    content = read_json(path)
    if not isinstance(content, dict) or content.get("format") not in (1, FORMAT):
        return None
    return content if content["format"] == 1 else verified(content, path)


def _read_index(path: Path) -> dict[str, Any]:
    index = _read(path)
    if index is None or index.get("scale") not in SCALES:
        raise LastbitError(f"{path} is no index of the paper's results")
    return index


def write_page(results: PaperResults, claimed: Mapping[str, tuple[Made, list[Claim]]]) -> Path:
    """Draw the page of all stored results, write the index anew, and return the path of the page.

    Args:
        results: the directory of both.
        claimed: what is stored there, from `claims_of`.

    Raises:
        LastbitError: they cannot be written.
    """
    results.write_index(claimed)
    path = results.root / PAGE
    entries = [_entry(id, results.scale, made, claims) for id, (made, claims) in claimed.items()]
    with writing(results.root):
        write_paper_page(entries, path, missing=[id for id in ITEMS if id not in claimed])
    return path


def claims_of(results: PaperResults) -> dict[str, tuple[Made, list[Claim]]]:
    """Return the stored results with their claims, by the item's id, in the paper's order.

    Raises:
        LastbitError: a stored result is damaged.
    """
    stored = [(item, results.load(item)) for item in ITEMS.values()]
    return {item.id: (made, item.claims(made.result)) for item, made in stored if made is not None}


def _entry(id: str, scale: str, made: Made, claims: list[Claim]) -> Entry:
    item = ITEMS[id]
    return Entry(
        id=id,
        title=item.title,
        shows=item.shows,
        scale=scale,
        cuts=item.scale(scale).cuts,
        seconds=made.seconds,
        published=item.published,
        settings=made.result["settings"],
        fingerprint=made.fingerprint,
        claims=claims,
        drawings=item.draw(made.result),
    )
