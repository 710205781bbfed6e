"""The page `paper.html`: every item beside its published numbers, and above them the claims that do not hold."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from lastbit.report.charts.figure import Figure
from lastbit.report.numbers import MISSING, duration, joined, significant
from lastbit.report.page import Block, Details, Facts, Heading, Items, Page, Section, Text, write_page
from lastbit.report.settings import flat_settings
from lastbit.report.table import Table

_MARKS = {True: ("holds", "✓ holds"), False: ("fails", "✗ does not hold"), None: ("open", "? not decided")}
_INTRODUCTION = Markup(
    "The paper is <cite>A PDE-based Explanation of Extreme Numerical Sensitivities and Edge of Stability in Training "
    "Neural Networks</cite> by Sun, Lao, Yezzi and Sundaramoorthi "
    '(<a href="https://arxiv.org/abs/2206.02001">arXiv 2206.02001</a>). Each of its tables, figures and theorems was '
    "computed again. A claim is a statement of the paper, or about it, as a test on the numbers that came out: "
    '<span class="mark holds">✓ holds</span>, <span class="mark fails">✗ does not hold</span>, or '
    '<span class="mark open">? not decided</span>, where this scale cannot tell.'
)


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
        """The numbers of its claims by outcome."""
        return tally(self.claims)

    @property
    def done(self) -> str:
        """What was cut, and how long the run took, in sentences."""
        took = f"It took {duration(self.seconds)}."
        if not self.cuts:
            return f"Run with the paper's settings, nothing cut. {took}"
        return f"Cut at scale “{self.scale}”: {self.cuts}. {took}"


def write_paper_page(entries: Sequence[Entry], path: Path, *, missing: Sequence[str] = ()) -> None:
    """Write one HTML page for items of one scale; it opens offline.

    Args:
        entries: in the paper's order.
        path: of the page; it is replaced atomically, and its directory is created if it is missing.
        missing: ids of the items that have no result.
    """
    write_page(paper_page(entries, missing=missing), path)


def paper_page(entries: Sequence[Entry], *, missing: Sequence[str] = ()) -> Page:
    """The page.

    Args:
        entries: in the paper's order.
        missing: ids of the items that have no result.
    """
    counted = tally(claim for entry in entries for claim in entry.claims)
    at_scale = f" at scale “{entries[0].scale}”" if entries else ""
    took = duration(sum(entry.seconds for entry in entries))
    run = f"{len(entries)} of {len(entries) + len(missing)} items were run; together they took {took}."
    not_run = f" Not run: {', '.join(missing)}." if missing else ""
    all_hold = "Every claim that this scale can decide holds." if counted.total else "Nothing was run yet."
    failing, undecided = _with_outcome(entries, False), _with_outcome(entries, None)
    return Page(
        name="paper",
        title="Which claims of the paper hold here?",
        heading="Which claims of the paper hold here?",
        header=[
            Section("", [Text(f"{counted.sentence}{at_scale}.", "finding"), Text(run + not_run, "standing")], "verdict")
        ],
        body=[
            Text(_INTRODUCTION),
            Section("failing", [Heading("What does not hold here"), *(failing or [Text(all_hold)])]),
            *([Section("undecided", [Heading("What this scale cannot decide"), *undecided])] if undecided else []),
            Section("items", [Heading("Every item"), Items([("", [_line(entry)]) for entry in entries], "contents")]),
            *(Section(entry.id, _item(entry)) for entry in entries),
        ],
    )


def _with_outcome(entries: Sequence[Entry], outcome: bool | None) -> list[Block]:
    """The claims of this outcome, item by item."""
    blocks: list[Block] = []
    for entry in entries:
        chosen = [claim for claim in entry.claims if claim["holds"] is outcome]
        if chosen:
            link = Markup('<a href="#{}">{}</a> {}').format(entry.id, entry.name, entry.title)
            blocks += [Heading(link, 4), _claims(chosen)]
    return blocks


def _line(entry: Entry) -> Text:
    return Text(
        Markup('<a href="#{}">{}</a> <span>{}</span> <span class="marks">{}</span>').format(
            entry.id, entry.name, entry.title, entry.tally.marks
        )
    )


def _item(entry: Entry) -> list[Block]:
    published = [(name.replace("_", " "), in_words(value)) for name, value in entry.published.items()]
    return [
        Heading(Markup('<span class="number">{}</span> {}').format(entry.name, entry.title)),
        Text(entry.shows, "lead"),
        Text(entry.done, "standing"),
        _claims(entry.claims),
        *entry.drawings,
        Details(
            "Published numbers, settings and numerics",
            [
                Heading("The paper gives", 4),
                Facts(published),
                Heading("Settings", 4),
                Facts(flat_settings(entry.settings)),
                Heading("Numerics", 4),
                Facts(flat_settings(entry.fingerprint)),
            ],
        ),
        Text(Markup('<a href="#items">All items</a>')),
    ]


def _claims(claims: Sequence[Mapping[str, Any]]) -> Items:
    return Items([(_MARKS[claim["holds"]][0], _claim(claim)) for claim in claims], "claims")


def _claim(claim: Mapping[str, Any]) -> list[Block]:
    evidence = [
        ("published", in_words(claim["published"])),
        ("measured", in_words(claim["measured"])),
        ("interval", interval_in_words(claim["interval"])),
    ]
    known = [(name, value) for name, value in evidence if value != MISSING]
    words = Markup('<span class="mark">{}</span> {}.').format(_MARKS[claim["holds"]][1], claim["claim"])
    return [
        Text(words),
        *([Facts(known, "evidence")] if known else []),
        *([Text(claim["reason"], "note")] if claim["reason"] else []),
    ]


_EXACT = 1_000_000  # whole numbers below this are written out


@dataclass(frozen=True)
class Tally:
    """Numbers of claims by outcome."""

    hold: int
    fail: int
    undecided: int

    @property
    def total(self) -> int:
        """The number of all claims."""
        return self.hold + self.fail + self.undecided

    @property
    def marks(self) -> str:
        """The numbers with their marks, such as `✓ 5 ✗ 1`; zeros are left out."""
        counted = (("✓", self.hold), ("✗", self.fail), ("?", self.undecided))
        return " ".join(f"{mark} {count}" for mark, count in counted if count)

    @property
    def sentence(self) -> str:
        """A sentence such as `Of 12 claims 9 hold, 2 do not and 1 is not decided`."""
        parts = [
            f"{self.hold} hold{'s' if self.hold == 1 else ''}",
            *([f"{self.fail} do{'es' if self.fail == 1 else ''} not"] if self.fail else []),
            *([f"{self.undecided} {'is' if self.undecided == 1 else 'are'} not decided"] if self.undecided else []),
        ]
        return f"Of {self.total} claim{'' if self.total == 1 else 's'} {joined(parts)}"


def tally(claims: Iterable[Mapping[str, Any]]) -> Tally:
    """Count claims by their outcome."""
    outcomes = [claim["holds"] for claim in claims]
    return Tally(outcomes.count(True), outcomes.count(False), outcomes.count(None))


def in_words(value: Any) -> str:
    """Write a value of plain JSON for people: `0.1`, `12, 14`, `blow up step: 912; growth: 2.19`.

    Args:
        value: a number, a text, or a list or mapping of such; None if it is missing.
    """
    return _words(value, nested=False)


def interval_in_words(interval: list[float | None] | None) -> str:
    """Write an interval: `0.09 to 0.1`; what does not have two ends is written as a list."""
    if interval is not None and len(interval) == 2:
        low, high = (_words(end, nested=True) for end in interval)
        return f"{low} to {high}" if low != high else low
    return in_words(interval)


def _words(value: Any, *, nested: bool) -> str:
    if value is None or value == "":
        return MISSING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return f"{value:,}" if isinstance(value, int) and abs(value) < _EXACT else significant(value)
    if isinstance(value, Mapping):
        parts = [f"{str(key).replace('_', ' ')}: {_words(part, nested=True)}" for key, part in value.items()]
        return _in_brackets("; ".join(parts), nested)
    if isinstance(value, list | tuple):
        return _in_brackets(", ".join(_words(part, nested=True) for part in value) or "none", nested)
    return str(value)


def _in_brackets(text: str, nested: bool) -> str:
    return f"({text})" if nested else text
