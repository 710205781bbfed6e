"""Says which operation and which tensor of one trace is which of another's, though neither is as long as the other.

Steps are aligned with steps. Within a step, operations are paired in four rounds, each of what is left by the last:

1. the same operation (phase, module, name, shapes) in the same order: with equal bits, then arguments, then any;
2. the same values: equal digests, or sketches so near that only rounding is between them. This pairs what is fused or
   decomposed by its results, whatever the operations are called, and the gradients of a batch that was accumulated in
   parts, or averaged over processes, with those of the whole batch;
3. the same operation in another order, or of the network under another name, the n-th with the n-th; an update of a
   list (`_foreach_`) like single updates;
4. the same operation with other shapes, where there are as many of it.
"""

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lastbit.script.trace.distance import Array, distances
from lastbit.script.trace.graph import OPTIMIZER, Item, TraceGraph, is_copy
from lastbit.script.trace.records import OUTSIDE, PARTS
from lastbit.script.trace.sequences import Pairs, align_keys

NEAR = 1e-3  # relative distance below which two tensors of a step are taken for the same in other places
_FAR = 0.03  # above which a pair by name gives way to a pair by value
_LEAST, _LEAST_SKETCH = 8, 4  # elements, and numbers of their sketch; with fewer, tensors may be near by chance
_MOST_COMPARED = 4_000_000  # sketches, each with each, of tensors of one size in a step


@dataclass(frozen=True)
class Alignment:
    """Two traces side by side."""

    items: Mapping[Item, Item]  # the same operation in either
    values: Mapping[int, int]  # the same tensor in either; of all that such operations give, and more
    backwards: Mapping[int, int]  # the same, from the other trace to this
    only_one: Sequence[int]  # records, copies and values from outside left out, that are in the first alone
    only_other: Sequence[int]

    @property
    def share(self) -> float:
        """Operations that are aligned, as a share of the shorter trace's."""
        aligned = len({index for index, _ in self.items})
        return aligned / max(1, aligned + min(len(self.only_one), len(self.only_other)))


def align(one: TraceGraph, other: TraceGraph) -> Alignment:
    """Align two traces, as far as both go."""
    items: dict[Item, Item] = {}
    values: dict[int, int] = {}
    backwards: dict[int, int] = {}
    for step in sorted(one.items.keys() & other.items.keys()):
        aligned = _Step(one, other, one.items[step], other.items[step])
        items.update(aligned.items)
        values.update(aligned.values)
        backwards.update(aligned.backwards)
    last = min(max(one.items, default=0), max(other.items, default=0))
    return Alignment(
        items,
        values,
        backwards,
        _alone(one, set(items), values, last),
        _alone(other, set(items.values()), backwards, last),
    )


def _alone(graph: TraceGraph, items: set[Item], values: Mapping[int, int], last: int) -> list[int]:
    """Records that compute, and of which neither the operation nor any tensor was found, up to a step."""
    alone: list[int] = []
    for step, all_items in graph.items.items():
        if step > last:
            continue
        for item in all_items:
            record = graph.records[item[0]]
            looks = record.site.phase == OUTSIDE or record.site.name in PARTS or is_copy(record, graph)
            if item in items or looks:
                continue
            if not any(value in values for value in graph.outputs(item)) and alone[-1:] != [item[0]]:
                alone.append(item[0])
    return sorted(alone)


class _Step:
    """The alignment of a step, as it grows."""

    def __init__(self, one: TraceGraph, other: TraceGraph, here: Sequence[Item], there: Sequence[Item]) -> None:
        self._one, self._other = one, other
        self.items: dict[Item, Item] = {}
        self.values: dict[int, int] = {}
        self.backwards: dict[int, int] = {}
        self._taken: set[Item] = set()
        for i, j in _in_order(one, other, here, there):
            self._pair(here[i], there[j])
        self._by_value(here, there)
        for key in (TraceGraph.key, TraceGraph.unwrapped_key, TraceGraph.loose_key):
            self._by_name(here, there, key, alike=True)
        self._by_name(here, there, _without_shapes, alike=False)

    def _pair(self, here: Item, there: Item) -> None:
        self.items[here] = there
        self._taken.add(there)
        mine, others = self._one.outputs(here), self._other.outputs(there)
        shapes = [[graph.summaries[v].shape for v in vs] for graph, vs in ((self._one, mine), (self._other, others))]
        pairs = [(i, i) for i in range(len(mine))] if shapes[0] == shapes[1] else align_keys(*shapes)
        for i, j in pairs:
            if mine[i] not in self.values and others[j] not in self.backwards:
                self._link(mine[i], others[j])

    def _link(self, value: int, partner: int) -> None:
        """Make a pair of two tensors, in place of the pairs in which they were."""
        if (before := self.values.pop(value, None)) is not None:
            del self.backwards[before]
        if (former := self.backwards.pop(partner, None)) is not None:
            del self.values[former]
        self.values[value], self.backwards[partner] = partner, value

    def _rest(self, here: Iterable[Item], there: Iterable[Item]) -> tuple[list[Item], list[Item]]:
        return [item for item in here if item not in self.items], [item for item in there if item not in self._taken]

    def _by_name(
        self, here: Sequence[Item], there: Sequence[Item], key: Callable[[TraceGraph, Item], Hashable], *, alike: bool
    ) -> None:
        """Pair the n-th operation of a key with the n-th; with `alike` false only where there are as many."""
        mine, others = self._rest(here, there)
        places: dict[Hashable, list[Item]] = {}
        for item in others:
            places.setdefault(key(self._other, item), []).append(item)
        groups: dict[Hashable, list[Item]] = {}
        for item in mine:
            groups.setdefault(key(self._one, item), []).append(item)
        for name, group in groups.items():
            if alike or len(group) == len(places.get(name, ())):
                for pair in zip(group, places.get(name, ()), strict=False):
                    self._pair(*pair)

    def _by_value(self, here: Sequence[Item], there: Sequence[Item]) -> None:
        """Pair tensors by what they hold: those without a partner, and those that are far from theirs."""
        far = self._far()
        mine = [v for item in here for v in self._one.outputs(item) if v not in self.values or v in far]
        others = [
            v
            for item in there
            for v in self._other.outputs(item)
            if v not in self.backwards or self.backwards[v] in far
        ]
        for pair in _same_values(self._one, mine, self._other, others):
            self._link(*pair)

    def _far(self) -> set[int]:
        mine = np.fromiter(self.values.keys(), int, len(self.values))
        others = np.fromiter(self.values.values(), int, len(self.values))
        return set(mine[distances(self._one, mine, self._other, others) > _FAR].tolist()) if len(mine) else set()


