"""From which step on rounding explains any distance, so that comparing values tells nothing more of a training."""

from collections.abc import Hashable, Iterator, Mapping

import numpy as np

from lastbit.script.trace.distance import Array, distances
from lastbit.script.trace.graph import OPTIMIZER, UNKNOWN, Item, TraceGraph, is_list
from lastbit.script.trace.one_operation import floor_of
from lastbit.script.trace.records import OUTSIDE

SATURATED = 0.1  # relative distance of noisy runs from which on they tell nothing any more


def saturated_at(graph: TraceGraph, apart: Array, limits: Mapping[tuple[int, int], float]) -> int | None:
    """The first step from which on rounding explains any distance; None if there is none.

    It is that in which most weights are as far apart as they will ever be; or in which most gradients are, and most
    weights have not moved since the beginning by more than rounding explains, as in half precision: they show nothing
    of the gradients.

    Args:
        graph: of the plain run.
        apart: how far noise parts each value, shape (n,).
        limits: the largest relative distance that rounding explains of each output, infinite where nothing can be told.
    """
    weights = _weights(graph)
    first: dict[Hashable, int] = {}
    for name, (start, _) in (each for step in sorted(weights) for each in weights[step].items()):
        first.setdefault(name, start)
    for step in sorted(weights):
        ends = [(first[name], end) for name, (_, end) in weights[step].items()]
        if np.median([apart[end] for _, end in ends]) >= SATURATED:
            return step
        gradients = list(_gradients(graph, step))
        vague = [not np.isfinite(limits[graph.output_of(value)]) for value in gradients]
        if vague and np.mean(vague) > 0.5 and np.mean([_has_moved(graph, *each, limits) for each in ends]) < 0.5:
            return step
    return None


def _weights(graph: TraceGraph) -> dict[int, dict[Hashable, tuple[int, int]]]:
    """Of each step, by a name for each parameter, its values before and after: what its updates take first and give.

    The last that an update of a parameter gives is the parameter.
    """
    steps: dict[int, dict[Hashable, tuple[int, int]]] = {}
    for step, items in graph.items.items():
        named: dict[Hashable, tuple[int, int]] = {}
        for item in items:
            name, outputs = _parameter(graph, item), graph.outputs(item)
            if name is not None and outputs:
                taken = graph.inputs(item)[:1]
                named[name] = (taken[0] if taken else UNKNOWN, outputs[0])
        if named:
            steps[step] = named
    return steps


def _parameter(graph: TraceGraph, item: Item) -> Hashable:
    """What tells the parameters of updates apart; None of what updates none."""
    record = graph.records[item[0]]
    if record.site.phase != OPTIMIZER:
        return None
    if not is_list(record):
        return record.site.module
    # A list has no name, but its shapes; counts of steps are scalars.
    shapes = tuple(summary.shape for summary in record.outputs)
    return (shapes, item[1]) if item[1] is not None and shapes[item[1]] else None


def _gradients(graph: TraceGraph, step: int) -> Iterator[int]:
    """What updates of a step take that neither updates made nor came from outside."""
    for item in graph.items[step]:
        if graph.records[item[0]].site.phase == OPTIMIZER:
            for value in graph.inputs(item):
                made = graph.records[int(graph.maker[value])]
                if value != UNKNOWN and made.site.phase not in (OPTIMIZER, OUTSIDE) and made.step == step:
                    yield value


def _has_moved(graph: TraceGraph, start: int, end: int, limits: Mapping[tuple[int, int], float]) -> bool:
    """Whether a parameter is farther from its beginning than rounding explains."""
    if start == UNKNOWN or graph.summaries[start].shape != graph.summaries[end].shape:
        return True
    name = graph.records[int(graph.maker[end])].site.name
    limit = max(limits[graph.output_of(end)], floor_of(name, graph.summaries[end]))
    return bool(distances(graph, np.array([start]), graph, np.array([end]))[0] > limit)
