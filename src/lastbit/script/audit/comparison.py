"""Compares what an operation gives with the other run, and remembers what only unwritten memory made differ."""

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from torch import Tensor

from lastbit.script.audit.account import SUSPECT
from lastbit.script.audit.call import Call
from lastbit.script.audit.digest import digest
from lastbit.script.audit.disagreement import DEPENDS, PART, Disagreements
from lastbit.script.audit.lockstep import Lockstep
from lastbit.script.audit.memory import Memory
from lastbit.script.audit.plain import is_plain, outline
from lastbit.script.audit.teller import Teller
from lastbit.script.audit.trials import trials

_MOST_SUSPECT = 2000  # operations; there is no end to it then


class Comparison:
    """One run's side of the comparison; stops the run where the two differ.

    Args:
        lockstep: the line to the other run.
        side: 0 or 1.
        directory: where to leave accounts.
        memory: of this run.
        teller: tells what an operation is.
        disagreements: judges what differs.
        stop: ends this process at once.
    """

    def __init__(
        self,
        lockstep: Lockstep,
        side: int,
        directory: Path,
        memory: Memory,
        teller: Teller,
        disagreements: Disagreements,
        stop: Callable[[], None],
    ) -> None:
        self._lockstep, self._side, self._directory, self._memory = lockstep, side, directory, memory
        self._teller, self._disagreements, self._stop = teller, disagreements, stop
        self._event = 0
        self._escaped = False
        self.took_unwritten = False  # whether an operation took what nobody wrote, whatever came of it
        self.suspect = 0  # operations that took what nobody wrote, and whose results differ
        self.unseen: Counter[str] = Counter()  # operation -> results whose values could not be looked at

    def note(self, call: Call) -> None:
        """An operation is about to be done."""
        self._teller.origins.note(call.frame)

    @property
    def suspicious(self) -> bool:
        """Whether what unwritten memory held may have come into a result: it was given to Python, or never read."""
        return self._escaped or self._memory.holds_unread

    def escape(self, call: Call) -> None:
        """Unwritten memory has become a number or an error of the program's."""
        self._suspect(call, [])
        self._escaped = True

    def compare_layout(self, call: Call, views: list[Tensor]) -> None:
        """Compare shapes, strides and offsets."""
        laid_out = tuple(n for t in views for n in (*outline(t), *_strides(t)))
        if not self._agree(call, laid_out, reading=False):
            self._part(call, views, reading=False)

    def compare(self, call: Call, compared: list[Tensor], *, reading: bool) -> list[Tensor]:
        """Compare shapes and bits; give those tensors that hold, in part, what nobody wrote."""
        word: list[int] = []
        for tensor in compared:
            word += outline(tensor)
            if is_plain(tensor):
                word.append(digest(tensor))
            else:
                self.unseen[call.operation.name] += 1
        if self._agree(call, tuple(word), reading=reading):
            return []
        verdict, differing = (PART, []) if reading else self._disagreements.judge(call, compared)
        if verdict == PART:
            self._part(call, compared, reading=reading)
        if verdict == DEPENDS:
            self._suspect(call, compared)
        for tensor in differing:
            self._memory.leave_unwritten(tensor, computed=verdict == DEPENDS)
        return differing

    def _agree(self, call: Call, word: tuple[int, ...], *, reading: bool) -> bool:
        # Hashes of whole numbers, unlike those of strings, are the same in every process.
        value = hash((call.operation.code, reading, *word))
        event, self._event = self._event, self._event + 1
        return self._lockstep.agree(event, value)

    def _part(self, call: Call, compared: Sequence[Tensor], *, reading: bool) -> None:
        """Leave an account of the difference, and stop."""
        if call.reads_unwritten(self._memory):
            self._suspect(call, compared)
        again = trials(call.func, call.args, call.kwargs, self._side) if call.repeatable and not reading else {}
        account = self._teller.account(call, compared, reading=reading, trials=again)
        account.write(self._directory, list(compared))
        self._stop()

    def _suspect(self, call: Call, compared: Sequence[Tensor]) -> None:
        self.suspect += 1
        if self.suspect == 1:
            account = self._teller.account(call, compared, reading=False, trials={})
            account.write(self._directory / SUSPECT, list(compared))
        if self.suspect == _MOST_SUSPECT:
            self._escaped = True
            self._stop()


def _strides(tensor: Tensor) -> tuple[int, ...]:
    return (*tensor.stride(), int(tensor.storage_offset())) if is_plain(tensor) else ()
