"""Two runs of a program at the same time, in step: how they are started, what they left, and what that shows."""

import os
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from lastbit.errors import LastbitError
from lastbit.script.audit.causes import ARITHMETIC
from lastbit.script.audit.difference import Difference, first_difference
from lastbit.script.audit.evidence import ACCOUNT, FIRST_UNWRITTEN, Summary, read_summary
from lastbit.script.audit.ranks import LOCKSTEP, SIDES, Pairs, RankPair
from lastbit.script.environment import FREE_PORT
from lastbit.script.launch import child_command
from lastbit.script.target import Target

INSTRUMENTS = "lastbit.script.audit.instruments:record"
OUTPUT = "output.txt"
_PAUSE = 0.05  # seconds between two looks at the runs
# What must not matter, and is made to differ; the time and the process's number differ by themselves.
_CONDITIONS: tuple[Mapping[str, str], ...] = ({"PYTHONHASHSEED": "1"}, {"PYTHONHASHSEED": "2"})


class ScriptFailedError(LastbitError):
    """The program ended by itself with an error; holds all it printed."""

    def __init__(self, message: str, output: str) -> None:
        super().__init__(message)
        self.output = output


@dataclass(frozen=True)
class RunPair:
    """Two runs that are over."""

    codes: list[int]
    pairs: list[RankPair]  # of their processes, first those that were started here

    @property
    def sides(self) -> list[Path]:
        """The directories of the runs."""
        return self.pairs[0].sides

    @property
    def operations(self) -> int:
        """Operations compared: by the processes that differ where some do, else by all."""
        if self.difference is not None and self._differing is not None:
            return self._differing.operations
        return sum(pair.operations for pair in self.pairs)

    @property
    def steps(self) -> int:
        """Optimizer steps."""
        pair = self._differing if self.difference is not None else None
        return max(pair.steps for pair in self.pairs) if pair is None else pair.steps

    @property
    def summaries(self) -> list[list[Summary]]:
        """What the two processes of each pair said at their end, as far as they did."""
        return [[summary for side in pair.sides if (summary := read_summary(side)) is not None] for pair in self.pairs]

    @cached_property
    def difference(self) -> Difference | None:
        """The first operation at which they differ."""
        return self._first("")

    @property
    def unwritten_difference(self) -> Difference | None:
        """The first operation that took memory that nobody wrote, and differed."""
        return self._first(FIRST_UNWRITTEN)

    @cached_property
    def _differing(self) -> RankPair | None:
        return self._earliest("")

    def _first(self, folder: str) -> Difference | None:
        """The first difference of those in a folder of each process's directory."""
        pair = self._earliest(folder)
        difference = None if pair is None else first_difference([side / folder for side in pair.sides])
        return None if difference is None or pair is None else replace(difference, rank=pair.rank, world=pair.world)

    def _earliest(self, folder: str) -> RankPair | None:
        """The pair whose account is the oldest: what one rank got from another cannot have differed before it did."""
        written = {
            (side / folder / ACCOUNT).stat().st_mtime_ns: pair
            for pair in self.pairs
            for side in pair.sides
            if (side / folder / ACCOUNT).is_file()
        }
        return written[min(written)] if written else None

    @property
    def blames_memory(self) -> bool:
        """Whether what differs, or how they ended, may come from what fresh memory was filled with."""
        summaries = [summary for pair in self.summaries for summary in pair]
        suspect = any(summary.unwritten_differences for summary in summaries)
        filled = any(summary.filled for summary in summaries)
        if any(self.codes):
            disagree = filled and self.codes[0] != self.codes[1]
            return disagree or suspect or any(summary.took_unwritten for summary in summaries)
        if self.difference is None:
            return suspect and any(summary.may_have_escaped for summary in summaries)
        # Values may have gone by Python or NumPy unseen; what is computed from the same inputs has not taken them.
        return suspect or (filled and self.difference.kind != ARITHMETIC)

    def check(self, target: Target) -> None:
        """Check that the runs can be compared.

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


def run_pair(
    target: Target,
    directory: Path,
    *,
    fills: tuple[int, int],
    steps: int | None,
    threads: tuple[int | None, int | None],
    on_progress: Callable[[int, int], None],
) -> RunPair:
    """Run a program twice at the same time, in step.

    Args:
        target: the program.
        directory: for what the runs print and leave, in a folder for each.
        fills: what either run fills fresh memory with, 0, 1 or ALIKE.
        steps: optimizer steps after which to stop; None for the program's end.
        threads: of torch in either run; None for the program's own choice.
        on_progress: called now and then with the numbers of operations and steps so far.
    """
    directory.mkdir(exist_ok=True)
    pairs = Pairs(directory)
    for name in SIDES:
        (directory / name).mkdir()
    processes: list[subprocess.Popen[bytes]] = []
    try:
        for side in (0, 1):
            processes.append(_start(target, directory, side, steps, threads[side], fills[side]))
        codes = _watch(processes, pairs, on_progress)
    finally:
        for process in processes:
            process.kill()
            process.wait()
        pairs.kill()
    return RunPair(codes, list(pairs.done_by_each()))


def _start(
    target: Target, directory: Path, side: int, steps: int | None, threads: int | None, fill: int
) -> subprocess.Popen[bytes]:
    """Start a run in a separate Python process."""
    own = directory / SIDES[side]
    settings = {
        "lockstep": str((directory / LOCKSTEP).absolute()),
        "side": side,
        "fill": fill,
        "directory": str(own.absolute()),
        "other": str((directory / SIDES[1 - side]).absolute()),
        "threads": threads,
        "steps": steps,
    }
    command = child_command(target, INSTRUMENTS, settings)
    counted = {} if threads is None else {"OMP_NUM_THREADS": str(threads)}
    environment = {**_CONDITIONS[side], **os.environ, **FREE_PORT, **counted}
    with (own / OUTPUT).open("wb") as output:
        return subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
        )


def _watch(
    processes: list[subprocess.Popen[bytes]], pairs: Pairs, on_progress: Callable[[int, int], None]
) -> list[int]:
    """Wait until both runs are over, or need not go on."""
    codes: list[int | None] = [None, None]
    while None in codes:
        time.sleep(_PAUSE)
        codes = [process.poll() for process in processes]
        pairs.look([code is not None for code in codes])
        if pairs.are_done:
            return [0, 0]
        on_progress(pairs.operations, pairs.steps)
    return [code for code in codes if code is not None]
