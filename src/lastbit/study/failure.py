"""How trials fail: what is kept of a failure, and which failures every other trial would repeat."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from lastbit.execution.jobs import Outcome
from lastbit.study.trial import Trial

_LINES = 10  # that are kept of an error's text
_ENOUGH = 2  # trials that fail alike, and first


@dataclass(frozen=True)
class Failure:
    """How a trial failed when it was last tried; it is run again with the next call."""

    exit_code: int | None  # of its process, negative for the signal that killed it; None where it had no process
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

    def __init__(self, failures: Sequence[Outcome[Trial]], *, untried: int = 0) -> None:
        self.failures, self.untried = tuple(failures), untried
        first = failures[0]
        super().__init__(f"{len(failures)} trial(s) failed, first {first.trial.label}: {first.error}")


class RepeatedFailure:
    """Looks at a study's outcomes as they come, and notices where the first two failed alike.

    Only failures count that every trial would repeat, since neither noise nor training has a part in them: before the
    first update, or by the exit status after the training.
    """

    def __init__(self) -> None:
        self._errors: list[tuple[int | None, str]] | None = []  # None once a trial has come further than that

    def is_shown_by(self, outcome: Outcome[Trial]) -> bool:
        """Whether this outcome shows that all trials to come would fail alike."""
        if self._errors is None:
            return False
        self._errors.append((outcome.exit_code, _essence(outcome)))
        if not (outcome.untrained or outcome.exited) or len(set(self._errors)) > 1:
            self._errors = None
        return self._errors is not None and len(self._errors) == _ENOUGH


def _essence(outcome: Outcome[Trial]) -> str:
    """The last line of an error without what differs between trials: its id, its seed, a number."""
    lines = (outcome.error or "").rstrip().splitlines() or [""]
    return re.sub("[0-9]+", "#", lines[-1].replace(outcome.trial.id, ""))
