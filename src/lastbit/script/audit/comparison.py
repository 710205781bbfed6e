"""Compares the results of each operation with the other run's, judges a disagreement, and describes it."""

import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import FrameType

import torch
from torch import Tensor

from lastbit.script.audit.batches import BatchLog
from lastbit.script.audit.bits import as_integers, digest, is_plain, outline, repeat, untouched, where_unwritten
from lastbit.script.audit.evidence import FIRST_UNWRITTEN, Account, Value
from lastbit.script.audit.generators import generators
from lastbit.script.audit.lockstep import Exchange, Lockstep
from lastbit.script.audit.memory import WrittenMemory
from lastbit.script.audit.operation import OperationCall
from lastbit.script.audit.place import Locator

# Verdicts on a disagreement. PART: the runs part. UNWRITTEN: they differ only where the operation wrote nothing.
# DEPENDS: the operation took what nobody had written.
PART, UNWRITTEN, DEPENDS = 0, 1, 2

_MOST_UNWRITTEN = 2000  # operations that differ by unwritten memory, after which a run is stopped


class Reporter:
    """Describes an operation of the program.

    Args:
        lockstep: the line to the other run.
        memory: of this run.
        python_state: digest of the state of Python's `random` before the program's first line.
    """

    def __init__(self, lockstep: Lockstep, memory: WrittenMemory, python_state: int) -> None:
        self._lockstep, self._memory = lockstep, memory
        self.locator, self.batches = Locator(), BatchLog()
        self.start = replace(generators(), python_state=python_state)

    def account(
        self, call: OperationCall, compared: Sequence[Tensor], *, reading: bool, repeats: dict[str, tuple[int, ...]]
    ) -> Account:
        """Describe an operation.

        Args:
            call: the operation.
            compared: the tensors that were compared.
            reading: whether those are what it reads from outside torch.
            repeats: the result of repeating it.
        """
        operation, frame, graph = call.operation, call.frame, call.graph
        where = self.locator.locate(frame)
        changes = operation.exchanged if operation.collective else operation.changed
        changed = changes(call.args, call.kwargs)
        unchanged = [t for t, _ in call.inputs if reading or not any(t is other for other in changed)]
        return Account(
            op=operation.name,
            reading=reading,
            alone=self._lockstep.other_ended,
            random=operation.random,
            phase=where.phase,
            step=self._lockstep.steps(),
            module=where.module,
            line=graph.lines[0] if graph is not None and graph.lines is not None else where.line,
            called_from=where.called_from,
            outputs=self.values(compared, frame),
            inputs=self.values(unchanged, frame) if call.given is None else call.given,
            numbers=operation.numbers(call.args, call.kwargs),
            graph=graph,
            batches=self.batches.batches,
            loaders=self.batches.code,
            generator_seed=operation.generator_seed(call.args, call.kwargs),
            repeats=repeats,
            threads=torch.get_num_threads(),
            start=self.start,
            now=generators(),
            files=tuple(self.locator.program.files()),
        )

    def values(self, tensors: Sequence[Tensor], frame: FrameType | None) -> tuple[Value, ...]:
        """Describe tensors that an operation of this frame takes or gives; without a frame, not whose they are."""
        return tuple(
            Value(
                shape=outline(tensor),
                dtype=str(tensor.dtype).removeprefix("torch."),
                device=tensor.device.type,
                digest=digest(tensor) if is_plain(tensor) else None,
                unwritten=is_plain(tensor) and self._memory.is_unwritten(tensor),
                module=None if frame is None else self.locator.owner(tensor, frame),
            )
            for tensor in tensors
        )

    def files(self) -> list[str]:
        """The user's own files that were seen at work."""
        return self.locator.program.files()


