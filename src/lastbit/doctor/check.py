"""One thing that was looked at."""

from dataclasses import dataclass
from enum import StrEnum


class Outcome(StrEnum):
    """How it stands."""

    OK = "OK"
    NOTE = "note"  # worth knowing, and no obstacle
    FAILS = "fails"
    UNCHECKED = "cannot be checked here"


@dataclass(frozen=True)
class Check:
    """What was looked at, how it stands, and what to do."""

    name: str
    outcome: Outcome
    said: str  # one sentence or two: what was found, and what to do about it
