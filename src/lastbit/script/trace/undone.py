"""Whether a difference is undone: every result that is made of it comes back within rounding before anything lasts."""

from collections.abc import Iterator, Mapping
from functools import cached_property
from math import isfinite, isnan

from lastbit.script.trace.aligned import TIGHT, AlignedTraces
from lastbit.script.trace.graph import OPTIMIZER, UNKNOWN, Item, TraceGraph, is_copy
from lastbit.script.trace.one_operation import floor_of
from lastbit.script.trace.other_arguments import differing_arguments, precision
from lastbit.script.trace.records import OUTSIDE, PARAMETER, PARTS
from lastbit.script.trace.roots import Pair

# End the names of operations that take a shape alone.
TAKE_SHAPES = ("_like", "new_ones", "new_full", "new_zeros", "new_empty")
_LEFT = 0.1  # share of a difference that may be left of it, where that is within rounding: else it is only diluted
_FLOORS = 2.0  # by which another kernel parts results: up to so many, values agree where rounding is not known


class UndoneDifferences:
    """Follows a difference forward through both traces, to where it ends.

    It is undone where each result that is made of it is, at last, as far from its partner as rounding explains, and
    nearer by a factor than the results where it began: that is seen, and not only drowned in what rounding explains of
    a training that has grown chaotic. It is not undone where it reaches an update, a tensor that lasts (one is changed
    in place that is a parameter, or older than the step), or a result that nothing takes, as a loss.

    Args:
        traces: the two, aligned.
    """

    def __init__(self, traces: AlignedTraces) -> None:
        self._traces, self._search = traces, traces.search
        self._graphs = traces.one, traces.other
        self._partners = traces.alignment.values, traces.alignment.backwards

    def undone_by(self, item: Item, partner: Item) -> int | None:
        """The last record of the first trace by which a difference is undone; None where it is not seen to be.

        It is the operation itself where that gives equal bits.

        Args:
            item: of the first trace, where the difference begins.
            partner: the same operation in the second.
        """
        begun = [(0, value) for value in self._graphs[0].outputs(item)]
        begun += [(1, value) for value in self._graphs[1].outputs(partner)]
        if not begun or self._graphs[0].records[item[0]].site.phase == OPTIMIZER:
            return None
        if self._has_equal_bits(item, partner):
            return item[0]
        pairs = [self._pair(side, value) for side, value in begun]
        gaps = [self._search.distance(pair) if pair is not None else 1.0 for pair in pairs]
        whole = max((min(gap, 1.0) for gap in gaps if not isnan(gap)), default=1.0)
        if any(pair is not None and self._search.is_far(pair) for pair in pairs):
            return self._end_of([each for each in begun if not self._agrees(*each, whole)], whole)
        return None

    def _end_of(self, todo: list[tuple[int, int]], whole: float) -> int | None:
        """Where what is made of some values, by the number of their trace, agrees at last."""
        seen, last = set(todo), -1
        while todo:
            side, value = todo.pop()
            graph, readers = self._graphs[side], self._readers[side].get(value, [])
            if not readers or any(self._lasts(side, reader, value) for reader in readers):
                return None
            for made in (made for reader in readers for made in graph.outputs(reader)):
                if (side, made) in seen:
                    continue
                seen.add((side, made))
                if self._agrees(side, made, whole):
                    pair = self._pair(side, made)
                    last = max(last, -1 if pair is None else int(self._graphs[0].maker[pair[0]]))
                else:
                    todo.append((side, made))
        return None if last < 0 else last

    def _lasts(self, side: int, reader: Item, value: int) -> bool:
        """Whether an operation that takes a value gives what lasts: an update, or a change of an older tensor."""
        graph = self._graphs[side]
        record, taken = graph.records[reader[0]], graph.inputs(reader)
        if record.site.phase == OPTIMIZER or not graph.outputs(reader):
            return True
        if not record.site.name.endswith("_") or taken[0] in (UNKNOWN, value):
            return False
        changed = graph.records[int(graph.maker[taken[0]])]
        return changed.step < record.step or changed.site.phase == OUTSIDE or taken[0] in self._parameters[side]

    def _agrees(self, side: int, value: int, whole: float) -> bool:
        """Whether a value is as near to its partner as rounding explains, and much nearer than the difference was."""
        pair = self._pair(side, value)
        if pair is None or not self._search.has_one_shape(pair):
            return False
        gap, graph = self._search.distance(pair), self._graphs[0]
        if gap == 0:
            return True
        if self._traces.envelope is not None and isfinite(self._traces.explained(pair[0])):
            return gap <= _LEFT * whole and not self._search.is_far(pair)
        name = graph.records[int(graph.maker[pair[0]])].site.name
        return gap <= min(_LEFT * whole, max(TIGHT, _FLOORS * floor_of(name, graph.summaries[pair[0]])))

    def _pair(self, side: int, value: int) -> Pair | None:
        partner = self._partners[side].get(value)
        if partner is None:
            return None
        return (partner, value) if side else (value, partner)

    def _has_equal_bits(self, item: Item, partner: Item) -> bool:
        one, other = self._graphs
        pairs = list(zip(one.outputs(item), other.outputs(partner), strict=False))
        return all(one.plain[v] and other.plain[p] and one.digests[v] == other.digests[p] for v, p in pairs)

    @cached_property
    def _readers(self) -> tuple[Mapping[int, list[Item]], ...]:
        """Of each trace, what takes a value, by the value: copies looked through."""
        return tuple(_readers_of(graph) for graph in self._graphs)

    @cached_property
    def _parameters(self) -> tuple[frozenset[int], ...]:
        """Of each trace, the values that parameters have outside updates."""
        return tuple(_parameters_of(graph) for graph in self._graphs)


def _readers_of(graph: TraceGraph) -> dict[int, list[Item]]:
    readers: dict[int, list[Item]] = {}
    for item in _computing(graph):
        for value in dict.fromkeys(graph.used(item)):
            readers.setdefault(value, []).append(item)
    return readers


def _parameters_of(graph: TraceGraph) -> frozenset[int]:
    known = {v for v, maker in enumerate(graph.maker) if graph.records[int(maker)].site.name == PARAMETER}
    for item in _computing(graph):
        if graph.records[item[0]].site.name.endswith("_") and graph.inputs(item)[:1] and graph.inputs(item)[0] in known:
            known.update(graph.outputs(item)[:1])
    return frozenset(known)


def _computing(graph: TraceGraph) -> Iterator[Item]:
    """What takes values, and not only looks at them, copies them or takes their shape."""
    for item in (item for items in graph.items.values() for item in items):
        record = graph.records[item[0]]
        if record.site.name not in PARTS and not record.site.name.endswith(TAKE_SHAPES) and not is_copy(record, graph):
            yield item


def is_made_up_for(traces: AlignedTraces, item: Item, partner: Item) -> bool:
    """Whether an operation that takes another tensor has other arguments too, and gives results that agree.

    So weight decay is added as `alpha` times the weights, or as their product with 1.

    Args:
        traces: the two, aligned.
        item: of the first trace.
        partner: the same operation in the second.
    """
    record, other = traces.one.records[item[0]], traces.other.records[partner[0]]
    if not differing_arguments(record, other, within=precision(record)):
        return False
    values = traces.alignment.values
    return not any(traces.search.is_far((v, values[v])) for v in traces.one.outputs(item) if v in values)
