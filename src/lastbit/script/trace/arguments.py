"""What the arguments that differ between two traces are in the terms of training."""

from collections.abc import Mapping, Sequence
from typing import Any

from lastbit.script.trace.graph import OPTIMIZER, TraceGraph
from lastbit.script.trace.other_arguments import NUMBER, argument_text
from lastbit.script.trace.records import OFFSET, SETTINGS, STRIDES, Record

# What an argument of an update is, by operation and argument.
_UPDATES = {
    ("addcdiv_", "value"): "the step size: the learning rate, corrected for Adam's first steps",
    ("lerp_", "weight"): "1 - beta1",
    ("addcmul_", "value"): "1 - beta2",
    ("mul_", "other"): "a beta, the momentum, or the decoupled weight decay",
    ("add", "alpha"): "the weight decay",
    ("add_", "alpha"): "the learning rate or the weight decay",
    ("add_", "other"): "eps",
}
_MOST_NAMED = 3


def other_views(one: Record, other: Record) -> str | None:
    """How the same operation takes other parts of the same tensors, or their elements in another order; None if not.

    Args:
        one: of the first trace.
        other: of the second.
    """
    mine, others = one.arguments, other.arguments
    shared = [name for name in mine if name in others and mine[name] != others[name]]
    offsets = [name for name in shared if name.startswith(OFFSET)]
    if offsets:
        place = offsets[0].removeprefix(OFFSET)
        return f"another slice of input {place}: from element {mine[offsets[0]]} on against {others[offsets[0]]}"
    strides = [name for name in dict.fromkeys([*mine, *others]) if name.startswith(STRIDES)]
    for name in strides:
        if mine.get(name) != others.get(name):
            texts = [values.get(name, "those of its own order") for values in (mine, others)]
            return f"input {name.removeprefix(STRIDES)} in another order: strides {texts[0]} against {texts[1]}"
    return None


def argument_words(traces: tuple[TraceGraph, TraceGraph], one: Record, other: Record, names: Sequence[str]) -> str:
    """What differs between the arguments of the same operation; in an update, which settings of the optimizer do.

    Args:
        traces: the first and the second.
        one: the operation in the first trace.
        other: in the second.
        names: of the arguments that differ.
    """
    settings = differing_settings(traces, one, other)
    words = " and ".join(_words(traces, one, other, name, guess=not settings) for name in names[:_MOST_NAMED])
    return f"{settings} ({words})" if settings else words


def differing_settings(traces: tuple[TraceGraph, TraceGraph], one: Record, other: Record) -> str:
    """The settings of the optimizers that differ when two updates are made; empty where none does, or it is no update.

    Args:
        traces: the first and the second.
        one: an operation of the first trace.
        other: of the second.
    """
    if one.site.phase != OPTIMIZER:
        return ""
    mine, others = (_settings_at(graph, at) for graph, at in zip(traces, (one.step, other.step), strict=True))
    pairs = [(name, name) for name in mine if name in others]
    different = []
    if len(mine) == len(others) == 1 and not pairs:
        pairs = [(next(iter(mine)), next(iter(others)))]
        different = [f"optimizer {pairs[0][0][0]} against {pairs[0][1][0]}"]
    different += [words for first, second in pairs if (words := _other_groups(mine[first], others[second]))]
    different += [
        f"{name} {value} against {group[name]}"
        for first, second in pairs
        for kept, group in zip(mine[first], others[second], strict=False)
        for name, value in kept.items()
        if name in group and value != group[name]
    ]
    return " and ".join(list(dict.fromkeys(different))[:_MOST_NAMED])


def _other_groups(one: Sequence[Mapping[str, Any]], other: Sequence[Mapping[str, Any]]) -> str:
    """Settings by group, where one optimizer has more groups of parameters than the other."""
    if len(one) == len(other):
        return ""
    names = [name for name in one[0] if len({str(group.get(name)) for group in (*one, *other)}) > 1]
    texts = []
    for groups in (one, other):
        values = [f"{name} {' and '.join(str(group.get(name)) for group in groups)}" for name in names]
        texts.append(f" ({', '.join(values)})" if values else "")
    return f"{len(one)} groups of parameters{texts[0]} against {len(other)}{texts[1]}"


def _settings_at(graph: TraceGraph, step: int) -> dict[tuple[str, int], list[Mapping[str, Any]]]:
    """By an optimizer's name and number among all, the settings of its groups that were in force at a step."""
    return {
        (event.content["optimizer"], event.content.get("number", 0)): event.content["groups"]
        for event in graph.trace.events
        if event.kind == SETTINGS and event.step <= step
    }


def _words(traces: tuple[TraceGraph, TraceGraph], one: Record, other: Record, name: str, *, guess: bool) -> str:
    """The argument and its values; with what it may be in an update, where no setting of the optimizer says it."""
    mine, others = argument_text(one, name), argument_text(other, name)
    if one.site.name in ("aten::bernoulli_", "aten::bernoulli") and name == "p" and mine and others:
        dropped = [f"{1 - float(text):.6g}" for text in (mine, others)]
        return f"dropout p {dropped[0]} against {dropped[1]}"
    plain = one.site.name.removeprefix("aten::").removeprefix("_foreach_")
    meaning = _UPDATES.get((plain, name)) if one.site.phase == OPTIMIZER else None
    words = f"argument {name} of {one.site.name}," if meaning else f"{plain.strip('_').replace('native_', '')} {name}"
    maybe = f" ({meaning})" if meaning and guess else ""
    return f"{words} {_text(mine)} against {_text(others)}{_neighbour(traces, one, other, name)}{maybe}"


def _neighbour(traces: tuple[TraceGraph, TraceGraph], one: Record, other: Record, name: str) -> str:
    """Whether a number is that of the other trace's step before or after: a schedule off by one."""
    mine = _numbers(traces[0], one, name, one.step)
    others = _numbers(traces[1], other, name, other.step)
    for gap in (1, -1):
        behind = _numbers(traces[0], one, name, one.step + gap) & (others - mine)
        ahead = _numbers(traces[1], other, name, other.step + gap) & (mine - others)
        if behind or ahead:
            return ": a schedule is off by one step"
    return ""


def _numbers(trace: TraceGraph, like: Record, name: str, step: int) -> set[str]:
    """The numbers, or lists of them, that the same operation is given for an argument, on the same line, in a step."""
    records = {index for index, _ in trace.items.get(step, ())}
    sites = (record for index in records if (record := trace.records[index]).site == like.site)
    texts = (record.arguments.get(name) for record in sites)
    return {text for text in texts if text is not None and not NUMBER.sub("", text).strip("[], x")}


def _text(value: str | None) -> str:
    return "the default" if value is None else value
