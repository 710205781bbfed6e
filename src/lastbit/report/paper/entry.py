"""An item as the page shows it, everything in words."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lastbit.report.figure import Figure
from lastbit.report.numbers import MISSING
from lastbit.report.paper.verdict import Tally, duration, tally
from lastbit.report.paper.words import in_words, interval_in_words
from lastbit.report.pde import Table
from lastbit.report.settings_table import flat_settings


@dataclass(frozen=True)
class Outcome:
    """Whether a claim holds: a style, a mark, and the mark in words."""

    style: str
    mark: str
    said: str


_OUTCOMES = {
    True: Outcome("holds", "✓", "holds"),
    False: Outcome("fails", "✗", "does not hold"),
    None: Outcome("open", "?", "not decided"),
}


@dataclass(frozen=True)
class ShownClaim:
    """A claim in words."""

    text: str
    outcome: Outcome
    evidence: list[tuple[str, str]]  # what was published, measured, and between which bounds
    reason: str


@dataclass(frozen=True)
class Entry:
    """An item with its result."""

    id: str
    title: str
    shows: str
    scale: str
    cuts: str  # in words; empty where nothing is cut
    seconds: float
    published: Mapping[str, Any]
    settings: Mapping[str, Any]
    fingerprint: Mapping[str, Any]
    claims: Sequence[Mapping[str, Any]]
    drawings: Sequence[Figure | Table]

    @property
    def name(self) -> str:
        """The id as the paper writes it: `Figure 5`, `Theorem 5.4`."""
        numbered = re.fullmatch(r"(figure|table|theorem)([\d._]+)", self.id)
        if numbered is None:
            return re.sub("[-_]", " ", self.id).capitalize().replace("Resnet", "ResNet-")
        word, number = numbered.groups()
        return f"{word.capitalize()} {'.'.join(re.findall('[0-9]', number)) if word == 'theorem' else number}"

    @property
    def tally(self) -> Tally:
        """Its claims by their outcome."""
        return tally(self.claims)

    @property
    def shown_claims(self) -> list[ShownClaim]:
        """Its claims in words."""
        return [_shown(each) for each in self.claims]

    @property
    def done(self) -> str:
        """What was cut, and how long it took."""
        took = f"It took {duration(self.seconds)}."
        if not self.cuts:
            return f"Run with the paper's settings, nothing cut. {took}"
        return f"Cut at scale “{self.scale}”: {self.cuts}. {took}"

    @property
    def published_rows(self) -> list[tuple[str, str]]:
        """What the paper gives, by name."""
        return [(name.replace("_", " "), in_words(value)) for name, value in self.published.items()]

    @property
    def settings_rows(self) -> list[tuple[str, str]]:
        """Every setting by its dotted name."""
        return flat_settings(self.settings)

    @property
    def fingerprint_rows(self) -> list[tuple[str, str]]:
        """What the numbers were computed with."""
        return flat_settings(self.fingerprint)

    @property
    def figures(self) -> list[Figure]:
        """The drawings that are charts with something to draw."""
        return [each for each in self.drawings if isinstance(each, Figure) and each.is_drawn]


def _shown(claim: Mapping[str, Any]) -> ShownClaim:
    evidence = [
        ("published", in_words(claim["published"])),
        ("measured", in_words(claim["measured"])),
        ("interval", interval_in_words(claim["interval"])),
    ]
    return ShownClaim(
        text=str(claim["claim"]),
        outcome=_OUTCOMES[claim["holds"]],
        evidence=[(name, value) for name, value in evidence if value != MISSING],
        reason=str(claim["reason"]),
    )
