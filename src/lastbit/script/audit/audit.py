"""Runs a program twice in step, and finds the first tensor operation whose bits differ."""

import os
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from lastbit.errors import LastbitError
from lastbit.files import read_json
from lastbit.script.audit.difference import Difference, first_difference
from lastbit.script.audit.instruments import UNSEEN
from lastbit.script.audit.lockstep import Lockstep
from lastbit.script.child import child_command
from lastbit.script.target import Target

INSTRUMENTS = "lastbit.script.audit.instruments:record"
OUTPUT = "output.txt"
SIDES = ("a", "b")
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

    @property
    def deterministic(self) -> bool:
        """Whether all that was compared is bit-identical."""
        return self.first_difference is None

    def as_json(self) -> dict[str, Any]:
        """Plain data, as `lastbit audit --json` writes it."""
        difference = self.first_difference
        return {
            "deterministic": self.deterministic,
            "operations": self.operations,
            "steps": self.steps,
            "first_difference": None if difference is None else difference.as_json(),
            "unseen": dict(self.unseen),
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
    lockstep = Lockstep.create(directory / "lockstep")
    runs = [_prepare(target, directory, side, steps, threads[side]) for side in (0, 1)]
    processes: list[Process] = []
    try:
        processes += [start(run) for run in runs]
        codes = _watch(processes, lockstep, on_progress)
    finally:
        for process in processes:
            process.kill()
            process.wait()
    _check(codes, runs, lockstep)
    return Audit(
        operations=min(lockstep.events(side) for side in (0, 1)),
        steps=min(lockstep.steps(side) for side in (0, 1)),
        first_difference=first_difference([run.output.parent for run in runs]),
        unseen=read_json(unseen) if (unseen := directory / SIDES[0] / UNSEEN).is_file() else {},
    )


def _prepare(target: Target, directory: Path, side: int, steps: int | None, threads: int | None) -> Run:
    own = directory / SIDES[side]
    own.mkdir()
    settings = {
        "lockstep": str((directory / "lockstep").absolute()),
        "side": side,
        "directory": str(own.absolute()),
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


def _check(codes: list[int], runs: list[Run], lockstep: Lockstep) -> None:
    outputs = [run.output.read_text(encoding="utf-8", errors="replace") for run in runs]
    failed = next((side for side in (0, 1) if codes[side] != 0), None)
    if failed is not None:
        how = (
            "in both runs" if codes[0] == codes[1] else f"and in the other run with {codes[1 - failed]}: they disagree"
        )
        raise ScriptFailedError(f"{runs[0].target.name} ended with exit code {codes[failed]} {how}", outputs[failed])
    if not any(lockstep.events(side) for side in (0, 1)):
        raise ScriptFailedError(f"{runs[0].target.name} did no tensor operation: nothing could be compared", outputs[0])
