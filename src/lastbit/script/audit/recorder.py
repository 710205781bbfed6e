"""Sees every tensor operation of a program as it happens, and compares it with the other run's."""

import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch import Tensor
from torch.utils import deterministic
from torch.utils._python_dispatch import TorchDispatchMode

from lastbit.script.audit.account import Account, is_plain, values
from lastbit.script.audit.digest import digest
from lastbit.script.audit.generators import generators
from lastbit.script.audit.lockstep import Lockstep
from lastbit.script.audit.memory import Memory
from lastbit.script.audit.operation import Operation, describe, tensors
from lastbit.script.audit.origins import Origins
from lastbit.script.audit.place import Program
from lastbit.script.audit.whereabouts import whereabouts


@dataclass(frozen=True, slots=True)
class Call:
    """An operation and what it is called with."""

    operation: Operation
    args: Sequence[Any]
    kwargs: Mapping[str, Any]
    inputs: list[tuple[Tensor, bool]]  # its tensors, each with whether it is read
    frame: FrameType  # that called it

    def reads_unwritten(self, memory: Memory) -> bool:
        """Whether some value that it reads may never have been written."""
        return any(read and is_plain(tensor) and memory.is_unwritten(tensor) for tensor, read in self.inputs)


class Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """A dispatch mode that says the digest of every result to the other run, and stops this one where they differ.

    Args:
        lockstep: the line to the other run.
        side: 0 or 1. Memory that is allocated without values is filled with another number on either side.
        directory: where to leave an account of the difference.
        python_state: digest of the state of Python's `random` before the program's first line.
        stop: ends this process at once.
    """

    def __init__(
        self, lockstep: Lockstep, side: int, directory: Path, python_state: int, stop: Callable[[], None]
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._lockstep, self._side, self._directory, self._stop = lockstep, side, directory, stop
        self._event = 0
        self._paused = False
        self._operations: dict[Any, Operation] = {}
        self._memory = Memory()
        self._program = Program()
        self._origins = Origins(self._program)
        self._start = replace(generators(), python_state=python_state)
        self.unseen: Counter[str] = Counter()  # operation -> results whose values could not be looked at

    def pause(self) -> None:
        """See nothing more: for a process that was forked from this one."""
        self._paused = True

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operation; compare what it reads from outside, and what it gives."""
        kwargs = kwargs or {}
        if self._paused:
            return func(*args, **kwargs)
        operation = self._operations.get(func) or self._introduce(func)
        call = Call(operation, args, kwargs, list(operation.inputs(args, kwargs)), sys._getframe(1))
        self._origins.note(call.frame)
        self._compare_strangers(call)
        result = func(*args, **kwargs)
        self._follow(call, result)
        return result

    def _introduce(self, func: Any) -> Operation:
        operation = self._operations[func] = describe(func)
        return operation

    def _compare_strangers(self, call: Call) -> None:
        """Compare what the operation reads and no operation before it has written or read."""
        if not call.operation.reads:
            return
        strangers = [t for t, read in call.inputs if read and is_plain(t) and not self._memory.knows(t)]
        if strangers:
            self._compare(call, strangers, reading=True)
            for tensor in strangers:
                self._memory.meet(tensor)

    def _follow(self, call: Call, result: Any) -> None:
        operation = call.operation
        if operation.allocates:
            self._follow_allocation(tensors(result))
        elif operation.adopts:
            for tensor in tensors(result):
                self._memory.forget(tensor)
        elif operation.view and operation.compared:
            laid_out = tuple(n for t in tensors(result) for n in (*t.shape, *t.stride(), t.storage_offset()))
            self._agree(call, laid_out, tensors(result), reading=False)
        elif operation.compared:
            self._follow_computation(call, result)

    def _follow_allocation(self, results: list[Tensor]) -> None:
        if _torch_fills_memory():
            return
        for tensor in results:
            if is_plain(tensor) and not self._memory.knows(tensor):
                # Numbers that no program chokes on, and that show wherever they are used.
                tensor.fill_(self._side + 0.5 if tensor.is_floating_point() else self._side)
                self._memory.leave_unwritten(tensor)

    def _follow_computation(self, call: Call, result: Any) -> None:
        results = call.operation.results(call.args, call.kwargs, result)
        if call.operation.copies and call.reads_unwritten(self._memory):
            for tensor in results:
                self._memory.leave_unwritten(tensor)
            return
        self._compare(call, results, reading=False)
        # A kernel's scratch memory is known too: its backward takes it.
        for tensor in (*results, *tensors(result)):
            if is_plain(tensor):
                self._memory.learn(tensor)
                self._memory.write(tensor)

    def _compare(self, call: Call, compared: list[Tensor], *, reading: bool) -> None:
        """Compare shapes and bits."""
        word: list[int] = []
        for tensor in compared:
            word += tensor.shape
            if is_plain(tensor):
                word.append(digest(tensor))
            else:
                self.unseen[call.operation.name] += 1
        self._agree(call, tuple(word), compared, reading=reading)

    def _agree(self, call: Call, word: tuple[int, ...], compared: list[Tensor], *, reading: bool) -> None:
        # Hashes of whole numbers, unlike those of strings, are the same in every process.
        value = hash((call.operation.code, reading, *word))
        event, self._event = self._event, self._event + 1
        if not self._lockstep.agree(event, value):
            self._account(call, compared, reading=reading)
            self._stop()

    def _account(self, call: Call, compared: list[Tensor], *, reading: bool) -> None:
        operation, frame = call.operation, call.frame
        where = whereabouts(frame, self._program, self._origins)
        changed = operation.changed(call.args, call.kwargs)
        unchanged = [t for t, _ in call.inputs if reading or not any(t is each for each in changed)]
        Account(
            op=operation.name,
            reading=reading,
            alone=self._lockstep.other_ended,
            random=operation.random,
            phase=where.phase,
            step=self._lockstep.steps(),
            module=where.module,
            line=where.line,
            called_from=where.called_from,
            outputs=values(compared, self._memory, self._origins, frame),
            inputs=values(unchanged, self._memory, self._origins, frame),
            numbers=operation.numbers(call.args, call.kwargs),
            generator_seed=operation.generator_seed(call.args, call.kwargs),
            threads=torch.get_num_threads(),
            start=self._start,
            now=generators(),
            files=tuple(self._program.files()),
        ).write(self._directory, compared)


def _torch_fills_memory() -> bool:
    return torch.are_deterministic_algorithms_enabled() and deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
