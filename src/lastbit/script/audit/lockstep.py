"""Two processes that compare what they do, word by word, as they do it, and show each other where they disagree."""

from __future__ import annotations

import mmap
import os
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from torch import Tensor

# Words of a run's half, each on a separate cache line where the other run waits for it.
_SLOTS, _ASIDE, _EVENTS, _STEPS, _ENDED = 0, 2, 8, 9, 10
_HALF = 16
_SIZE = 2 * _HALF * 8  # bytes
_MASK = (1 << 62) - 1
_ENDS, _WAITS = 1, 2
_POLLS = 100  # the other run is on another core and nearly there
_YIELDS = 2000  # it may need this core
_NAP = 1e-4  # seconds; an operation of the other run takes long

_FILE = "shown.safetensors"


class Lockstep:
    """Memory that two runs share: a run writes what it computed there, and waits until the other has done so.

    A word holds its turn's parity beside its value, and is written in one piece: no word is read half or too early. Two
    slots suffice, since no run is more than one word ahead. `side` is 0 or 1. Fresh memory is all zeros, which is no
    word of the first turn.
    """

    def __init__(self, path: Path, side: int) -> None:
        with path.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), _SIZE)
        self._words = memoryview(self._memory).cast("Q")
        self._mine, self._theirs = side * _HALF, (1 - side) * _HALF
        self._asides = 0

    @classmethod
    def create(cls, path: Path) -> Self:
        """Make the shared file, for the process that watches both runs."""
        path.write_bytes(bytes(_SIZE))
        return cls(path, 0)

    @staticmethod
    def share(path: Path) -> None:
        """Make the shared file unless the other run's process was faster."""
        mine = path.with_name(f"{path.name}.{os.getpid()}")
        mine.write_bytes(bytes(_SIZE))
        with suppress(FileExistsError):
            path.hardlink_to(mine)
        mine.unlink()

    def agree(self, event: int, value: int) -> bool:
        """Publish the value of this run's event number `event`, from 0; return whether the other run's is the same.

        False also where the other run ended before it came so far.
        """
        word = self._say(_SLOTS, event, value)
        self._words[self._mine + _EVENTS] = event + 1
        return self._other(self._theirs + _SLOTS + (event & 1), word & 1) == word

    def agree_aside(self, value: int) -> bool:
        """Compare as `agree` does, beside the events: what to make of a disagreement."""
        turn, self._asides = self._asides, self._asides + 1
        word = self._say(_ASIDE, turn, value)
        return self._other(self._theirs + _ASIDE + (turn & 1), word & 1) == word

    def _say(self, slots: int, turn: int, value: int) -> int:
        word = (value & _MASK) << 1 | (1 - ((turn >> 1) & 1))
        self._words[self._mine + slots + (turn & 1)] = word
        return word

    def _other(self, place: int, turn: int) -> int | None:
        polls = 0
        while True:
            # Asked first: what a run said before it ended still counts.
            ended = self._words[self._theirs + _ENDED]
            word = self._words[place]
            if word & 1 == turn:
                return word
            if ended:
                return None
            polls += 1
            if polls > _POLLS:
                os.sched_yield() if polls < _YIELDS else time.sleep(_NAP)

    @property
    def other_ended(self) -> bool:
        """Whether the other run is over."""
        return bool(self._words[self._theirs + _ENDED])

    def count_step(self) -> int:
        """Count an optimizer step of this run; return how many there were."""
        self._words[self._mine + _STEPS] += 1
        return self.steps()

    def steps(self, side: int | None = None) -> int:
        """Optimizer steps of this run, or of one side."""
        return self._words[(self._mine if side is None else side * _HALF) + _STEPS]

    def events(self, side: int) -> int:
        """How many events a side has compared."""
        return self._words[side * _HALF + _EVENTS]

    def has_ended(self, side: int) -> bool:
        """Whether a side is over."""
        return bool(self._words[side * _HALF + _ENDED])

    def waits(self, side: int) -> bool:
        """Whether a side has said all that it will, and waits to be killed."""
        return self._words[side * _HALF + _ENDED] == _WAITS

    def end(self, side: int | None = None, *, waits: bool = False) -> None:
        """Mark this run, or one side, as over: its process ends, or waits to be killed."""
        self._words[(self._mine if side is None else side * _HALF) + _ENDED] = _WAITS if waits else _ENDS


class Exchange:
    """Shows tensors to the other run where the two disagree, and settles a common verdict.

    Args:
        lockstep: the line to the other run.
        mine: this run's directory.
        theirs: the other's.
    """

    def __init__(self, lockstep: Lockstep, mine: Path, theirs: Path) -> None:
        self._lockstep, self._mine, self._theirs = lockstep, mine, theirs

    def swap(self, topic: int, tensors: Sequence[Tensor]) -> list[tuple[Tensor, Tensor]] | None:
        """Show tensors, all plain; return each with the other run's, or None where the other shows something else.

        Args:
            topic: a number that stands for what the tensors are, their shapes and dtypes included.
            tensors: the same number in either run, if the topic is the same.
        """
        from safetensors.torch import load_file, save  # only here: the program is to import torch first

        from lastbit.script.audit.bits import cpu_copy

        copies = [cpu_copy(tensor) for tensor in tensors]
        named = {f"{place:06d}": copy for place, copy in enumerate(copies)}
        (self._mine / _FILE).write_bytes(save(named))
        if not self._lockstep.agree_aside(topic):
            return None
        others = load_file(self._theirs / _FILE)
        return [(copy, others[name]) for name, copy in named.items()]

    def settle(self, verdict: int) -> int:
        """Publish a verdict above 0; return it where the other run's is the same, otherwise 0.

        Neither run goes on before both have published theirs, so what they showed has been read.
        """
        return verdict if self._lockstep.agree_aside(verdict) else 0
