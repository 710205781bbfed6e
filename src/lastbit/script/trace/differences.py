"""Two traces of one process: the first other bits, and the first place that rounding does not explain."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np

from lastbit.errors import LastbitError
from lastbit.script.trace.alignment import NEAR, Alignment, align
from lastbit.script.trace.differs import Words, differing_arguments, is_random
from lastbit.script.trace.graph import OPTIMIZER, Array, Item, TraceGraph, distances
from lastbit.script.trace.records import OUTSIDE, Record, RunTrace
from lastbit.script.trace.roots import Pair, Root, RootKind, RootSearch

# The largest relative distance that rounding explains at a record of the first trace; None where that is not known.
Envelope: TypeAlias = Callable[[Record], float | None]

LEAST_SHARE = 0.2  # of the shorter trace's operations that are to be aligned
_TIGHT, _CERTAIN = 1e-5, 1e-2  # without an envelope: what counts as the same, and what rounding never does at once
_FLOOR = 32  # units in the last place that another kernel may be off by in one operation
_EPSILON = {"float64": 2.0**-52, "float32": 2.0**-23, "bfloat16": 2.0**-7, "float16": 2.0**-10}
_NUMBERS = 1e-9  # relative distance of two arguments, above what other libraries' last bits do


@dataclass(frozen=True)
class TracePlace:
    """An operation at which two traces differ; all but its distance is the first trace's."""

    operation: str  # aten::convolution
    index: int  # in the trace, from 0
    rank: int
    phase: str
    step: int  # optimizer steps before it
    module: str | None
    line: str | None
    distance: float | None  # ‖x − y‖ / max(‖x‖, ‖y‖); None where only one trace has such a tensor
    differs: str | None = None  # what differs, where rounding does not explain it

    def as_json(self) -> dict[str, Any]:
        """Plain data."""
        return {name: value for name, value in vars(self).items() if name != "differs" or value is not None}


@dataclass(frozen=True)
class TraceDistances:
    """How far two traces are apart, in the order of the first."""

    index: Array  # of the record, shape (n,)
    step: Array  # optimizer steps before it, shape (n,)
    distance: Array  # relative, the largest of the record's results, shape (n,); infinite where one is not finite
    explained: Array  # by rounding, shape (n,); NaN where it is not known


@dataclass(frozen=True)
class RankComparison:
    """What two traces of one process show."""

    rank: int
    operations: int  # of the first trace that were compared
    steps: int  # optimizer steps that both came to
    same_bits: bool
    first_different: TracePlace | None
    beyond_rounding: TracePlace | None
    has_envelope: bool
    distances: TraceDistances
    only_first: Sequence[Record]  # operations without a partner
    only_second: Sequence[Record]
    notes: tuple[str, ...] = field(default=())  # how far the files go


def compare_rank(one: RunTrace, other: RunTrace, envelope: Envelope | None) -> RankComparison:
    """Compare two traces of one process.

    Args:
        one: the reference, whose operations are named.
        other: the other.
        envelope: what rounding explains, as the noise of last bits has shown it. Without it only what is certain is
            said to be another computation.

    Raises:
        LastbitError: hardly any operation of the one is in the other: they are traces of different programs.
    """
    return _Comparer(one, other, envelope).result()


