"""What single operations show by themselves, however little becomes of it, and where training has grown chaotic."""

from collections.abc import Iterator

import numpy as np

from lastbit.script.trace.aligned import AlignedTraces
from lastbit.script.trace.arguments import other_views
from lastbit.script.trace.distance import distances, proportion
from lastbit.script.trace.draws import is_random
from lastbit.script.trace.graph import COMPILED_GRAPH, FORWARD, OPTIMIZER, UNKNOWN, Item, TraceGraph, upstream
from lastbit.script.trace.one_operation import EPSILON, floor_of
from lastbit.script.trace.other_arguments import differing_arguments
from lastbit.script.trace.places import RoundingEnvelope
from lastbit.script.trace.records import OUTSIDE, RECEIVED, Record
from lastbit.script.trace.roots import Pair, Root, RootKind
from lastbit.script.trace.undone import TAKE_SHAPES, is_made_up_for

_NUMBERS = 1e-9  # relative distance of arguments up to which they are equal
_MOVED = 4.0  # by how much what operations of one run do exceeds all other distances, where it is blamed


class SingleOperations:
    """Looks for operations that cannot be explained by the rounding of one operation.

    - An operation that takes the same bits in both runs, and gives other results than its own rounding explains.
    - Operations that only one run has before an update, and that change a gradient by more than their own rounding.
    - Such that scale what an operation takes, and of which nothing is left in what that gives, as a normalisation.
    - Where rounding explains any distance of the weights: data that differ, and random draws.

    Args:
        traces: the two, aligned.
    """

    def __init__(self, traces: AlignedTraces) -> None:
        self._traces, self._one, self._other, self._search = traces, traces.one, traces.other, traces.search
        self._items, self._values = traces.alignment.items, traces.alignment.values
        known = traces.envelope.saturated_at if isinstance(traces.envelope, RoundingEnvelope) else None
        self._saturated_at = np.inf if known is None else known

    def roots(self) -> Iterator[Root]:
        """Those that there are, in no order."""
        if self._traces.divided:
            return
        for pair in self._traces.pairs(self._traces.have_other_bits & (self._traces.apart > 0)):
            if self._search.has_one_shape(pair) and (kind := self._computes_otherwise(pair)) is not None:
                reader = self._one.item_of(pair[0])[0]
                yield Root(kind, *pair, self._search.distance(pair), reader)
        for item, partner in self._items.items():
            if not self._search.gives_the_same(item, partner):
                continue
            for pair in self._search.edges(item, partner):
                if (root := self._inserted(item, partner, pair)) is not None:
                    yield root

    def _computes_otherwise(self, pair: Pair) -> RootKind | None:
        """Whether, and as what, two results differ by themselves."""
        value, partner = pair
        record, other = self._traces.record(value), self._other.records[int(self._other.maker[partner])]
        late = record.step >= self._saturated_at and self._search.distance(pair) > self._traces.explained(value)
        if self._one.is_outside(value) and self._other.is_outside(partner):
            # The same samples in another order are the same data, and have the same norm: nothing rounded them here.
            return RootKind.OUTSIDE if late and self._search.growth(pair) > _NUMBERS else None
        if record.site.name != other.site.name or record.site.phase == OUTSIDE or not self._takes_equal_bits(pair):
            return None
        if differing_arguments(record, other, within=_NUMBERS) or other_views(record, other) is not None:
            return None
        if is_random(record):
            return RootKind.OPERATION if late else None
        # What real numbers choose is for rounding to decide, not what whole numbers give.
        taken = [self._one.summaries[source].dtype in EPSILON for source in self._one.inputs(self._one.item_of(value))]
        judged = (self._one.summaries[value].dtype in EPSILON or not any(taken)) and not record.site.name.startswith(
            COMPILED_GRAPH
        )
        far = judged and self._search.distance(pair) > self._traces.direct(value)
        return RootKind.OPERATION if far else None

    def _takes_equal_bits(self, pair: Pair) -> bool:
        item, partner = self._one.item_of(pair[0]), self._other.item_of(pair[1])
        if self._items.get(item) != partner:
            return False
        mine, others = self._one.inputs(item), self._other.inputs(partner)
        return len(mine) == len(others) and all(
            UNKNOWN not in (value, other)
            and bool(self._one.plain[value])
            and self._one.digests[value] == self._other.digests[other]
            and self._one.summaries[value].shape == self._other.summaries[other].shape
            for value, other in zip(mine, others, strict=True)
        )

    def _inserted(self, item: Item, partner: Item, taken: Pair) -> Root | None:
        """Operations of one run alone that make another tensor of one that both have, where they are to blame."""
        if self._values.get(taken[0]) == taken[1] or not self._search.has_one_shape(taken):
            return None
        reader = self._one.records[item[0]]
        if reader.site.phase not in (OPTIMIZER, FORWARD) or reader.site.name.endswith(TAKE_SHAPES):
            return None
        if (before := self._before(taken)) is None or is_made_up_for(self._traces, item, partner):
            return None
        graph, start, end, both, between = before
        moved = float(distances(graph, np.array([start]), graph, np.array([end]))[0])
        units = floor_of(graph.records[int(graph.maker[end])].site.name, graph.summaries[end])
        least = max(units, 0.0 if self._traces.envelope is not None else self._traces.direct(both[0]))
        apart = 0.0 if self._search.is_far(both) else self._search.distance(both)
        if not moved > max(least, _MOVED * apart) or self._search.is_far(both):
            return None
        if reader.site.phase == OPTIMIZER:
            if graph.records[int(graph.maker[start])].site.phase in (OPTIMIZER, OUTSIDE):
                return None
        elif proportion(graph.sketches[end], graph.sketches[start]) is None or not self._absorbs(
            item, partner, taken, moved
        ):
            return None
        only = (between, ()) if graph is self._one else ((), between)
        return Root(RootKind.STRUCTURE, *taken, self._search.distance(taken), reader.index, *only)

    def _before(self, taken: Pair) -> tuple[TraceGraph, int, int, Pair, tuple[int, ...]] | None:
        """What operations of one run alone make of a tensor that both runs have, and that the other run takes as it is.

        Returns:
            The run's graph, in it the tensor that both have and the one that is taken in its place, the pair of the
            former, and the records in between; None where it is not so.
        """
        value, partner = taken
        start = self._values.get(value)
        if start is not None and partner not in self._traces.alignment.backwards:
            reached, between = upstream(self._other, partner, self._traces.alignment.backwards)
            if start in reached and self._other.summaries[start].shape == self._other.summaries[partner].shape:
                return self._other, start, partner, (value, start), tuple(between)
        begin = self._traces.alignment.backwards.get(partner)
        if begin is not None and value not in self._values:
            reached, between = upstream(self._one, value, self._values)
            if begin in reached and self._one.summaries[begin].shape == self._one.summaries[value].shape:
                return self._one, begin, value, (begin, partner), tuple(between)
        return None

    def _absorbs(self, item: Item, partner: Item, taken: Pair, moved: float) -> bool:
        """Whether an operation's first result is the same of a tensor that is scaled, and all else that it takes."""
        edges = self._search.edges(item, partner)
        if len(edges) != len(self._one.inputs(item)) or any(
            self._search.is_far(edge) for edge in edges if edge != taken
        ):
            return False
        mine, others = self._one.outputs(item), self._other.outputs(partner)
        record: Record = self._one.records[item[0]]
        if self._one.summaries[mine[0]].dtype not in EPSILON or record.site.name.startswith(COMPILED_GRAPH):
            return False
        gap = self._search.distance((mine[0], others[0]))
        return bool(self._one.norms[mine[0]] > 0) and gap * _MOVED < moved and record.site.name != RECEIVED
