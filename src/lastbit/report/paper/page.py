"""The page `paper.html`: every item beside its published numbers, and above them what does not hold."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lastbit.report.document import document
from lastbit.report.libraries import javascript
from lastbit.report.paper.entry import Entry, ShownClaim
from lastbit.report.paper.verdict import duration, tally
from lastbit.storage.files import write_output


def write_paper_page(entries: Sequence[Entry], path: Path, *, missing: Sequence[str] = ()) -> None:
    """Write one HTML page for items of one scale; it opens offline and asks for nothing else.

    Args:
        entries: in the paper's order.
        path: of the page; it is replaced in one step, and its directory made where it is missing.
        missing: ids of the items that have no result.
    """
    page = render(entries, libraries=javascript(), missing=missing)
    write_output(Path(path), page.encode("utf-8", "replace"))


def render(entries: Sequence[Entry], *, libraries: str, missing: Sequence[str] = ()) -> str:
    """The page's HTML.

    Args:
        entries: in the paper's order.
        libraries: JavaScript that defines `vegaEmbed`, as `javascript()` gives it.
        missing: ids of the items that have no result.
    """
    return document(
        "paper.html.j2",
        specs=_specs(entries),
        libraries=libraries,
        entries=entries,
        tally=tally(claim for entry in entries for claim in entry.claims),
        failing=_with_outcome(entries, "fails"),
        undecided=_with_outcome(entries, "open"),
        scale=entries[0].scale if entries else "",
        took=duration(sum(entry.seconds for entry in entries)),
        missing=missing,
    )


def _specs(entries: Sequence[Entry]) -> dict[str, Any]:
    """Vega-Lite of every chart by the id of its place on the page."""
    return {f"{entry.id}-{figure.name}": figure.spec() for entry in entries for figure in entry.figures}


def _with_outcome(entries: Sequence[Entry], style: str) -> list[tuple[Entry, list[ShownClaim]]]:
    """The items that have claims of this outcome, with these."""
    chosen = ((entry, [claim for claim in entry.shown_claims if claim.outcome.style == style]) for entry in entries)
    return [(entry, claims) for entry, claims in chosen if claims]
