"""Runs a program twice in step, and finds the first tensor operation whose bits differ."""

import os
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Protocol

from lastbit.errors import LastbitError
from lastbit.script.audit.account import SUSPECT
from lastbit.script.audit.difference import Difference, first_difference
from lastbit.script.audit.lockstep import Lockstep
from lastbit.script.audit.notes import notes
from lastbit.script.audit.poison import ALIKE
from lastbit.script.audit.summary import Summary, read_summary
from lastbit.script.child import child_command
from lastbit.script.target import Target

INSTRUMENTS = "lastbit.script.audit.instruments:record"
OUTPUT = "output.txt"
SIDES = ("a", "b")
AGAIN = "again"  # folder of a second look
_BREAKS = (
    "it fails where fresh memory holds other values than zeros: it uses what a tensor of torch.empty or the like held"
)
_PAUSE = 0.05  # seconds between two looks at the runs
# What must not matter, and is made to differ; the time and the process's number differ by themselves.
_CONDITIONS: tuple[Mapping[str, str], ...] = ({"PYTHONHASHSEED": "1"}, {"PYTHONHASHSEED": "2"})


class ScriptFailedError(LastbitError):
    """The program ended by itself with an error; holds all it printed."""

    def __init__(self, message: str, output: str) -> None:
        super().__init__(message)
        self.output = output


@dataclass(frozen=True)
class Audit:
    """What two runs in step have shown."""

    operations: int  # compared, the first that differs among them
    steps: int  # optimizer steps
    first_difference: Difference | None
    unseen: Mapping[str, int]  # operation -> results whose values could not be looked at
    unobserved: Mapping[str, int] = field(default_factory=dict)  # what was let through -> how many operations of it
    notes: tuple[str, ...] = ()  # what else may differ from run to run

    @property
    def deterministic(self) -> bool:
        """Whether two runs agree in the bits of all that was compared, fresh memory being filled alike."""
        return self.first_difference is None or self.first_difference.only_filled

    def as_json(self) -> dict[str, Any]:
        """Plain data, as `lastbit audit --json` writes it."""
        difference = self.first_difference
        return {
            "deterministic": self.deterministic,
            "operations": self.operations,
            "steps": self.steps,
            "first_difference": None if difference is None else difference.as_json(),
            "unseen": dict(self.unseen),
            "unobserved": dict(self.unobserved),
            "notes": list(self.notes),
        }


class Process(Protocol):
    """A run at work, as `subprocess.Popen` gives it."""

    def poll(self) -> int | None:
        """Its exit code, or None while it runs."""

    def kill(self) -> None:
        """End it."""

    def wait(self) -> int:
        """Wait until it is over; its exit code."""


@dataclass(frozen=True)
class Run:
    """One of the two runs."""

    target: Target
    side: int
    settings: Mapping[str, Any]  # for the instruments
    environment: Mapping[str, str]
    output: Path  # file for all it prints


def start_process(run: Run) -> subprocess.Popen[bytes]:
    """Start a run in a Python process of its own."""
    command = child_command(run.target, INSTRUMENTS, run.settings)
    with run.output.open("wb") as output:
        return subprocess.Popen(
            command, env=dict(run.environment), stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
        )


def audit(
    target: Target,
    directory: Path,
    *,
    steps: int | None = None,
    threads: tuple[int | None, int | None] = (None, None),
    start: Callable[[Run], Process] = start_process,
    on_progress: Callable[[int, int], None] = lambda operations, steps: None,
) -> Audit:
    """Run a program twice at the same time and compare every tensor operation as it happens.

    The runs share command, working directory and environment; they differ in what must not matter: the time, the
    process's number, the seed of Python's hashes (unless PYTHONHASHSEED is set) and the contents of memory that is
    allocated without values. The first difference stops both.

    Args:
        target: the program.
        directory: an empty one, for what the runs print and for an account of the difference.
        steps: optimizer steps after which to stop; None for the program's end.
        threads: of torch in either run; None for the program's own choice.
        start: starts a run.
        on_progress: called now and then with the numbers of operations and steps so far.

    Raises:
        ScriptFailedError: a run ended with an error, the two ended differently, or neither did a tensor operation.
    """
    look = partial(_look, target, steps=steps, threads=threads, start=start, on_progress=on_progress)
    first = look(directory, fills=(0, 1))
    if not first.blames_memory:
        first.check(target)
        return _audit(first, first.difference)
    # Before memory is blamed: the same with all of it filled alike, which is what plain runs mostly find.
    again = look(directory / AGAIN, fills=(ALIKE, ALIKE))
    again.check(target)
    suspect = first_difference([side / SUSPECT for side in first.sides])
    if again.difference is not None:
        return _audit(again, again.difference)
    found = _audit(again, None if suspect is None else replace(suspect, only_filled=True))
    return replace(found, notes=(*found.notes, _BREAKS)) if any(first.codes) else found


