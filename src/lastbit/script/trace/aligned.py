"""Two traces of one process side by side: pairs of values with their distances, and what counts as rounding."""

from dataclasses import replace
from functools import cached_property
from math import inf, isfinite

import numpy as np

from lastbit.errors import LastbitError
from lastbit.script.trace.alignment import Alignment, align
from lastbit.script.trace.chosen import Choices
from lastbit.script.trace.coarser import CoarserNumerics
from lastbit.script.trace.distance import Array, distances, growths
from lastbit.script.trace.graph import BACKWARD, OPTIMIZER, UNKNOWN, TraceGraph
from lastbit.script.trace.one_operation import EPSILON, floor_of, is_bounded, limit_of_record
from lastbit.script.trace.places import Envelope, RoundingEnvelope, TraceDistances, TracePlace
from lastbit.script.trace.records import OUTSIDE, RECEIVED, Record, RunTrace
from lastbit.script.trace.roots import Pair, RootSearch

LEAST_SHARE = 0.2  # of the shorter trace's operations that are to be aligned
CERTAIN = 1e-2  # without an envelope: the relative distance that no rounding makes in one operation
TIGHT = 1e-5  # without an envelope: the relative distance up to which two values count as the same


class AlignedTraces:
    """Two traces of one process, aligned.

    Args:
        first: the reference.
        second: the other.
        envelope: what rounding explains; None where that is not known.
        divided: whether the runs divide their batches otherwise, as over another number of processes, so that only
            updates and what collectives gave can be compared.

    Raises:
        LastbitError: hardly any operation of the one is in the other, or one has none.
    """

    def __init__(self, first: RunTrace, second: RunTrace, envelope: Envelope | None, *, divided: bool = False) -> None:
        self.one, self.other, self.divided = TraceGraph(first), TraceGraph(second), divided
        self.coarser = CoarserNumerics(first, second)
        self.envelope = self.coarser.envelope(envelope, self.one)
        self.alignment: Alignment = align(self.one, self.other)
        self._check_alike()
        self.search = RootSearch(self.one, self.other, self.alignment, self.explained, self.growth_explained)
        values = sorted(self.alignment.values)
        self.values = np.array(values, int)  # of the first trace, shape (n,)
        self.partners = np.array([self.alignment.values[value] for value in values], int)  # of the second, shape (n,)
        self.apart = distances(self.one, self.values, self.other, self.partners)  # relative, shape (n,)
        # Logarithms of the ratios of their norms, without signs, shape (n,)
        self.growths = growths(self.one.norms[self.values], self.other.norms[self.partners])

    def _check_alike(self) -> None:
        graphs = (self.one, self.other)
        if not all(graph.records for graph in graphs):
            which, empty = ("first", self.one) if not self.one.records else ("second", self.other)
            rank = f" of rank {empty.trace.header.rank}" if empty.trace.header.world_size > 1 else ""
            raise LastbitError(f"the {which} trace{rank} holds no operation: {empty.trace.why_empty()}")
        if self.alignment.share < LEAST_SHARE:
            commands = [" ".join(graph.trace.header.command) for graph in graphs]
            raise LastbitError(
                f"these are traces of different programs ({commands[0]} and {commands[1]}): only {self.operations:,} "
                f"of {min(len(graph.records) for graph in graphs):,} operations are in both"
            )

    @cached_property
    def choices(self) -> Choices:
        """What rounding chooses in the first trace."""
        return Choices(self.one)

    @cached_property
    def operations(self) -> int:
        """How many operations of the first trace are in the second."""
        return len({index for index, _ in self.alignment.items})

    def explained(self, value: int) -> float:
        """The largest relative distance of a value of the first trace that is taken for rounding."""
        if self.envelope is None:
            return inf if self.choices.all[value] else TIGHT
        limit = self._limit(value)
        if limit is None:
            return inf
        return max(limit, self._floor(value))

    def growth_explained(self, value: int) -> float:
        """The largest logarithm of the ratio of the norms of a value that is taken for rounding."""
        if not isinstance(self.envelope, RoundingEnvelope):
            return inf
        limit = self.envelope.growth(self.record(value), self.one.output_of(value)[1])
        return max(limit, self._floor(value))

    def direct(self, value: int) -> float:
        """The largest relative distance of a value that is rounding where its operation takes equal bits.

        It is what rounding explains of the operation in the first step, before training has grown anything.
        """
        name, given = self.record(value).site.name, self.one.summaries[value]
        taken = [self.one.summaries[source] for source in self.one.inputs(self.one.item_of(value)) if source != UNKNOWN]
        if not any(summary.dtype in EPSILON for summary in (given, *taken)):
            return 0.0  # whole numbers and truth values are computed exactly
        coarse = self.coarser.unit(name, given)
        least = max(limit_of_record(self.record(value), taken, given, coarse=coarse), self._floor(value))
        if self.envelope is None:
            return max(least, CERTAIN)
        known = self._limit(int(self.one.firsts[value]))
        if known is None or (known == inf and not is_bounded(name)):
            return inf
        return least if known == inf else max(least, known)

    def _floor(self, value: int) -> float:
        """What any operation may be off by, relative to the larger of two values."""
        record, given = self.record(value), self.one.summaries[value]
        partner = self.alignment.values.get(value)
        if partner is not None and self.other.norms[partner] > given.norm:
            given = replace(given, norm=float(self.other.norms[partner]))
        return floor_of(record.site.name, given, flushed=self.coarser.smallest(record, given))

    def _limit(self, value: int) -> float | None:
        """What the envelope says of a value of the first trace; None without one, or where it knows nothing."""
        return None if self.envelope is None else self.envelope(self.record(value), self.one.output_of(value)[1])

    def record(self, value: int) -> Record:
        """The record of the first trace that gives a value."""
        return self.one.records[int(self.one.maker[value])]

    @cached_property
    def have_other_bits(self) -> Array:
        """Which of the pairs differ in their bits, shape (n,)."""
        known = self.one.plain[self.values] & self.other.plain[self.partners]
        differ: Array = (self.one.digests[self.values] != self.other.digests[self.partners]) & known
        return differ

    @cached_property
    def partial(self) -> set[int]:
        """Aligned values that cannot be compared: computed from tensors of other shapes, as of parts of a batch.

        What became of them again, as a sum over the parts, is no such value.
        """
        partial: set[int] = set()
        for value, partner in self.pairs(self.apart > TIGHT):
            item, other = self.one.item_of(value), self.other.item_of(partner)
            if self.alignment.items.get(item) == other:
                edges = self.search.edges(item, other)
                if any(edge[0] in partial or not self.search.has_one_shape(edge) for edge in edges):
                    partial.add(value)
        return partial

    @cached_property
    def comparable(self) -> Array:
        """Which of the pairs can be compared, shape (n,)."""
        if not self.divided:
            return ~np.isin(self.values, list(self.partial))
        sides = [[graph.records[i].site for i in graph.maker[values]]
                 for graph, values in ((self.one, self.values), (self.other, self.partners))]  # fmt: skip
        pairs = zip(*sides, strict=True)
        return np.array([mine.phase == OPTIMIZER or RECEIVED in (mine.name, other.name) for mine, other in pairs], bool)

    @cached_property
    def weights(self) -> tuple[frozenset[int], frozenset[int]]:
        """Of the weights, those that are compared, and all; of the second trace where that is of a single process."""
        last = min(max(graph.items, default=0) for graph in (self.one, self.other))
        alone = self.other.trace.header.world_size == 1 < self.one.trace.header.world_size
        graph, partners = (self.other, self.alignment.backwards) if alone else (self.one, self.alignment.values)
        weights = _weights(graph, last)
        return frozenset(weights & partners.keys()), frozenset(weights)

    @cached_property
    def limits(self) -> Array:
        """Of each pair, the largest relative distance that is taken for rounding, shape (n,)."""
        return np.array([self.explained(value) for value in self.values.tolist()], float)

    @cached_property
    def far(self) -> Array:
        """Which pairs are farther apart, or have norms of another size, than is taken for rounding, shape (n,)."""
        largest = np.array([self.growth_explained(value) for value in self.values.tolist()], float)
        with np.errstate(invalid="ignore"):
            return (self.apart > self.limits) | ((self.apart > 0) & (self.growths > largest))

    def pairs(self, chosen: Array) -> list[Pair]:
        """The pairs of values that are chosen by a mask of shape (n,)."""
        return list(zip(self.values[chosen].tolist(), self.partners[chosen].tolist(), strict=True))

    def distances(self) -> TraceDistances:
        """How far the results of each record are apart, those that cannot be compared left out."""
        known = ~np.isnan(self.apart) & self.comparable
        values, apart = self.values[known], self.apart[known]
        explained = np.array([np.nan if (limit := self._limit(v)) is None else limit for v in values.tolist()], float)
        with np.errstate(invalid="ignore", divide="ignore"):
            excess = np.nan_to_num(apart / self.limits[known], nan=0.0, posinf=np.inf)
        # Of the results of a record the last in this order; of equally good ones the farthest apart.
        order = np.lexsort((apart, excess, self.one.maker[values]))
        makers = self.one.maker[values][order]
        last = order[np.append(makers[1:] != makers[:-1], True)] if len(order) else order
        index = self.one.maker[values[last]]
        steps = np.array([self.one.records[i].step for i in index], int)
        return TraceDistances(index, steps, apart[last], explained[last])

    def place(self, index: int, distance: float | None, differs: str | None = None) -> TracePlace:
        """The place of a record of the first trace; of a value from outside, that of the first record that takes it."""
        return place_of(self.one, index, distance, differs)


