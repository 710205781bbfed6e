"""The arguments of the same operation in two traces: which differ, and what they are in the terms of training."""

import math
import re
from collections.abc import Sequence

from lastbit.script.trace.graph import OPTIMIZER, TraceGraph
from lastbit.script.trace.records import Record

# What an argument of an update is, by operation and argument.
_UPDATES = {
    ("addcdiv_", "value"): "step size (the learning rate, corrected for Adam's first steps)",
    ("lerp_", "weight"): "1 - beta1",
    ("addcmul_", "value"): "1 - beta2",
    ("mul_", "other"): "beta of a running mean, momentum, or decoupled weight decay",
    ("add", "alpha"): "weight decay",
    ("add_", "alpha"): "step size (the learning rate) or weight decay",
    ("add_", "other"): "eps",
}
# Arguments that say where and how a result is kept, not what it is.
_HARMLESS = {"device", "layout", "memory_format", "pin_memory", "non_blocking", "implicit"}
_HARMLESS |= {"benchmark", "deterministic", "cudnn_enabled", "allow_tf32", "cudnn_enable"}
_MOST_NAMED = 3
_NUMBER = re.compile(r"[-+]?(?:\d+\.\d*|\.?\d+)(?:e[-+]?\d+)?")


def differing_arguments(one: Record, other: Record, *, within: float) -> list[str]:
    """Names of the arguments of the same operation that differ.

    Args:
        one: of the first trace.
        other: of the second.
        within: the largest relative distance of two floating-point numbers that counts as none.
    """
    if one.numbers == other.numbers and one.site.arguments == other.site.arguments:
        return []
    mine, others = one.arguments, other.arguments
    return [
        name
        for name in dict.fromkeys([*mine, *others])
        if name not in _HARMLESS and not _agree(mine.get(name), others.get(name), within)
    ]


def _agree(one: str | None, other: str | None, within: float) -> bool:
    if one == other or one is None or other is None:
        return one == other
    # Lists of numbers, as of several parameters, agree where each number does.
    mine, others = _NUMBER.split(one), _NUMBER.split(other)
    pairs = zip(_NUMBER.findall(one), _NUMBER.findall(other), strict=False)
    return mine == others and all(math.isclose(float(a), float(b), rel_tol=within) for a, b in pairs)


def argument_words(trace: TraceGraph, one: Record, other: Record, names: Sequence[str]) -> str:
    """What differs between the arguments of the same operation.

    Args:
        trace: the first, in whose steps a schedule is looked up.
        one: the operation in the first trace.
        other: in the second.
        names: of the arguments that differ.
    """
    return " and ".join(_words(trace, one, other, name) for name in names[:_MOST_NAMED])


def _words(trace: TraceGraph, one: Record, other: Record, name: str) -> str:
    mine, others = one.arguments.get(name), other.arguments.get(name)
    if one.site.name in ("aten::bernoulli_", "aten::bernoulli") and name == "p" and mine and others:
        dropped = [f"{1 - float(text):.6g}" for text in (mine, others)]
        return f"dropout p {dropped[0]} against {dropped[1]}"
    plain = one.site.name.removeprefix("aten::").removeprefix("_foreach_")
    meaning = _UPDATES.get((plain, name)) if one.site.phase == OPTIMIZER else None
    words = f"{meaning}, {name} of {one.site.name}," if meaning else f"{plain.strip('_').replace('native_', '')} {name}"
    return f"{words} {_text(mine)} against {_text(others)}{_neighbour(trace, one, name, others)}"


def _neighbour(trace: TraceGraph, one: Record, name: str, value: str | None) -> str:
    """Whether a number is that of the step before or after: a schedule off by one."""
    for step, when in ((one.step + 1, "after"), (one.step - 1, "before")):
        if value in _numbers(trace, one, name, step) and value not in _numbers(trace, one, name, one.step):
            return f", the first trace's of the step {when}: a schedule is off by one"
    return ""


def _numbers(trace: TraceGraph, like: Record, name: str, step: int) -> set[str]:
    """The values of an argument of the same operation, on the same line, in a step."""
    records = {index for index, _ in trace.items.get(step, ())}
    sites = (record for index in records if (record := trace.records[index]).site == like.site)
    return {text for record in sites if (text := record.arguments.get(name)) is not None}


def _text(value: str | None) -> str:
    return "the default" if value is None else value
