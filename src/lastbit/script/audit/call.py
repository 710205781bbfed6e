"""One operation at work: what it is called with, by whom."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import FrameType
from typing import Any

from torch import Tensor

from lastbit.script.audit.memory import Memory
from lastbit.script.audit.operation import Operation
from lastbit.script.audit.plain import is_plain


@dataclass(frozen=True, slots=True)
class Call:
    """An operation and what it is called with."""

    func: Any
    operation: Operation
    args: Sequence[Any]
    kwargs: Mapping[str, Any]
    inputs: list[tuple[Tensor, bool]]  # its tensors, each with whether it is read
    frame: FrameType  # that called it
    held: int | None  # bytes of the memory of a tensor that it resizes

    def reads_unwritten(self, memory: Memory) -> bool:
        """Whether some value that it reads may never have been written."""
        return memory.has_unwritten and any(
            read and is_plain(tensor) and memory.is_unwritten(tensor) for tensor, read in self.inputs
        )

    @property
    def repeatable(self) -> bool:
        """Whether doing it again changes nothing and gives the same, as far as its arguments decide."""
        operation = self.operation
        return operation.ours and not (operation.written or operation.random or operation.view or operation.allocates)


def call(func: Any, operation: Operation, args: Sequence[Any], kwargs: Mapping[str, Any], frame: FrameType) -> Call:
    """Look at what an operation is called with, before it is done."""
    held = args[0].untyped_storage().nbytes() if operation.name == "aten::resize_" and is_plain(args[0]) else None
    return Call(func, operation, args, kwargs, list(operation.inputs(args, kwargs)), frame, held)
