"""The page of a directory of results."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from lastbit.paper.catalogue import ITEMS
from lastbit.paper.item import Claim
from lastbit.paper.results import Made, PaperResults
from lastbit.report.paper import Entry, write_paper_page
from lastbit.storage.files import writing

PAGE = "paper.html"


def write_page(results: PaperResults, claimed: Mapping[str, tuple[Made, list[Claim]]]) -> Path:
    """Draw the page of all stored results, and write the index anew.

    Args:
        results: where both are written.
        claimed: what is stored there, as `claims_of` gives it.

    Returns:
        Where the page is.

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
    """The stored results with their claims, by the item's id in the paper's order.

    Raises:
        LastbitError: a stored result is damaged.
    """
    stored = [(item, results.load(item)) for item in ITEMS.values()]
    return {item.id: (made, item.claims(made.result)) for item, made in stored if made is not None}


def _entry(id: str, scale: str, made: Made, claims: list[Claim]) -> Entry:
    item = ITEMS[id]
    settings: Mapping[str, object] = made.result["settings"]
    return Entry(
        id=id,
        title=item.title,
        shows=item.shows,
        scale=scale,
        cuts=item.scale(scale).cuts,
        seconds=made.seconds,
        published=item.published,
        settings=settings,
        fingerprint=made.fingerprint,
        claims=claims,
        drawings=item.draw(made.result),
    )