def _weights(graph: TraceGraph, last: int) -> set[int]:
    """The values that are weights: what an update of the last step that has any made, and another phase takes.

    Of a single step, what no operation takes.

    Args:
        graph: of the trace.
        last: the step that both traces come to.
    """
    taken: set[int] = set()
    steps: dict[int, set[int]] = {}
    makers = [graph.records[index] for index in graph.maker]
    for item in (item for step, items in graph.items.items() if step <= last for item in items):
        taken.update(graph.inputs(item))
        if graph.records[item[0]].site.phase not in (OPTIMIZER, OUTSIDE):
            for value in graph.inputs(item):
                if value != UNKNOWN and makers[value].site.phase == OPTIMIZER:
                    steps.setdefault(makers[value].step, set()).add(value)
    updates = {value for value, made in enumerate(makers) if made.site.phase == OPTIMIZER and graph.plain[value]}
    return steps[max(steps)] if steps else updates - taken


def place_of(graph: TraceGraph, index: int, distance: float | None, differs: str | None = None) -> TracePlace:
    """The place of a record, or of the first that takes what comes from outside there.

    Args:
        graph: of the trace.
        index: of the record.
        distance: relative; None or NaN where there is none.
        differs: what differs.
    """
    record = graph.records[index]
    if record.site.phase == OUTSIDE:
        readers = (r for r in graph.records[index + 1 :] if any(o is not None and o[0] == index for o in r.inputs))
        record = next(readers, record)
    site, rank = record.site, graph.trace.header.rank
    module = site.module or _module_of_gradients(graph, record)
    known = distance if distance is not None and isfinite(distance) else None
    return TracePlace(site.name, record.index, rank, site.phase, record.step, module, site.line, known, differs)


def _module_of_gradients(graph: TraceGraph, record: Record) -> str | None:
    """The module whose gradients a record takes, where it is at work for none itself."""
    makers = [graph.records[origin[0]].site for origin in record.inputs if origin is not None]
    modules = (site.module for site in makers if site.phase == BACKWARD and site.module is not None)
    return None if record.site.phase == BACKWARD else next(modules, None)
