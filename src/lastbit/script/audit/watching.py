"""Sees every tensor operation of a program as it happens, and passes over what cannot be looked into."""

from __future__ import annotations

import os
import sys
import time
from abc import abstractmethod
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import wraps
from threading import get_ident
from typing import Any

import torch
from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode, _get_current_dispatch_mode_stack

from lastbit.script.audit.bits import is_foreign, is_plain
from lastbit.script.audit.operation import Operation, OperationCall, describe

_LETTING_GO = 0.05  # seconds, of which each thread needs microseconds
_NUMBERS = (int, float, bool, complex)
_modes_below = torch._C._len_torch_dispatch_stack
_tracing_state = torch._C._get_tracing_state


@contextmanager
def _letting_go_of_groups() -> Iterator[None]:
    """Give gloo's threads Python's lock for a moment where the program leaves its groups of processes.

    A collective that is started under a dispatch mode keeps a Python object, which the thread that carried it out needs
    the lock to let go of. A DistributedDataParallel that is freed right after `destroy_process_group` waits for that
    thread while it holds the lock: one in seven of the smallest trainings never ended.
    """
    if not torch.distributed.is_available():
        yield
        return
    destroy = torch.distributed.destroy_process_group

    @wraps(destroy)
    def leave(*args: Any, **options: Any) -> None:
        """Leave a group, or all."""
        destroy(*args, **options)
        time.sleep(_LETTING_GO)

    torch.distributed.destroy_process_group = leave
    try:
        yield
    finally:
        torch.distributed.destroy_process_group = destroy


class WatchingMode(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """A dispatch mode that is shown every operation before and after it is done.

    What it cannot look into it runs as it is, and counts: the program must not notice that it is watched.
    """

    supports_higher_order_operators = True

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.paused = False  # whether nothing more is watched
        self._blind: set[int] = set()  # threads whose operations are not looked at
        self.unobserved: Counter[str] = Counter()  # why operations were not looked at -> how many

    @contextmanager
    def watching(self) -> Iterator[None]:
        """See the operations of the block."""
        with _letting_go_of_groups(), self:
            yield

    def pause(self) -> None:
        """Watch nothing more, as in a process that was forked from this one."""
        self.paused = True

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

    @abstractmethod
    def before(self, call: OperationCall) -> Any:
        """Look at an operation that is about to be done; what it returns is handed to `after`."""

    @abstractmethod
    def failed(self, call: OperationCall) -> None:
        """Look at an operation that raised an error."""

    @abstractmethod
    def after(self, call: OperationCall, noted: Any, result: Any) -> None:
        """Look at an operation that gave a result."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operation and look at it, before and after."""
        kwargs = kwargs or {}
        if self.paused or (self._blind and get_ident() in self._blind):
            return func(*args, **kwargs)
        types = types and [kind for kind in types if is_foreign(kind)]
        if _modes_below() or types or _tracing_state() is not None or not isinstance(func, OpOverload):
            return self._run_unseen(func, types, args, kwargs)
        if args and type(args[0]) in _NUMBERS:
            args = _with_a_tensor_first(func, args)
        met = self._meet(func, args, kwargs, sys._getframe().f_back)  # none on a thread of autograd's own
        try:
            result = func(*args, **kwargs)
        except Exception:
            if met is not None:
                self.failed(met[0])
            raise
        if met is not None:
            try:
                self.after(*met, result)
            except Exception as error:
                self._miss(func, error)
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

    def _meet(
        self, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any], frame: Any
    ) -> tuple[OperationCall, Any] | None:
        try:
            operation = describe(func)
            inputs = list(operation.inputs(args, kwargs))
            call = OperationCall(func, operation, args, kwargs, inputs, frame, _held(operation, args))
            return call, self.before(call)
        except Exception as error:
            self._miss(func, error)
            return None

    def _miss(self, func: Any, error: Exception) -> None:
        """Count an operation that could not be looked into, for whatever reason: the program goes on."""
        if os.environ.get("LASTBIT_DEBUG"):
            raise error
        self.unobserved[f"{func} ({type(error).__name__})"] += 1


def _held(operation: Operation, args: Sequence[Any]) -> int | None:
    """Bytes of the memory of a tensor that an operation is about to resize."""
    return args[0].untyped_storage().nbytes() if operation.name == "aten::resize_" and is_plain(args[0]) else None


def _with_a_tensor_first(func: OpOverload[..., Any], args: Sequence[Any]) -> Sequence[Any]:
    """Undo what torch does to a number that TorchScript keeps as a tensor: it hands it to a mode as a number."""
    if str(func._schema.arguments[0].type) != "Tensor":
        return args
    return (torch.tensor(args[0]), *args[1:])
