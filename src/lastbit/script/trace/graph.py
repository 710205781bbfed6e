"""A trace as a graph of values: what each operation takes and gives, copies looked through, in arrays."""

from collections import Counter
from collections.abc import Container, Hashable, Iterable, Iterator, Sequence
from functools import cache, cached_property
from itertools import accumulate
from typing import Any, TypeAlias

import numpy as np

from lastbit.script.trace.distance import Array, Summaries
from lastbit.script.trace.records import OFFSET, OUTSIDE, RECEIVED, STRIDES, Record, RunTrace, Site

# A record and, where it updates a list of tensors at once (`torch._foreach_*`), which of them; None for all of it.
Item: TypeAlias = tuple[int, int | None]

# They give what they take, elsewhere perhaps or in another memory format: what reads them reads what they took.
_COPIES = frozenset({"aten::clone", "aten::_to_copy", "aten::copy_", "aten::contiguous", "aten::lift_fresh"})
_LISTS = "aten::_foreach_"
# Attributes in which DistributedDataParallel, FSDP and torch.compile hold the network.
_WRAPPERS = frozenset({"module", "_fsdp_wrapped_module", "_orig_mod"})
_MOST_UPSTREAM = 5000  # operations that a search for aligned values goes through
UNKNOWN = -1  # a value of which nothing is known
FORWARD, BACKWARD, OPTIMIZER = (
    "forward",
    "backward",
    "optimizer",
)  # phases, as `audit.place` names them, which imports torch
COMPILED_GRAPH = "compiled graph"  # begins the names of their records, as `audit.compiled` gives them, likewise


class TraceGraph(Summaries):
    """A trace, with its values numbered: the outputs of its records, one after the other.

    Args:
        trace: what a file holds.
    """

    def __init__(self, trace: RunTrace) -> None:
        self.trace = trace
        self.records = list(trace.records)  # a trace that was read puts a record together whenever it is asked for one
        self._first = [0, *accumulate(len(record.outputs) for record in self.records)]
        super().__init__([summary for record in self.records for summary in record.outputs])
        self.maker = np.repeat(np.arange(len(self.records)), np.diff(self._first))  # record of each value

    @cached_property
    def items(self) -> dict[int, list[Item]]:
        """The items of each step, in order."""
        steps: dict[int, list[Item]] = {}
        for record in self.records:
            steps.setdefault(record.step, []).extend(_items(record))
        return steps

    @cached_property
    def taken(self) -> set[int]:
        """The values of which operations make something."""
        return {value for items in self.items.values() for item in items for value in self.used(item)}

    @cached_property
    def repeated(self) -> list[list[int]]:
        """Values that are the same output of the same operation, the n-th of its site in a step, step after step."""
        values: dict[Hashable, list[int]] = {}
        count: Counter[Hashable] = Counter()
        for record, first in zip(self.records, self._first, strict=False):
            here = record.site, record.step
            count[here] += 1
            for place in range(len(record.outputs)):
                values.setdefault((record.site, count[here], place), []).append(first + place)
        return list(values.values())

    @cached_property
    def firsts(self) -> Array:
        """Of each value, that which the same operation gave in the first step that has it, shape (n,)."""
        firsts: Array = np.arange(len(self.summaries))
        for same in self.repeated:
            firsts[same] = same[0]
        return firsts

    @cached_property
    def compiled_phases(self) -> set[tuple[int, str]]:
        """Steps, and the phases of them, in which compiled graphs are called."""
        records = (record for record in self.records if record.site.name.startswith(COMPILED_GRAPH))
        return {(record.step, record.site.phase) for record in records}

    def computing(self, indices: Iterable[int]) -> list[Record]:
        """Those of some records that compute something, in this order: none for what comes from outside."""
        return [record for index in indices if (record := self.records[index]).site.phase != OUTSIDE]

    def outputs(self, item: Item) -> list[int]:
        """The values that an item gives."""
        index, place = item
        first = self._first[index]
        return list(range(first, self._first[index + 1])) if place is None else [first + place]

    def inputs(self, item: Item) -> list[int]:
        """The values that an item takes, copies looked through; UNKNOWN for memory that nobody wrote."""
        index, place = item
        record = self.records[index]
        origins = record.inputs if place is None else _of_list(record.inputs, place, len(record.outputs))
        return [UNKNOWN if origin is None else self.source(self._first[origin[0]] + origin[1]) for origin in origins]

    def used(self, item: Item) -> list[int]:
        """The values on which an item's results depend: no running statistics that backward passes are given."""
        values = self.inputs(item)
        if not self.records[item[0]].site.name.endswith("batch_norm_backward"):
            return values
        return [value for value in values if value == UNKNOWN or not self._is_running_statistic(value)]

    def parts(self, item: Item) -> set[int]:
        """The values of which an item takes a part, which others may have written since: what it takes is not known."""
        record = self.records[item[0]]
        places = [int(name.removeprefix(OFFSET)) - 1 for name in record.site.numbers if name.startswith(OFFSET)]
        origins = [record.inputs[place] for place in places if place < len(record.inputs)]
        return {self.source(self._first[origin[0]] + origin[1]) for origin in origins if origin is not None}

    def _is_running_statistic(self, value: int) -> bool:
        """Whether a batch normalisation has updated it: they are the last two of what that changes."""
        index, place = self.output_of(value)
        record = self.records[index]
        updated = record.site.name.endswith("batch_norm") and record.arguments.get("training") == "True"
        return updated and len(record.outputs) > 3 and place >= len(record.outputs) - 2

    def source(self, value: int) -> int:
        """The value that a copy was made of, or the value itself."""
        while (record := self.records[int(self.maker[value])]).site.name in _COPIES and is_copy(record, self):
            # The last of two is what `copy_` takes in; the first is what it overwrites.
            origin = record.inputs[-1]
            assert origin is not None
            value = self._first[origin[0]] + origin[1]
        return value

    def value(self, index: int, place: int) -> int:
        """The number of a record's output."""
        return self._first[index] + place

    def output_of(self, value: int) -> tuple[int, int]:
        """The record that gives a value, and which of its outputs it is."""
        index = int(self.maker[value])
        return index, value - self._first[index]

    def item_of(self, value: int) -> Item:
        """The item that gives a value."""
        index, place = self.output_of(value)
        return index, place if is_list(self.records[index]) else None

    def is_outside(self, value: int) -> bool:
        """Whether no recorded operation made it: a parameter, a buffer, data; not what a collective received."""
        record = self.records[int(self.maker[value])]
        return record.site.phase == OUTSIDE and not record.inputs

    def key(self, item: Item) -> Hashable:
        """What an operation is: phase, module, name, and the shapes that it gives."""
        site = self.records[item[0]].site
        return site.phase, site.module, site.name, self.shapes(item)

    def unwrapped_key(self, item: Item) -> Hashable:
        """The same with the module's path in its network, whatever variable holds that and whatever wraps it."""
        site = self.records[item[0]].site
        return site.phase, site.module and _unwrapped(site.module), site.name, self.shapes(item)

    def loose_key(self, item: Item) -> Hashable:
        """The same without the module, and a list of updates like its updates one by one."""
        site = self.records[item[0]].site
        return site.phase, site.name.replace(_LISTS, "aten::"), self.shapes(item)

    def shapes(self, item: Item) -> tuple[tuple[int, ...], ...]:
        """Of the tensors that it gives."""
        outputs = self.records[item[0]].outputs
        return tuple(summary.shape for summary in (outputs if item[1] is None else outputs[item[1] : item[1] + 1]))

    def numbers(self, item: Item) -> Hashable:
        """The arguments that are no tensors, those left out that say how its tensors lie in memory."""
        record = self.records[item[0]]
        words, kept = _without_views(record.site)
        return words, tuple(record.numbers[place] for place in kept)

    def fingerprint(self, item: Item) -> Hashable:
        """The bits that it gives."""
        outputs = self.records[item[0]].outputs
        return tuple(summary.digest for summary in (outputs if item[1] is None else outputs[item[1] : item[1] + 1]))


