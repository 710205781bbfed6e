"""Compares every tensor operation of a program, as it happens, with the other run's."""

from typing import Any

import torch
from torch import Tensor
from torch.utils import deterministic

from lastbit.script.audit.bits import fill, fill_rest, is_plain, tensors
from lastbit.script.audit.comparison import BitComparison
from lastbit.script.audit.memory import WrittenMemory
from lastbit.script.audit.operation import OperationCall
from lastbit.script.audit.watching import WatchingMode


class AuditMode(WatchingMode):  # type: ignore[no-untyped-call]
    """A dispatch mode that compares what every operation reads from outside, and gives, with the other run.

    Args:
        comparison: with the other run.
        memory: of this run, which the comparison knows too.
        which: what memory that is allocated without values is filled with, 0, 1 or ALIKE.
    """

    def __init__(self, comparison: BitComparison, memory: WrittenMemory, which: int) -> None:
        super().__init__()
        self._comparison, self._memory, self._which = comparison, memory, which

    def before(self, call: OperationCall) -> None:
        """Note its place, and compare what no operation before it has written or read."""
        self._comparison.note(call)
        if call.operation.collective:
            self._compare_given(call)
        elif call.operation.reads:
            self._compare_strangers(call)

    def failed(self, call: OperationCall) -> None:
        """Note that memory nobody wrote may have become an error of the program's."""
        if call.reads_unwritten(self._memory):
            self._comparison.escape(call)

    def _compare_strangers(self, call: OperationCall) -> None:
        """Compare what the operation reads and no operation before it has written or read."""
        strangers = [t for t, read in call.inputs if read and is_plain(t) and not self._memory.knows(t)]
        if strangers:
            self._comparison.compare(call, strangers, reading=True)
            for tensor in strangers:
                self._memory.meet(tensor)

    def _compare_given(self, call: OperationCall) -> None:
        """Compare what goes to other processes, which may be overwritten by what comes from them."""
        given = [tensor for tensor, _ in call.inputs if is_plain(tensor) and not self._memory.is_unwritten(tensor)]
        if call.operation.compared and given:
            self._comparison.compare(call, given, reading=True)

    def after(self, call: OperationCall, noted: None, result: Any) -> None:
        """Compare what an operation gave, or note what it did with memory."""
        operation = call.operation
        if operation.allocates:
            self._follow_allocation(call, tensors(result))
        elif operation.adopts:
            for tensor in (*tensors(result), *operation.changed(call.args, call.kwargs)):
                self._memory.forget(tensor)
        elif operation.view and operation.compared:
            self._comparison.compare_layout(call, tensors(result))
        elif operation.collective:
            self._follow_collective(call, result)
        elif operation.compared:
            self._follow_computation(call, result)
        elif operation.escapes and call.reads_unwritten(self._memory):
            self._comparison.escape(call)

    def _follow_allocation(self, call: OperationCall, results: list[Tensor]) -> None:
        if _torch_fills_memory():
            return
        for tensor in results:
            if not is_plain(tensor):
                continue
            if call.held is None and not self._memory.knows(tensor):
                self._memory.leave_unwritten(tensor)
                fill(tensor, self._which)
            elif call.held is not None and tensor.untyped_storage().nbytes() > call.held:
                unwritten = self._memory.is_unwritten(tensor)
                self._memory.leave_unwritten(tensor, but_for=0 if unwritten else call.held)
                fill_rest(tensor, call.held, self._which)

    def _follow_collective(self, call: OperationCall, result: Any) -> None:
        """Wait until it is complete, as the program does later or has done already, and compare what it gave."""
        for part in result if isinstance(result, list | tuple) else (result,):
            if isinstance(part, torch.ScriptObject):
                torch._C._distributed_c10d.Work.unbox(part).wait()
        exchanged = call.operation.exchanged(call.args, call.kwargs)
        for tensor in filter(is_plain, exchanged):
            self._memory.learn(tensor)
            self._memory.write(tensor)
        if call.operation.compared:
            self._comparison.compare(call, exchanged, reading=False)

    def _follow_computation(self, call: OperationCall, result: Any) -> None:
        results = call.operation.results(call.args, call.kwargs, result)
        unread = self._memory.holds_unread and sum(self._memory.read(t) for t, read in call.inputs if read) > 0
        if call.operation.copies and call.reads_unwritten(self._memory):
            for tensor in results:
                self._memory.leave_unwritten(tensor, computed=unread)
            return
        self._comparison.took_unwritten |= call.reads_unwritten(self._memory)
        unwritten = self._comparison.compare(call, results, reading=False)
        # A kernel's scratch memory is known too: its backward takes it.
        for tensor in (*results, *tensors(result)):
            if is_plain(tensor) and not any(tensor is other for other in unwritten):
                self._memory.learn(tensor)
                self._memory.write(tensor)


def _torch_fills_memory() -> bool:
    return torch.are_deterministic_algorithms_enabled() and deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
