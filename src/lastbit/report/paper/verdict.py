"""How many claims hold, do not, or are not decided, and how long things took, in words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from lastbit.report.numbers import joined

_MINUTE, _HOUR, _DAY = 60.0, 3600.0, 86_400.0


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
    outcomes = [each["holds"] for each in claims]
    return Tally(outcomes.count(True), outcomes.count(False), outcomes.count(None))


def duration(seconds: float) -> str:
    """A duration in the unit that people would say: `0.4 s`, `25 s`, `4 min`, `2.5 h`, `3 days`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 1.5 * _MINUTE:
        return f"{seconds:.0f} s"
    if seconds < 1.5 * _HOUR:
        return f"{seconds / _MINUTE:.0f} min"
    return f"{seconds / _HOUR:.1f} h" if seconds < 2 * _DAY else f"{seconds / _DAY:.0f} days"
