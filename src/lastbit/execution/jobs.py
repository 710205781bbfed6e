"""What is executed: jobs, the runner that runs them in any process, how a job went, and which worker gets which job."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from lastbit.errors import LastbitError

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
    core_seconds: float = 0.0  # that the process it ran in computed for it, all its threads together
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


class SeedGroups(Generic[J]):
    """Gives the jobs of a study, seed by seed, to workers of different bit fingerprints.

    Workers of one fingerprint go on with the seeds that they have begun and then take the next free one, with all its
    jobs. Faster and more workers so get more seeds, and a worker that comes later takes part. In the first seed of a
    fingerprint the controls run before everything else.

    Args:
        waiting: the jobs to be run of each seed, in the study's order of seeds; a seed with none has an empty list.
        owners: the bit fingerprint of each seed of which a job is stored.
        controls: gives the control jobs at a seed that are not stored yet.
    """

    def __init__(
        self,
        waiting: Mapping[int, Sequence[J]],
        owners: Mapping[int, str],
        controls: Callable[[int], Sequence[J]],
    ) -> None:
        self._order = {seed: place for place, seed in enumerate(waiting)}
        self._controls = controls
        self._free = deque(seed for seed, jobs in waiting.items() if jobs and seed not in owners)
        self._waiting = {seed: deque(jobs) for seed, jobs in waiting.items()}
        self._owned: dict[BitFingerprint, deque[int]] = {}  # seeds with jobs that wait
        self.firsts: dict[BitFingerprint, int] = {}  # the seed at which the controls of each fingerprint run
        for seed, bits in owners.items():
            self._own(seed, bits)
        for owner, first in self.firsts.items():
            self._lead(owner, first)

    def next_for(self, bits: BitFingerprint) -> J | None:
        """The next job for a worker of this fingerprint; None where there is none left for it."""
        owned = self._owned.setdefault(bits, deque())
        if not owned and self._free:
            seed = self._free.popleft()
            first = self.firsts.get(bits)
            self._own(seed, bits)
            if self.firsts[bits] != first:
                self._lead(bits, seed)
        if not owned:
            return None
        job = self._waiting[owned[0]].popleft()
        if not self._waiting[owned[0]]:
            owned.popleft()
        return job

    def stranded(self, fingerprints: Iterable[BitFingerprint]) -> dict[int, BitFingerprint]:
        """Seeds that were begun, are not complete, and belong to none of these fingerprints."""
        here = set(fingerprints)
        return {seed: bits for bits, seeds in self._owned.items() if bits not in here for seed in seeds}

    def check(self, there: Mapping[BitFingerprint, str]) -> None:
        """Check that every seed that was begun can be continued.

        Args:
            there: the workers of each fingerprint, in words.

        Raises:
            LastbitError: none of them has the fingerprint of such a seed.
        """
        stranded = self.stranded(there)
        if not stranded:
            return
        seed, wanted = next(iter(stranded.items()))
        more = f" (and {len(stranded) - 1} more)" if len(stranded) > 1 else ""
        present = "; ".join(f"{bits}: {workers}" for bits, workers in there.items())
        raise LastbitError(
            f"seed {seed}{more} was begun with bit fingerprint {wanted}, and no worker has it (there is {present}): go "
            "on where it was begun, leave it out with --seeds, or choose another directory"
        )

    @property
    def is_empty(self) -> bool:
        """Whether every job was given out."""
        return not self._free and not any(self._owned.values())

    def _own(self, seed: int, bits: BitFingerprint) -> None:
        owned = self._owned.setdefault(bits, deque())
        if self._waiting[seed]:
            owned.append(seed)
        first = self.firsts.get(bits)
        if first is None or self._order[seed] < self._order[first]:
            self.firsts[bits] = seed

    def _lead(self, bits: BitFingerprint, seed: int) -> None:
        """Put the controls at a fingerprint's first seed before what else it is to run."""
        controls = self._controls(seed)
        there = {job.id for job in controls}
        rest = [job for job in self._waiting[seed] if job.id not in there]
        owned = self._owned[bits]
        if seed in owned:
            owned.remove(seed)
        self._waiting[seed] = deque([*controls, *rest])
        if self._waiting[seed]:
            owned.appendleft(seed)
