"""The arguments of a call that a trace keeps: words and numbers, and how its inputs lie in memory."""

from collections.abc import Iterator, Sequence
from functools import cache
from itertools import chain, groupby
from typing import Any

import torch
from torch import Tensor

from lastbit.script.audit.bits import is_plain, is_whole, tensors
from lastbit.script.audit.operation import OperationCall
from lastbit.script.trace.records import OFFSET, STRIDES

_NUMBERS = (bool, int, float, complex)
_WORDS = (str, torch.dtype, torch.device, torch.layout, torch.memory_format)
# Where and how results lie, which changes no value.
_PLACEMENT = frozenset({"device", "layout", "memory_format", "pin_memory", "non_blocking"})

Words = tuple[tuple[str, Any], ...]


def arguments_of(call: OperationCall) -> tuple[Words, tuple[str, ...], list[str]]:
    """The arguments of a call that are no tensors: names and values of words; names, and texts, of numbers.

    A view has the origin of what it looks at, and is told apart by where it lies: among the words are the strides of
    inputs whose elements are not in their logical order, among the numbers the offsets of those that are a part.

    Args:
        call: of an operation.
    """
    words: list[tuple[str, Any]] = []
    names: list[str] = []
    numbers: list[str] = []
    for name, value in chain(zip(call.operation.names, call.args, strict=False), call.kwargs.items()):
        if value is None or isinstance(value, Tensor) or name in _PLACEMENT:
            continue
        if type(value) in _NUMBERS:
            text = repr(value)
        elif isinstance(value, torch.Generator):
            text = f"seed {value.initial_seed()}"
        elif isinstance(value, torch.ScriptObject):
            words.append((name, _script_object(value)))
            continue
        elif isinstance(value, list | tuple):
            if value and isinstance(value[0], float):
                text = _runs(value)
            elif tensors(value):
                continue
            else:
                words.append((name, tuple(value)))
                continue
        else:
            words.append((name, value if isinstance(value, _WORDS) else type(value).__name__))
            continue
        names.append(name)
        numbers.append(text)
    return tuple(words) + _strides(call), tuple(names) + _offsets(call, numbers), numbers


def _strides(call: OperationCall) -> Words:
    """Of its inputs that do not lie in memory in their logical order, the strides."""
    return tuple(
        (f"{STRIDES}{place}", tensor.stride())
        for place, (tensor, _) in enumerate(call.inputs, 1)
        if is_plain(tensor) and not tensor.is_contiguous()
    )


def _offsets(call: OperationCall, numbers: list[str]) -> tuple[str, ...]:
    """Of its inputs that are a part of a memory, the element at which it begins: names; the numbers are added."""
    parts = [
        (f"{OFFSET}{place}", tensor.storage_offset())
        for place, (tensor, _) in enumerate(call.inputs, 1)
        if is_plain(tensor) and not is_whole(tensor)
    ]
    numbers += [str(offset) for _, offset in parts]
    return tuple(name for name, _ in parts)


def _script_object(value: Any) -> str:
    """How a collective reduces, or the type of anything else."""
    kind = value._type().name()
    return str(torch.distributed.ReduceOp.RedOpType(value.op()).name) if kind == "ReduceOp" else kind


def group_of(call: OperationCall) -> tuple[list[int] | None, bool] | None:
    """The ranks that a collective is of, and whether it is a message, from the first to the second.

    Args:
        call: of a collective.

    Returns:
        No ranks where they are not known; None of what has no group, as of waiting for another collective.
    """
    given = dict(zip(call.operation.names, call.args, strict=False)) | dict(call.kwargs)
    if not given.keys() & {"process_group", "group_name"}:
        return None
    try:
        if "process_group" in given:
            group = torch.distributed.ProcessGroup.unbox(given["process_group"])
        else:
            group = torch._C._distributed_c10d._resolve_process_group(given["group_name"])
        ranks = torch.distributed.get_process_group_ranks(group)
    except (AttributeError, KeyError, RuntimeError, TypeError, ValueError):  # as of a group that was destroyed
        return None, False
    own = torch.distributed.get_rank()
    if "dst" in given:
        return [own, ranks[given["dst"]]], True
    if "src" in given:
        return [ranks[given["src"]], own], True
    return (None, False) if "any_source" in call.operation.name else (ranks, False)


def _runs(numbers: Sequence[float]) -> str:
    """A list of numbers, as optimizers give for a list of parameters, most of them the same."""
    runs: Iterator[tuple[float, int]] = ((value, len(list(same))) for value, same in groupby(numbers))
    return "[" + ", ".join(f"{value!r} x {count}" if count > 1 else repr(value) for value, count in runs) + "]"


def text_of(value: Any) -> str:
    """The text of a word, as a site keeps it."""
    return str(list(value)) if isinstance(value, tuple) else str(value).removeprefix("torch.")


@cache
def default_text(operation: str, argument: str) -> str | None:
    """The text of an argument's default, which torch leaves out of a call.

    Args:
        operation: as a trace names it, `aten::gelu`.
        argument: of it.

    Returns:
        None where torch knows no such operation or default, or overloads have different ones.
    """
    try:
        schemas = torch._C._jit_get_schemas_for_operator(operation)
    except RuntimeError:  # no operation's name
        return None
    defaults = {
        text_of(value)
        for schema in schemas
        for given in schema.arguments
        if given.name == argument and (value := given.default_value) is not None
    }
    return defaults.pop() if len(defaults) == 1 else None
