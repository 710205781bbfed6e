"""A trial that failed: how it ended, for the study's results; it is run again with the next call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lastbit.study.execute import Outcome

_LINES = 10


@dataclass(frozen=True)
class Failure:
    """How a trial failed."""

    exit_code: int | None  # of its process, negative for the signal that killed it; None where it had none of its own
    last_lines: Sequence[str]  # of its traceback, or of what it wrote

    @property
    def outcome(self) -> str:
        """In words: `failed with exit code 1`."""
        if self.exit_code is None:
            return "failed"
        if self.exit_code < 0:
            return f"killed by signal {-self.exit_code}"
        return f"failed with exit code {self.exit_code}"

    def as_json(self) -> dict[str, Any]:
        """Plain data."""
        return {**asdict(self), "outcome": self.outcome}


def failure(error: str, exit_code: int | None) -> Failure:
    """Keep of an error's text what says most, its end."""
    return Failure(exit_code, tuple(error.rstrip().splitlines()[-_LINES:]))


class TrialFailedError(RuntimeError):
    """Trials whose training function raised or whose worker died; the others of the study are stored.

    Attributes:
        failures: how they failed.
        untried: trials left out, since all of them would have failed alike.
    """

    def __init__(self, failures: Sequence[Outcome], *, untried: int = 0) -> None:
        self.failures, self.untried = tuple(failures), untried
        first = failures[0]
        super().__init__(f"{len(failures)} trial(s) failed, first {first.trial.label}: {first.error}")
