"""What is executed: jobs, the runner that runs them in whichever process it is called, and how a job went."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Protocol, TypeVar

LOOK = 0.5  # seconds after which a wait begins anew: a signal does not wake a thread that sleeps on a lock

# A hash of the bits that a process computes; None where the computation does not repeat itself.
BitFingerprint = str | None


class Job(Protocol):
    """One piece of work, such as a trial of a study."""

    @property
    def id(self) -> str:
        """Its unique name."""

    @property
    def label(self) -> str:
        """Its name in messages."""

    @property
    def seed(self) -> int:
        """Its seed group: jobs of one seed are compared, so all of them need the same bits."""


J = TypeVar("J", bound=Job)


@dataclass(frozen=True)
class Outcome(Generic[J]):
    """How a trial went: stored, or failed with an exception of the training function's own."""

    trial: J
    error: str | None  # the traceback; None where the trial is stored
    fatal: bool = False  # whether every other trial would fail alike, so that none need be tried
    exit_code: int | None = None  # of the trial's own process, where it had one and failed
    seconds: float = 0.0  # from its beginning to its end
    untrained: bool = False  # whether it failed before its first update, so that another would as well
    exited: bool = False  # whether it ended itself with a failing status after its training, as another would


class Runner(Protocol[J]):
    """Runs and stores jobs; plain data, so that it travels to workers."""

    @property
    def root(self) -> Path:
        """The directory that results go to, which all workers must see."""

    @property
    def description(self) -> Path:
        """The file in it that says what it holds, by which it is recognised."""

    @property
    def needs_gpu(self) -> bool:
        """Whether jobs are for workers with a GPU."""

    def with_absolute_root(self) -> Runner[J]:
        """The same for processes that were started in another directory."""

    def check(self) -> None:
        """Check that what the jobs need, such as a data set, is on this machine.

        Raises:
            LastbitError: it is not.
        """

    def bit_fingerprint(self) -> BitFingerprint:
        """The bit fingerprint of this process."""

    def __call__(self, job: J, /) -> Outcome[J]:
        """Run and store one job."""


class WorkerDiedError(RuntimeError):
    """A worker process ended in the middle of its work."""


class LostWorkersError(RuntimeError):
    """All workers are out of reach, so that no job can be run."""


class StoppedError(RuntimeError):
    """Execution was asked to stop before all jobs were done; those that had begun have ended."""
