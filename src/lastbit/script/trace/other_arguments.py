"""The arguments of the same operation in two traces: which differ, but for the words in which the same is said."""

import math
import re

from lastbit.script.trace.graph import TraceGraph
from lastbit.script.trace.one_operation import EPSILON
from lastbit.script.trace.records import OFFSET, STRIDES, Record

# Arguments that say where and how a result is kept, not what it is.
_HARMLESS = {"device", "layout", "memory_format", "pin_memory", "non_blocking", "implicit"}
_HARMLESS |= {"benchmark", "deterministic", "cudnn_enabled", "allow_tf32", "cudnn_enable"}
_DIMENSIONS = frozenset({"dim", "dims", "dim0", "dim1", "axis"})
_NUMBERS = 1e-9  # relative distance of two numbers, above what other libraries' last bits do
_SINGLE = 2.0**-24  # that of a number and its neighbour's middle in single precision: they are rounded to one
NUMBER = re.compile(r"[-+]?(?:\d+\.\d*|\.?\d+)(?:e[-+]?\d+)?")


def differing_arguments(one: Record, other: Record, *, within: float) -> list[str]:
    """Names of the arguments of the same operation that differ.

    Args:
        one: of the first trace.
        other: of the second.
        within: the largest relative distance of two floating-point numbers that counts as none. Whole numbers and
            words are to be equal.
    """
    if one.numbers == other.numbers and one.site.arguments == other.site.arguments:
        return []
    mine, others = one.arguments, other.arguments
    return [
        name
        for name in dict.fromkeys([*mine, *others])
        if name not in _HARMLESS
        and not name.startswith((OFFSET, STRIDES))
        and not _agree(mine.get(name), others.get(name), within)
        and not _agree(argument_text(one, name), argument_text(other, name), within)
    ]


def other_arguments(
    traces: tuple[TraceGraph, TraceGraph], one: Record, other: Record, *, within: float, far: bool
) -> list[str]:
    """Names of the arguments of the same operation that differ, those apart that say the same in other words.

    These are: a tensor that holds the number, dimensions counted from the end, and, where the results agree, a type of
    more digits.

    Args:
        traces: the first and the second.
        one: the operation in the first trace.
        other: in the second.
        within: as `differing_arguments` has it.
        far: whether a result is farther apart than rounding explains.
    """
    names = differing_arguments(one, other, within=within)
    return [
        name
        for name in names
        if not _is_held_by_tensor(traces, one, other, name, max(within, 2 * precision(one)))
        and (far or not (_are_same_dimensions(one, other, name) or _is_wider(one, other, name)))
    ]


def precision(record: Record) -> float:
    """The relative distance of numbers that are the same in the type in which an operation takes them.

    Numbers that act on tensors of half precision act in single precision.
    """
    exact = any(summary.dtype in ("float64", "complex128") for summary in record.outputs)
    return _NUMBERS if exact or not record.outputs else _SINGLE


def _is_held_by_tensor(
    traces: tuple[TraceGraph, TraceGraph], one: Record, other: Record, name: str, within: float
) -> bool:
    """Whether one trace has a number as an argument, and the other a tensor that holds it."""
    texts = one.arguments.get(name), other.arguments.get(name)
    if (texts[0] is None) == (texts[1] is None):
        return False
    which = 0 if texts[0] is None else 1
    graph, record = traces[which], (one, other)[which]
    number = NUMBER.fullmatch(texts[1 - which] or "")
    scalars = [
        summary.norm
        for origin in record.inputs
        if origin is not None and (summary := graph.records[origin[0]].outputs[origin[1]]).shape == ()
    ]
    return number is not None and any(math.isclose(abs(float(number[0])), norm, rel_tol=within) for norm in scalars)


def _are_same_dimensions(one: Record, other: Record, name: str) -> bool:
    """Whether dimensions are the same, counted from the end in one trace and from the beginning in the other."""
    if name not in _DIMENSIONS or not one.outputs:
        return False
    mine, others = ([int(n) for n in re.findall(r"-?\d+", argument_text(r, name) or "")] for r in (one, other))
    rank = len(one.outputs[0].shape)  # of the input it is larger by those that a reduction leaves out
    return any(
        {place % dimensions for place in mine} == {place % dimensions for place in others}
        for dimensions in (rank, rank + len(mine))
        if dimensions and len(mine) == len(others)
    )


def _is_wider(one: Record, other: Record, name: str) -> bool:
    """Whether the second trace computes in a type of as many digits as the first, or as single precision has."""
    if name != "dtype" or not one.outputs or not other.outputs:
        return False
    mine, others = (EPSILON.get(record.outputs[0].dtype) for record in (one, other))
    return mine is not None and others is not None and others <= max(mine, EPSILON["float32"])


def argument_text(record: Record, name: str) -> str | None:
    """The text of an argument, its default where it was left out; None where that is not known."""
    if (text := record.arguments.get(name)) is not None:
        return text
    from lastbit.script.trace.call_arguments import default_text  # imports torch, which few comparisons need

    return default_text(record.site.name, name)


def _agree(one: str | None, other: str | None, within: float) -> bool:
    if one == other or one is None or other is None:
        return one == other
    # Lists of numbers, as of several parameters, agree where each number does.
    mine, others = NUMBER.split(one), NUMBER.split(other)
    pairs = zip(NUMBER.findall(one), NUMBER.findall(other), strict=False)
    return mine == others and all(a == b or _are_close(a, b, within) for a, b in pairs)


def _are_close(one: str, other: str, within: float) -> bool:
    whole = one.lstrip("+-").isdecimal() or other.lstrip("+-").isdecimal()
    return not whole and math.isclose(float(one), float(other), rel_tol=within)
