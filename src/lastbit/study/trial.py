"""A trial: one training of a study, identified by a hash of all that decides its outcome; and how it may fail."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from lastbit.execution.jobs import Outcome
from lastbit.noise import Noise
from lastbit.storage.files import sha256, to_json

_LINES = 10  # that are kept of an error's text
_IDENTITY = ("settings", "seed", "noise", "replica", "seeds")  # the keys of a trial's plain JSON
_ENOUGH = 2  # trials that fail alike, and first


@dataclass(frozen=True)
class Trial:
    """What is trained, with which seeds and noise; `replica` tells repetitions of the very same trial apart."""

    settings: Mapping[str, Any]  # plain JSON: whatever decides the training besides seeds and noise
    seed: int  # its seed group: trials of one seed differ in their noise alone
    noise: Noise
    replica: int = 0
    seeds: Mapping[str, int] = field(default_factory=dict)  # of each source that has one; empty: `seed` decides all

    def as_json(self) -> dict[str, Any]:
        """The trial as plain JSON, from which its id is made; seeds by source are there where it has some."""
        return {
            "settings": dict(self.settings),
            "seed": self.seed,
            "noise": self.noise.as_json(),
            "replica": self.replica,
            **({"seeds": dict(self.seeds)} if self.seeds else {}),
        }

    @property
    def id(self) -> str:
        """Sixteen hexadecimal digits of the SHA-256 of the trial's canonical JSON."""
        return trial_id(self.as_json())

    @property
    def label(self) -> str:
        """For people: `seed 1, k=3`, or `init 2, order 7, k=3`."""
        seeds = ", ".join(f"{name} {seed}" for name, seed in (self.seeds or {"seed": self.seed}).items())
        return f"{seeds}, {self.noise.label}" + (f", repeat {self.replica}" if self.replica else "")


def trial_id(description: Mapping[str, Any]) -> str:
    """The id of the trial that `as_json` gave, or a file holds, this description of.

    Args:
        description: with the keys that `Trial.as_json` gives; others do not count.
    """
    identity = {name: description[name] for name in _IDENTITY if name in description}
    return sha256(to_json(identity).encode())[:16]


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