@dataclass(frozen=True)
class _Look:
    """Two runs that are over."""

    codes: list[int]
    sides: list[Path]  # directories
    operations: int
    steps: int

    @property
    def summaries(self) -> list[Summary]:
        """What the runs said at their end, as far as they did."""
        return [summary for side in self.sides if (summary := read_summary(side)) is not None]

    @cached_property
    def difference(self) -> Difference | None:
        """The first operation at which they differ."""
        return first_difference(self.sides)

    @property
    def blames_memory(self) -> bool:
        """Whether what differs, or how they ended, may come from what fresh memory was filled with."""
        summaries = self.summaries
        if any(self.codes):
            return any(summary.took_unwritten or summary.suspect for summary in summaries)
        suspect = any(summary.suspect for summary in summaries)
        return suspect and (self.difference is not None or any(summary.suspicious for summary in summaries))

    def check(self, target: Target) -> None:
        """Check that the runs tell something.

        Raises:
            ScriptFailedError: one ended with an error, or neither did a tensor operation.
        """
        outputs = [(side / OUTPUT).read_text(encoding="utf-8", errors="replace") for side in self.sides]
        codes = self.codes
        failed = next((side for side in (0, 1) if codes[side] != 0), None)
        if failed is not None:
            how = "in both runs" if codes[0] == codes[1] else f"and in the other run with {codes[1 - failed]}"
            how += "" if codes[0] == codes[1] else ": they disagree"
            raise ScriptFailedError(f"{target.name} ended with exit code {codes[failed]} {how}", outputs[failed])
        if not self.operations:
            raise ScriptFailedError(f"{target.name} did no tensor operation: nothing could be compared", outputs[0])


def _audit(look: _Look, difference: Difference | None) -> Audit:
    summaries = look.summaries
    return Audit(
        operations=look.operations,
        steps=look.steps,
        first_difference=difference,
        unseen=summaries[0].unseen if summaries else {},
        unobserved=summaries[0].unobserved if summaries else {},
        notes=tuple(notes(summaries)) if difference is None or difference.only_filled else (),
    )


def _look(
    target: Target,
    directory: Path,
    *,
    fills: tuple[int, int],
    steps: int | None,
    threads: tuple[int | None, int | None],
    start: Callable[[Run], Process],
    on_progress: Callable[[int, int], None],
) -> _Look:
    """Run the program twice at the same time."""
    directory.mkdir(exist_ok=True)
    lockstep = Lockstep.create(directory / "lockstep")
    runs = [_prepare(target, directory, side, steps, threads[side], fills[side]) for side in (0, 1)]
    processes: list[Process] = []
    try:
        processes += [start(run) for run in runs]
        codes = _watch(processes, lockstep, on_progress)
    finally:
        for process in processes:
            process.kill()
            process.wait()
    return _Look(
        codes,
        [run.output.parent for run in runs],
        operations=min(lockstep.events(side) for side in (0, 1)),
        steps=min(lockstep.steps(side) for side in (0, 1)),
    )


def _prepare(target: Target, directory: Path, side: int, steps: int | None, threads: int | None, fill: int) -> Run:
    own = directory / SIDES[side]
    own.mkdir()
    settings = {
        "lockstep": str((directory / "lockstep").absolute()),
        "side": side,
        "fill": fill,
        "directory": str(own.absolute()),
        "other": str((directory / SIDES[1 - side]).absolute()),
        "threads": threads,
        "steps": steps,
    }
    counted = {} if threads is None else {"OMP_NUM_THREADS": str(threads)}
    return Run(target, side, settings, {**_CONDITIONS[side], **os.environ, **counted}, own / OUTPUT)


def _watch(processes: list[Process], lockstep: Lockstep, on_progress: Callable[[int, int], None]) -> list[int]:
    """Wait until both runs are over; tell either of the other's end, however it came."""
    codes: list[int | None] = [None, None]
    while None in codes:
        time.sleep(_PAUSE)
        for side, process in enumerate(processes):
            codes[side] = process.poll()
            if codes[side] is not None:
                lockstep.end(side)
        on_progress(lockstep.events(0), lockstep.steps(0))
    return [code for code in codes if code is not None]