class _Comparer:
    """The comparison, as it is worked out."""

    def __init__(self, one: RunTrace, other: RunTrace, envelope: Envelope | None) -> None:
        self._one, self._other, self._envelope = TraceGraph(one), TraceGraph(other), envelope
        self._alignment: Alignment = align(self._one, self._other)
        _check_alike(one, other, self._alignment)
        self._search = RootSearch(self._one, self._other, self._alignment, self._explained)
        self._words = Words(self._one, self._other, self._search)
        values = sorted(self._alignment.values)
        self._values = np.array(values, int)
        self._partners = np.array([self._alignment.values[value] for value in values], int)
        self._apart = distances(self._one, self._values, self._other, self._partners)

    def result(self) -> RankComparison:
        """All that is known."""
        first = self._first_different()
        beyond = self._beyond()
        return RankComparison(
            rank=self._one.trace.header.rank,
            operations=len({index for index, _ in self._alignment.items}),
            steps=self._last_step,
            same_bits=first is None,
            first_different=first,
            beyond_rounding=beyond,
            has_envelope=self._envelope is not None,
            distances=self._distances(),
            only_first=[self._one.records[index] for index in self._alignment.only_one],
            only_second=[self._other.records[index] for index in self._alignment.only_other],
            notes=tuple(_notes(self._one.trace, self._other.trace)),
        )

    @property
    def _last_step(self) -> int:
        return min(max(graph.items, default=0) for graph in (self._one, self._other))

    def _explained(self, value: int) -> float:
        """The largest relative distance of a value of the first trace that is taken for rounding."""
        if self._envelope is None:
            return _TIGHT
        known = self._envelope(self._one.records[int(self._one.maker[value])])
        return max(known or 0.0, _FLOOR * _EPSILON.get(self._one.summaries[value].dtype, 0.0))

    def _first_different(self) -> TracePlace | None:
        """The first record with other bits, or whose results lead nowhere in the other trace."""
        differing = self._values[self._other_bits()]
        comparable = [value for value in differing if value not in self._partial] or list(differing)
        places = [(int(self._one.maker[value]), int(value)) for value in comparable[:1]]
        ends = [(index, -1) for index in self._loose_ends(self._one, self._alignment.only_one)]
        if not places and not ends and (there := self._loose_ends(self._other, self._alignment.only_other)):
            return self._place_of_second(there[0])
        if not places and not ends:
            return self._other_length()
        index, value = min([*places, *ends[:1]])
        distance = None if value < 0 else self._search.distance((value, self._alignment.values[value]))
        return self._place(index, distance)

    def _other_bits(self) -> Array:
        digests, others = self._one.digests[self._values], self._other.digests[self._partners]
        differ: Array = (digests != others) & ~np.isnan(self._apart)
        return differ

    @cached_property
    def _partial(self) -> set[int]:
        """Aligned values that cannot be compared: computed from tensors of other shapes, as of parts of a batch.

        What became of them again, as a sum over the parts, is.
        """
        partial: set[int] = set()
        for value, partner, apart in zip(self._values, self._partners, self._apart, strict=True):
            if not apart > NEAR:
                continue
            item, other = self._one.item_of(int(value)), self._other.item_of(int(partner))
            if self._alignment.items.get(item) == other:
                edges = self._search.edges(item, other)
                if any(edge[0] in partial or not self._search.has_one_shape(edge) for edge in edges):
                    partial.add(int(value))
        return partial

    def _loose_ends(self, graph: TraceGraph, only: Sequence[int]) -> list[int]:
        """Operations of one trace alone whose results no aligned operation takes, not through others either."""
        consumers: dict[int, list[int]] = {}
        for record in graph.records:
            for origin in record.inputs:
                if origin is not None:
                    consumers.setdefault(origin[0], []).append(record.index)
        alone, loose = set(only), set[int]()
        for index in reversed(only):
            if all(reader in loose for reader in consumers.get(index, ())):
                loose.add(index)
        return sorted(loose & alone)

    def _beyond(self) -> TracePlace | None:
        """The first place that rounding does not explain."""
        candidates = [self._by_arguments(), self._by_values(), self._by_length()]
        return min((place for place in candidates if place is not None), key=lambda place: place.index, default=None)

    def _by_arguments(self) -> TracePlace | None:
        """The first operation that is given other arguments with the same inputs."""
        apart = self._first_other_bits()
        for item in sorted(self._alignment.items, key=lambda item: (item[0], item[1] or 0)):
            partner = self._alignment.items[item]
            record, other = self._one.records[item[0]], self._other.records[partner[0]]
            if record.site.name != other.site.name or self._one.shapes(item) != self._other.shapes(partner):
                continue
            # Before any bit differs no number can differ by rounding; behind it, one may have been computed.
            within = _NUMBERS if record.index <= apart else self._number_tolerance(item)
            names = differing_arguments(record, other, within=within)
            if names and self._search.agrees_before(item, partner):
                values = [v for v in self._one.outputs(item) if v in self._alignment.values]
                gaps = [self._search.distance((v, self._alignment.values[v])) for v in values]
                distance = max((gap for gap in gaps if not np.isnan(gap)), default=None)
                return self._place(record.index, distance, self._words.arguments(item, partner, names))
        return None

    def _number_tolerance(self, item: Item) -> float:
        return max([1e-6, *(self._explained(value) for value in self._one.outputs(item))])

    def _first_other_bits(self) -> int:
        differing = self._values[self._other_bits()]
        return int(self._one.maker[differing[0]]) if len(differing) else len(self._one.records)

    def _by_values(self) -> TracePlace | None:
        """Where the differences begin that reach the weights, or results that nothing else takes."""
        roots = [root for root in self._search.roots(self._updates()) if self._is_certain(root)]
        ends = self._search.roots(self._ends())
        if not any(self._reshapes(root) for root in ends):
            # Of batches of other sizes, as of several processes, only what becomes of the weights can be compared.
            roots += [root for root in ends if self._is_certain(root)]
        if not roots:
            return None
        root = min(roots, key=lambda root: root.reader)
        only = [index for index in root.only_one if self._computes(index)]
        return self._place(min([root.reader, *only]), root.distance, self._words.root(root))

    def _reshapes(self, root: Root) -> bool:
        return self._one.summaries[root.value].shape != self._other.summaries[root.partner].shape

    def _computes(self, index: int) -> bool:
        return self._one.records[index].site.phase != OUTSIDE

    @cached_property
    def _far(self) -> Array:
        limits = np.array([self._explained(int(value)) for value in self._values])
        return self._apart > limits

    def _updates(self) -> list[Pair]:
        """Results of updates that are too far apart, of the first step that has any."""
        records = [self._one.records[int(self._one.maker[value])] for value in self._values[self._far]]
        steps = [record.step for record in records if record.site.phase == OPTIMIZER]
        chosen = [record.site.phase == OPTIMIZER and record.step == min(steps) for record in records]
        return self._pairs(chosen)

    def _ends(self) -> list[Pair]:
        """Results that are too far apart and that no other operation takes."""
        taken = {v for items in self._one.items.values() for item in items for v in self._one.inputs(item)}
        return self._pairs([int(value) not in taken for value in self._values[self._far]])

    def _pairs(self, chosen: Sequence[bool]) -> list[Pair]:
        values, partners = self._values[self._far], self._partners[self._far]
        return [(int(v), int(w)) for v, w, wanted in zip(values, partners, chosen, strict=True) if wanted]

    def _is_certain(self, root: Root) -> bool:
        """Whether a difference that begins somewhere cannot be rounding."""
        if self._envelope is not None or self._reshapes(root):
            return True
        if not root.distance > _CERTAIN:
            return False
        record = self._one.records[int(self._one.maker[root.value])]
        return root.kind is not RootKind.OPERATION or is_random(record) or not self._may_cancel(root)

    def _may_cancel(self, root: Root) -> bool:
        """Whether the results are so small beside what they were computed from that rounding alone may part them."""
        item = self._one.item_of(root.value)
        norms = [float(self._one.norms[value]) for value in self._one.inputs(item) if value >= 0]
        gap = root.distance * max(float(self._one.norms[root.value]), float(self._other.norms[root.partner]))
        return not gap > 1e-3 * max([*norms, float(np.prod(norms))], default=0.0)

    def _by_length(self) -> TracePlace | None:
        """The first operation behind the other program's last step, where both came to their ends."""
        place = self._other_length()
        traces = (self._one.trace, self._other.trace)
        if place is None or not all(trace.ended for trace in traces):
            return None
        steps = [trace.steps for trace in traces]
        return self._place(place.index, None, f"{steps[0]:,} optimizer steps against {steps[1]:,}")

    def _other_length(self) -> TracePlace | None:
        steps = [trace.steps for trace in (self._one.trace, self._other.trace)]
        if steps[0] == steps[1] or not (self._one.trace.ended and self._other.trace.ended):
            return None
        aligned = {index for index, _ in self._alignment.items}
        beyond = [r.index for r in self._one.records if r.step >= min(steps) and r.index not in aligned]
        return self._place(beyond[0] if beyond else len(self._one.records) - 1, None)

    def _place(self, index: int, distance: float | None, differs: str | None = None) -> TracePlace:
        return _place(self._named(self._one, index), self._one.trace.header.rank, distance, differs)

    def _place_of_second(self, index: int) -> TracePlace:
        return _place(self._other.records[index], self._other.trace.header.rank, None)

    def _named(self, graph: TraceGraph, index: int) -> Record:
        """The record, or the first that takes what comes from outside there."""
        if graph.records[index].site.phase != OUTSIDE:
            return graph.records[index]
        readers = (r for r in graph.records[index + 1 :] if any(o is not None and o[0] == index for o in r.inputs))
        return next(readers, graph.records[index])

    def _distances(self) -> TraceDistances:
        makers = self._one.maker[self._values]
        known = ~np.isnan(self._apart) & ~np.isin(self._values, list(self._partial))
        index, place = np.unique(makers[known], return_inverse=True)
        largest = np.zeros(len(index))
        np.maximum.at(largest, place, self._apart[known])
        records = [self._one.records[i] for i in index]
        explained = [np.nan if self._envelope is None else self._envelope(r) for r in records]
        steps = np.array([record.step for record in records], int)
        return TraceDistances(index, steps, largest, np.array(explained, float))