@cache
def _without_views(site: Site) -> tuple[tuple[tuple[str, str], ...], tuple[int, ...]]:
    """The arguments of a site, and places of its numbers, that say nothing about memory."""
    words = tuple(word for word in site.arguments if not word[0].startswith(STRIDES))
    return words, tuple(place for place, name in enumerate(site.numbers) if not name.startswith(OFFSET))


def _unwrapped(module: str) -> str:
    """`net.module.layer1.weight` without the variable and what distributed training or a compiler puts around it."""
    return ".".join(name for name in module.split(".")[1:] if name not in _WRAPPERS)


def is_list(record: Record) -> bool:
    """Whether a record updates a list of tensors at once."""
    return record.site.name.startswith(_LISTS) and len(record.outputs) > 0


def is_copy(record: Record, graph: TraceGraph) -> bool:
    """Whether a record gives the very values that it takes."""
    if record.site.name not in _COPIES or len(record.outputs) != 1 or not record.inputs or record.inputs[-1] is None:
        return False
    index, place = record.inputs[-1]
    taken, given = graph.records[index].outputs[place], record.outputs[0]
    return (taken.shape, taken.dtype) == (given.shape, given.dtype)


def _items(record: Record) -> Iterator[Item]:
    if is_list(record):
        yield from ((record.index, place) for place in range(len(record.outputs)))
    else:
        yield record.index, None


def _of_list(origins: Sequence[Any], place: int, length: int) -> list[Any]:
    """Of lists of equal length, one after the other, what belongs to one place; what is left over belongs to each."""
    whole = len(origins) // length * length
    return [*origins[place:whole:length], *origins[whole:]]


def is_compiled(graph: TraceGraph, indices: Iterable[int]) -> bool:
    """Whether records, one at least, are those of compiled graphs alone."""
    computing = graph.computing(indices)
    return bool(computing) and all(record.site.name.startswith(COMPILED_GRAPH) for record in computing)


def upstream(
    graph: TraceGraph, value: int, aligned: Container[int], *, above: bool = False
) -> tuple[list[int], list[int]]:
    """The nearest aligned values that a value was made of, and the records in between.

    With `above` the value itself, which is aligned, is none of them.
    """
    reached: list[int] = []
    between: set[int] = set()
    seen, todo = {value}, [value]
    while todo and len(between) < _MOST_UPSTREAM:
        current = todo.pop()
        if current in aligned and (current != value or not above):
            reached.append(current)
            continue
        item = graph.item_of(current)
        between.add(item[0])
        if graph.records[item[0]].site.name == RECEIVED:
            continue  # it was made in other processes too
        fresh = [v for v in graph.inputs(item) if v != UNKNOWN and v not in seen]
        seen.update(fresh)
        todo += fresh
    return reached, sorted(between)
