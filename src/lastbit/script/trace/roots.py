"""Follows a difference between two traces back to where it came from: the first operations that made it."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np

from lastbit.script.trace.alignment import Alignment
from lastbit.script.trace.distance import PROPORTIONAL, distances, growths, proportion
from lastbit.script.trace.exchanged import sent_values
from lastbit.script.trace.graph import UNKNOWN, Item, TraceGraph, is_compiled, upstream
from lastbit.script.trace.records import RECEIVED

Pair = tuple[int, int]  # a value of the one trace and a value of the other

_PASSED_ON = 0.5  # share of a result's relative distance that an input has where the operation only passes it on


class RootKind(Enum):
    """What is known where a difference begins."""

    OPERATION = "operation"  # the same operation gives other results from inputs that agree
    OUTSIDE = "outside"  # a parameter, a buffer or data that no recorded operation made
    STRUCTURE = "structure"  # there are other operations in between
    SHAPES = "shapes"  # the same operation was given tensors of another shape
    COMPILED = "compiled"  # a compiled graph gives other results than the operations in its place


@dataclass(frozen=True)
class Root:
    """Where a difference begins."""

    kind: RootKind
    value: int  # of the one trace
    partner: int  # of the other
    distance: float  # between them; NaN where their shapes differ
    reader: int  # record of the one trace that takes the value, or gives it
    only_one: tuple[int, ...] = ()  # with STRUCTURE: records in between that the first trace alone has, in order
    only_other: tuple[int, ...] = ()


class RootSearch:
    """Finds where differences begin.

    Args:
        one: the one trace.
        other: the other.
        alignment: of the two.
        explained: the largest relative distance of a value of the first trace that counts as none.
        growth_explained: the largest logarithm of the ratio of two norms that counts as none.
    """

    def __init__(
        self,
        one: TraceGraph,
        other: TraceGraph,
        alignment: Alignment,
        explained: Callable[[int], float],
        growth_explained: Callable[[int], float],
    ) -> None:
        self._one, self._other, self._alignment = one, other, alignment
        self._explained, self._growth_explained = explained, growth_explained
        self._apart: dict[Pair, float] = {}
        self._least = math.inf  # relative distance from which on a pair is followed though it is explained

    def distance(self, pair: Pair) -> float:
        """Relative distance of two values; NaN where it is not known, or their shapes differ."""
        if pair not in self._apart:
            value, partner = pair
            gap = np.nan
            if self.has_one_shape(pair):
                gap = distances(self._one, np.array([value]), self._other, np.array([partner]))[0]
            self._apart[pair] = float(gap)
        return self._apart[pair]

    def is_far(self, pair: Pair) -> bool:
        """Whether two values are farther apart than is explained, or one is larger than the other."""
        if self.distance(pair) > self._explained(pair[0]):
            return True
        return self.distance(pair) > 0 and self.growth(pair) > self._growth_explained(pair[0])

    def growth(self, pair: Pair) -> float:
        """The logarithm of the ratio of two values' norms, without its sign; NaN where either is 0 or not finite."""
        return float(growths(self._one.norms[pair[0]], self._other.norms[pair[1]]))

    def edges(self, item: Item, partner: Item) -> list[Pair]:
        """The tensors that the same operation takes in either trace, as far as they can be paired."""
        mine, others = self._one.inputs(item), self._other.inputs(partner)
        if len(mine) != len(others):
            values = self._alignment.values
            return [(value, values[value]) for value in mine if values.get(value) in others]
        return [pair for pair in zip(mine, others, strict=True) if UNKNOWN not in pair]

    def gives_the_same(self, item: Item, partner: Item) -> bool:
        """Whether two operations that go by one name give tensors that are aligned too, not others of their kind."""
        pairs = zip(self._one.outputs(item)[:1], self._other.outputs(partner)[:1], strict=False)
        return any(self._alignment.values.get(value) == other for value, other in pairs)

    def agrees_before(self, item: Item, partner: Item) -> bool:
        """Whether all that the same operation takes in either trace is explained."""
        edges = self.edges(item, partner)
        whole = len(edges) == len([value for value in self._one.inputs(item) if value != UNKNOWN])
        return whole and all(self.has_one_shape(pair) and not self.is_far(pair) for pair in edges)

    def has_one_shape(self, pair: Pair) -> bool:
        """Whether two values have the same shape; one of a compiled graph but for dimensions of 1, which views add."""
        mine, other = (
            graph.summaries[value].shape for graph, value in zip((self._one, self._other), pair, strict=True)
        )
        if mine == other:
            return True
        makers = ((self._one, int(self._one.maker[pair[0]])), (self._other, int(self._other.maker[pair[1]])))
        if not any(is_compiled(graph, [index]) for graph, index in makers):
            return False
        return [length for length in mine if length != 1] == [length for length in other if length != 1]

    def roots(self, ends: Iterable[Pair], *, readers: Mapping[Pair, int] | None = None) -> list[Root]:
        """Where the differences of some pairs of values begin, in the order of the first trace.

        An operation that passes a difference on, from inputs about as far apart and yet explained (limits vary from
        operation to operation) or infinite (masked scores), is none where it begins in the same step at no rounding.

        Args:
            ends: the pairs.
            readers: of some of them, the record of the first trace that takes the value.
        """
        begins = self._begins(ends, readers or {})
        roots = [before for root in begins for before in self._passed_on(root) or [root]]
        return sorted(dict.fromkeys(roots), key=lambda root: root.reader)

    def _passed_on(self, root: Root) -> list[Root]:
        """Where a difference begins that an operation took in with its inputs; nothing where it made it itself."""
        if root.kind is not RootKind.OPERATION:
            return []
        step, self._least = self._one.records[root.reader].step, root.distance * _PASSED_ON
        item = self._one.item_of(root.value)
        edges = self.edges(item, self._other.item_of(root.partner))
        before = self._begins((edge for edge in edges if self._is_followed(edge)), {})
        self._least = math.inf
        return [
            other
            for other in before
            if self._one.records[other.reader].step == step
            and (other.kind is not RootKind.OPERATION or self.is_far((other.value, other.partner)))
        ]

    def _is_followed(self, pair: Pair) -> bool:
        hidden = math.isfinite(self._least) and self._is_hidden(pair)
        return hidden or self.is_far(pair) or self.distance(pair) >= self._least

    def _is_hidden(self, pair: Pair) -> bool:
        """Whether two values have other bits and neither is finite: how far they are apart is not known."""
        plain = self._one.plain[pair[0]] and self._other.plain[pair[1]]
        return bool(plain) and self.has_one_shape(pair) and math.isnan(self.distance(pair))

    def _begins(self, ends: Iterable[Pair], readers: Mapping[Pair, int]) -> list[Root]:
        roots: list[Root] = []
        # Taken from its end: what several read is then met from its first reader.
        todo = sorted(((pair, readers.get(pair, int(self._one.maker[pair[0]]))) for pair in ends), reverse=True)
        seen = set[Pair]()
        while todo:
            pair, reader = todo.pop()
            if pair in seen:
                continue
            seen.add(pair)
            above, root = self._above(pair, reader)
            todo += [(other, int(self._one.maker[pair[0]])) for other in above]
            if root is not None:
                roots.append(root)
        return roots

    def _above(self, pair: Pair, reader: int) -> tuple[Sequence[Pair], Root | None]:
        """What a difference of two values comes from: pairs that differ before it, or it begins here."""
        value, partner = pair
        if self._one.is_outside(value) and self._other.is_outside(partner):
            return [], Root(RootKind.OUTSIDE, *pair, self.distance(pair), reader)
        item = self._one.item_of(value)
        if self._alignment.items.get(item) != self._other.item_of(partner):
            return self._through_others(pair, reader)
        edges = self.edges(item, self._other.item_of(partner))
        if self._one.records[item[0]].site.name == RECEIVED:
            edges = self._sent(item)
        if far := [edge for edge in edges if self._is_followed(edge)]:
            return far, None
        if reshaped := [edge for edge in edges if not self.has_one_shape(edge)]:
            return reshaped, None
        if left := self._unpaired(item, self._other.item_of(partner), edges):
            return [], Root(RootKind.STRUCTURE, *pair, self.distance(pair), item[0], *left)
        kind = RootKind.OPERATION if self.has_one_shape(pair) else RootKind.SHAPES
        return [], Root(kind, *pair, self.distance(pair), item[0])

    def _sent(self, received: Item) -> list[Pair]:
        """What this process gave to the collective that a value came from, by pieces where it filled a buffer."""
        partners = self._alignment.values
        sent = (value for value in sent_values(self._one, received) if value in partners)
        return [(value, partners[value]) for value in sent]

    def _unpaired(self, item: Item, partner: Item, edges: Sequence[Pair]) -> list[tuple[int, ...]]:
        """The records behind tensors that the same operation takes in one trace only; nothing where there are none."""
        mine = [v for v in self._one.inputs(item) if v != UNKNOWN and v not in {pair[0] for pair in edges}]
        others = [v for v in self._other.inputs(partner) if v != UNKNOWN and v not in {pair[1] for pair in edges}]
        if len(self._one.inputs(item)) == len(self._other.inputs(partner)) or not (mine or others):
            return []
        return [
            tuple(sorted({index for value in values for index in upstream(graph, value, aligned)[1]}))
            for graph, values, aligned in (
                (self._one, mine, self._alignment.values),
                (self._other, others, self._alignment.backwards),
            )
        ]

    def _through_others(self, pair: Pair, reader: int) -> tuple[Sequence[Pair], Root | None]:
        """Go up through operations that only one trace has, to where the traces are aligned again."""
        value, partner = pair
        above = self._alignment.values.get(value) == partner  # by what they hold, though other operations made them
        mine, only_one = upstream(self._one, value, self._alignment.values, above=above)
        others, only_other = upstream(self._other, partner, self._alignment.backwards, above=above)
        reached = {(v, self._alignment.values[v]) for v in mine} | {(self._alignment.backwards[v], v) for v in others}
        # What the first trace makes only behind the reader is no cause of what that takes, but another tensor is taken:
        # followed on, the order of two operations that are exchanged would lead round in a circle.
        before = [other for other in reached - {pair} if int(self._one.maker[other[0]]) <= reader]
        far = [other for other in before if self._is_followed(other)]
        ratio = self.ratio(pair) if self.has_one_shape(pair) else None
        if far and (ratio is None or abs(ratio - 1) <= PROPORTIONAL):
            return far, None
        graphs = is_compiled(self._one, only_one) or is_compiled(self._other, only_other)
        kind = RootKind.COMPILED if graphs else RootKind.STRUCTURE
        return [], Root(kind, *pair, self.distance(pair), reader, tuple(only_one), tuple(only_other))

    def ratio(self, pair: Pair) -> float | None:
        """The factor from the second trace's values to the first's; None where they are not proportional."""
        sides = list(zip((self._one, self._other), pair, strict=True))
        width = min(len(graph.summaries[value].sketch) for graph, value in sides)
        mine, others = (graph.sketches[value][:width] for graph, value in sides)
        return proportion(mine, others)