def _place(record: Record, rank: int, distance: float | None, differs: str | None = None) -> TracePlace:
    site = record.site
    known = None if distance is None or np.isnan(distance) else distance
    return TracePlace(site.name, record.index, rank, site.phase, record.step, site.module, site.line, known, differs)


def _check_alike(one: RunTrace, other: RunTrace, alignment: Alignment) -> None:
    if not one.records or not other.records:
        which = "first" if not one.records else "second"
        raise LastbitError(f"the {which} trace holds no operation: there is nothing to compare")
    if alignment.share < LEAST_SHARE:
        commands = [" ".join(trace.header.command) for trace in (one, other)]
        raise LastbitError(
            f"these are traces of different programs ({commands[0]} and {commands[1]}): only "
            f"{len({index for index, _ in alignment.items}):,} of {min(len(one.records), len(other.records)):,} "
            "operations are in both"
        )


def _notes(one: RunTrace, other: RunTrace) -> list[str]:
    """How far each file goes, where it does not go to the program's end."""
    return [
        f"the {which} trace ends after {len(trace.records):,} operations, in step {trace.records[-1].step:,}: the "
        "program was stopped before its end"
        + (f", and {trace.torn:,} bytes at the end of the file are not whole" if trace.torn else "")
        for which, trace in (("first", one), ("second", other))
        if not trace.ended
    ]
