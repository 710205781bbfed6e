"""Sees every tensor operation of a program as it happens, and compares it with the other run's."""

import os
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from threading import get_ident
from typing import Any

import torch
from torch import Tensor
from torch._ops import OpOverload
from torch.utils import deterministic
from torch.utils._python_dispatch import TorchDispatchMode, _get_current_dispatch_mode_stack

from lastbit.script.audit.bits import fill, fill_rest, is_foreign, is_plain, tensors
from lastbit.script.audit.comparison import BitComparison
from lastbit.script.audit.memory import WrittenMemory
from lastbit.script.audit.operation import Operation, OperationCall, describe

_NUMBERS = (int, float, bool, complex)
_modes_below = torch._C._len_torch_dispatch_stack
_tracing_state = torch._C._get_tracing_state


class AuditMode(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """A dispatch mode that compares what every operation reads from outside, and gives, with the other run.

    What it cannot look into it runs as it is, and counts: the program must not notice that it is watched.

    Args:
        comparison: with the other run.
        memory: of this run, which the comparison knows too.
        which: what memory that is allocated without values is filled with, 0, 1 or ALIKE.
    """

    supports_higher_order_operators = True

    def __init__(self, comparison: BitComparison, memory: WrittenMemory, which: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._comparison, self._memory, self._which = comparison, memory, which
        self._paused = False
        self._blind: set[int] = set()  # threads whose operations are not looked at
        self.unobserved: Counter[str] = Counter()  # why operations were not compared -> how many

    def pause(self) -> None:
        """Compare nothing more, in a process that was forked from this one."""
        self._paused = True

    @classmethod
    def ignore_compile_internals(cls) -> bool:
        """Let torch.compile compile beside this mode."""
        return True

    @contextmanager
    def hidden(self) -> Iterator[None]:
        """Do not look at the operations of this thread while the block runs."""
        thread = get_ident()
        outermost = thread not in self._blind
        self._blind.add(thread)
        try:
            yield
        finally:
            if outermost:
                self._blind.discard(thread)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operation; compare what it reads from outside, and what it gives."""
        kwargs = kwargs or {}
        if self._paused or (self._blind and get_ident() in self._blind):
            return func(*args, **kwargs)
        types = types and [kind for kind in types if is_foreign(kind)]
        if _modes_below() or types or _tracing_state() is not None or not isinstance(func, OpOverload):
            return self._run_unseen(func, types, args, kwargs)
        if args and type(args[0]) in _NUMBERS:
            args = _with_a_tensor_first(func, args)
        seen = self._meet(func, args, kwargs, sys._getframe(1))
        try:
            result = func(*args, **kwargs)
        except Exception:
            if seen is not None and seen.reads_unwritten(self._memory):
                self._comparison.escape(seen)
            raise
        if seen is not None:
            self._follow(seen, result)
        return result

    def _run_unseen(self, func: Any, types: Sequence[type], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Do what is not, or not only, done with tensors of torch's own."""
        if modes := _get_current_dispatch_mode_stack():
            self.unobserved[f"operations inside {type(modes[-1]).__name__}"] += 1
        elif _tracing_state() is not None:
            self.unobserved["operations inside torch.jit.trace"] += 1
        elif types:
            self.unobserved[f"operations on a {types[0].__name__}, seen by the ones that they do inside"] += 1
            return NotImplemented  # its class goes on, and meets this mode again with the tensors inside
        else:
            self.unobserved[f"{func}, a higher-order operator"] += 1
        return func(*args, **kwargs)

    def _meet(self, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any], frame: Any) -> OperationCall | None:
        try:
            operation = describe(func)
            inputs = list(operation.inputs(args, kwargs))
            seen = OperationCall(func, operation, args, kwargs, inputs, frame, _held(operation, args))
            self._comparison.note(seen)
            if operation.reads:
                self._compare_strangers(seen)
        except Exception as error:
            self._miss(func, error)
            return None
        return seen

    def _miss(self, func: Any, error: Exception) -> None:
        """Count an operation that could not be looked into, for whatever reason: the program goes on."""
        if os.environ.get("LASTBIT_DEBUG"):
            raise error
        self.unobserved[f"{func} ({type(error).__name__})"] += 1

    def _compare_strangers(self, seen: OperationCall) -> None:
        """Compare what the operation reads and no operation before it has written or read."""
        strangers = [t for t, read in seen.inputs if read and is_plain(t) and not self._memory.knows(t)]
        if strangers:
            self._comparison.compare(seen, strangers, reading=True)
            for tensor in strangers:
                self._memory.meet(tensor)

    def _follow(self, seen: OperationCall, result: Any) -> None:
        """Compare what an operation gave, or note what it did with memory."""
        operation = seen.operation
        try:
            if operation.allocates:
                self._follow_allocation(seen, tensors(result))
            elif operation.adopts:
                for tensor in (*tensors(result), *operation.changed(seen.args, seen.kwargs)):
                    self._memory.forget(tensor)
            elif operation.view and operation.compared:
                self._comparison.compare_layout(seen, tensors(result))
            elif operation.compared:
                self._follow_computation(seen, result)
            elif operation.escapes and seen.reads_unwritten(self._memory):
                self._comparison.escape(seen)
        except Exception as error:
            self._miss(seen.func, error)

    def _follow_allocation(self, seen: OperationCall, results: list[Tensor]) -> None:
        if _torch_fills_memory():
            return
        for tensor in results:
            if not is_plain(tensor):
                continue
            if seen.held is None and not self._memory.knows(tensor):
                self._memory.leave_unwritten(tensor)
                fill(tensor, self._which)
            elif seen.held is not None and tensor.untyped_storage().nbytes() > seen.held:
                unwritten = self._memory.is_unwritten(tensor)
                self._memory.leave_unwritten(tensor, but_for=0 if unwritten else seen.held)
                fill_rest(tensor, seen.held, self._which)

    def _follow_computation(self, seen: OperationCall, result: Any) -> None:
        results = seen.operation.results(seen.args, seen.kwargs, result)
        unread = self._memory.holds_unread and sum(self._memory.read(t) for t, read in seen.inputs if read) > 0
        if seen.operation.copies and seen.reads_unwritten(self._memory):
            for tensor in results:
                self._memory.leave_unwritten(tensor, computed=unread)
            return
        self._comparison.took_unwritten |= seen.reads_unwritten(self._memory)
        unwritten = self._comparison.compare(seen, results, reading=False)
        # A kernel's scratch memory is known too: its backward takes it.
        for tensor in (*results, *tensors(result)):
            if is_plain(tensor) and not any(tensor is other for other in unwritten):
                self._memory.learn(tensor)
                self._memory.write(tensor)


def _held(operation: Operation, args: Sequence[Any]) -> int | None:
    """Bytes of the memory of a tensor that an operation is about to resize."""
    return args[0].untyped_storage().nbytes() if operation.name == "aten::resize_" and is_plain(args[0]) else None


def _torch_fills_memory() -> bool:
    return torch.are_deterministic_algorithms_enabled() and deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]


def _with_a_tensor_first(func: OpOverload[..., Any], args: Sequence[Any]) -> Sequence[Any]:
    """Undo what torch does to a number that TorchScript keeps as a tensor: it hands it to a mode as a number."""
    if str(func._schema.arguments[0].type) != "Tensor":
        return args
    return (torch.tensor(args[0]), *args[1:])