def _in_order(one: TraceGraph, other: TraceGraph, here: Sequence[Item], there: Sequence[Item]) -> Pairs:
    """Pair the same operations in the same order: first those with equal bits, then those with equal arguments."""
    keys = [one.key(item) for item in here]
    others = [other.key(item) for item in there]
    if keys == others:
        return [(i, i) for i in range(len(here))]
    with_bits = [(key, one.fingerprint(item)) for key, item in zip(keys, here, strict=True)]
    others_with_bits = [(key, other.fingerprint(item)) for key, item in zip(others, there, strict=True)]
    with_numbers = [(key, one.numbers(item)) for key, item in zip(keys, here, strict=True)]
    others_with_numbers = [(key, other.numbers(item)) for key, item in zip(others, there, strict=True)]
    pairs: Pairs = []
    for mine, theirs in ((with_bits, others_with_bits), (with_numbers, others_with_numbers), (keys, others)):
        pairs = _filled(pairs, mine, theirs)
    return pairs


def _filled(pairs: Pairs, mine: Sequence[Hashable], theirs: Sequence[Hashable]) -> Pairs:
    """Pairs of places, with those of equal keys added in the gaps between them."""
    starts = [(0, 0), *((i + 1, j + 1) for i, j in pairs)]
    stops = [*pairs, (len(mine), len(theirs))]
    added = [
        (low + i, first + j)
        for (low, first), (high, last) in zip(starts, stops, strict=True)
        if low < high and first < last
        for i, j in align_keys(mine[low:high], theirs[first:last])
    ]
    return sorted([*pairs, *added])


def _without_shapes(graph: TraceGraph, item: Item) -> Hashable:
    site = graph.records[item[0]].site
    return site.phase, site.module, site.name


def _same_values(
    one: TraceGraph, mine: Sequence[int], other: TraceGraph, others: Sequence[int]
) -> list[tuple[int, int]]:
    """Pairs of tensors that hold the same but for rounding: of one size, and each the other's nearest."""
    pairs = []
    sizes: dict[int, tuple[list[int], list[int]]] = {}
    for graph, values, side in ((one, mine, 0), (other, others, 1)):
        for value in values:
            size = int(np.prod(graph.summaries[value].shape, dtype=int))
            sketched = size >= _LEAST and len(graph.summaries[value].sketch) >= _LEAST_SKETCH
            if sketched and graph.norms[value] > 0:
                sizes.setdefault(size, ([], []))[side].append(value)
    for here, there in sizes.values():
        if here and there and len(here) * len(there) <= _MOST_COMPARED:
            pairs += _nearest(one, np.array(here), other, np.array(there))
    return pairs


def _nearest(one: TraceGraph, mine: Array, other: TraceGraph, others: Array) -> list[tuple[int, int]]:
    """Pairs of values that are each other's nearest and near; of equal ones the n-th with the n-th."""
    apart = distances(one, np.repeat(mine, len(others)), other, np.tile(others, len(mine)))
    # A weight that is a little smaller after decay, or a small step, is not what it was, or was gathered, before.
    (updated, inside), (others_updated, others_inside) = _are_of_updates(one, mine), _are_of_updates(other, others)
    apart = apart.reshape(len(mine), len(others))
    apart[np.logical_and.outer(updated, ~others_inside) | np.logical_and.outer(~inside, others_updated)] = np.inf
    pairs = []
    free = np.ones(len(others), bool)
    for row, gaps in enumerate(apart):
        gaps = np.where(free, gaps, np.inf)
        column = int(gaps.argmin())
        if gaps[column] < NEAR and gaps[column] <= apart[row:, column].min():
            free[column] = False
            pairs.append((int(mine[row]), int(others[column])))
    return pairs


def _are_of_updates(graph: TraceGraph, values: Iterable[int]) -> tuple[Array, Array]:
    """Whether values were made in an update: for a parameter by an optimizer's step; and in its phase at all."""
    sites = [graph.records[int(graph.maker[value])].site for value in values]
    phase = np.array([site.phase == OPTIMIZER for site in sites], bool)
    return phase & np.array([site.module is not None for site in sites], bool), phase