class BitComparison:
    """One run's side of the comparison; stops the run where the two differ.

    Args:
        lockstep: the line to the other run.
        memory: of this run.
        reporter: describes an operation.
        side: 0 or 1.
        fill: what fresh memory is filled with here: 0, 1 or ALIKE.
        directory: where to leave accounts.
        other: the other run's.
        stop: ends this process at once.
    """

    def __init__(
        self,
        lockstep: Lockstep,
        memory: WrittenMemory,
        reporter: Reporter,
        *,
        side: int,
        fill: int,
        directory: Path,
        other: Path,
        stop: Callable[[], None],
    ) -> None:
        self._lockstep, self._memory, self._reporter = lockstep, memory, reporter
        self._exchange = Exchange(lockstep, directory, other)
        self._side, self._fill, self._directory, self._stop = side, fill, directory, stop
        self._event = 0
        self._escaped = False
        self.took_unwritten = False  # whether an operation read unwritten memory, with or without effect
        self.unwritten_differences = 0  # operations that took what nobody wrote, and whose results differ
        self.unseen: Counter[str] = Counter()  # operation -> results whose values could not be looked at

    def note(self, call: OperationCall) -> None:
        """Note the place of an operation that is about to be done."""
        self._reporter.locator.note(call.frame)

    @property
    def may_have_escaped(self) -> bool:
        """Whether what unwritten memory held may be in a result: it was given to Python, or never read."""
        return self._escaped or self._memory.holds_unread

    def escape(self, call: OperationCall) -> None:
        """Note that unwritten memory became a number or an error of the program's."""
        self._record_unwritten(call, [])
        self._escaped = True

    def compare_layout(self, call: OperationCall, views: list[Tensor]) -> None:
        """Compare shapes, strides and offsets."""
        laid_out = tuple(n for t in views for n in (*outline(t), *_strides(t)))
        if not self._agree(call, laid_out, reading=False):
            self._part(call, views, reading=False)

    def compare(self, call: OperationCall, compared: list[Tensor], *, reading: bool) -> list[Tensor]:
        """Compare shapes and bits; return those tensors that hold, in part, what nobody wrote."""
        word: list[float] = list(call.kwargs.values()) if call.graph is not None else []
        for tensor in compared:
            word += outline(tensor)
            if is_plain(tensor):
                word.append(digest(tensor))
            else:
                self.unseen[call.operation.name] += 1
        if self._agree(call, tuple(word), reading=reading):
            return []
        verdict, differing = (PART, []) if reading else self._judge(call, compared)
        if verdict == PART:
            self._part(call, compared, reading=reading)
        if verdict == DEPENDS:
            self._record_unwritten(call, compared)
        for tensor in differing:
            self._memory.leave_unwritten(tensor, computed=verdict == DEPENDS)
        return differing

    def _agree(self, call: OperationCall, word: tuple[float, ...], *, reading: bool) -> bool:
        # Hashes of whole numbers, unlike those of strings, are the same in every process.
        value = hash((call.operation.code, reading, *word))
        event, self._event = self._event, self._event + 1
        return self._lockstep.agree(event, value)

    def _judge(self, call: OperationCall, compared: Sequence[Tensor]) -> tuple[int, list[Tensor]]:
        """A verdict on results whose bits or shapes differ, and those of them that differ."""
        if not all(is_plain(tensor) for tensor in compared):
            return PART, []
        pairs = self._exchange.swap(_topic(call, compared), compared)
        if pairs is None:
            return PART, []
        masks = [as_integers(mine) != as_integers(theirs) for mine, theirs in pairs]
        differing = [tensor for tensor, mask in zip(compared, masks, strict=True) if mask.any()]
        # Where either holds what fresh memory was filled with, nobody wrote.
        unwritten = call.operation.moves and all(
            bool(untouched(mine.flatten(), theirs.flatten(), self._fill)[mask].all())
            for (mine, theirs), mask in zip(pairs, masks, strict=True)
        )
        if unwritten or (call.repeatable and _leaves_out(call, masks)):
            verdict = UNWRITTEN
        else:
            verdict = DEPENDS if call.reads_unwritten(self._memory) else PART
        return self._exchange.settle(verdict), differing

    def _part(self, call: OperationCall, compared: Sequence[Tensor], *, reading: bool) -> None:
        """Leave an account of the difference, and stop."""
        if call.reads_unwritten(self._memory):
            self._record_unwritten(call, compared)
        repeats = repeat(call.func, call.args, call.kwargs, self._side) if call.repeatable and not reading else {}
        account = self._reporter.account(call, compared, reading=reading, repeats=repeats)
        account.write(self._directory, list(compared))
        self._stop()

    def _record_unwritten(self, call: OperationCall, compared: Sequence[Tensor]) -> None:
        self.unwritten_differences += 1
        if self.unwritten_differences == 1:
            account = self._reporter.account(call, compared, reading=False, repeats={})
            account.write(self._directory / FIRST_UNWRITTEN, list(compared))
        if self.unwritten_differences == _MOST_UNWRITTEN:
            self._escaped = True
            self._stop()


def _strides(tensor: Tensor) -> tuple[int, ...]:
    return (*tensor.stride(), int(tensor.storage_offset())) if is_plain(tensor) else ()


def _leaves_out(call: OperationCall, masks: Sequence[Tensor]) -> bool:
    """Whether only parts of side results differ, and those that the operation does not write."""
    if len(masks) < 2 or masks[0].any():
        return False
    unwritten = where_unwritten(call.func, call.args, call.kwargs)
    compared = [part for place, part in enumerate(unwritten) if place not in call.operation.scratch]
    pairs = zip(masks, compared, strict=True)
    return all(not mask.any() or (part is not None and bool(part[mask].all())) for mask, part in pairs)


def _topic(call: OperationCall, compared: Sequence[Tensor]) -> int:
    """Stands for the operation, the shapes and types of its results, and the random numbers drawn so far."""
    drawn = torch.get_rng_state().numpy().tobytes() if call.operation.random else b""
    about = [(outline(tensor), str(tensor.dtype)) for tensor in compared]
    return zlib.crc32(drawn, zlib.crc32(repr((call.operation.code, about)).encode()))
