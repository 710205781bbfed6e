"""Claims and their values in words."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from lastbit.report.numbers import MISSING, joined, significant

_EXACT = 1_000_000  # whole numbers below this are written out


@dataclass(frozen=True)
class Tally:
    """Claims by their outcome."""

    hold: int
    fail: int
    undecided: int

    @property
    def total(self) -> int:
        """All claims."""
        return self.hold + self.fail + self.undecided

    @property
    def marks(self) -> str:
        """Their numbers beside their marks: `✓ 5 ✗ 1`; nothing of which there is none."""
        counted = (("✓", self.hold), ("✗", self.fail), ("?", self.undecided))
        return " ".join(f"{mark} {count}" for mark, count in counted if count)

    @property
    def sentence(self) -> str:
        """As in `Of 12 claims 9 hold, 2 do not and 1 is not decided`."""
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
    """A value of plain JSON as people read it: `0.1`, `12 and 14`, `1: 90 to 100; 2: 10 to 20`.

    Args:
        value: number, text, list or mapping of such; None for what there is none of.
    """
    return _words(value, nested=False)


def interval_in_words(interval: list[float | None] | None) -> str:
    """An interval: `0.09 to 0.1`; other lengths are lists."""
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
