"""Which collective of one rank is which of another, and by which of them a difference can come from rank to rank."""

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from lastbit.script.trace.records import COLLECTIVES, GROUP, Record, TraceEvent

_WAITS = "::wait_tensor"  # ends the name of what only waits for another


@dataclass(frozen=True)
class Collective:
    """A record of a trace that communicates with other processes."""

    index: int  # of the record
    ranks: tuple[int, ...] | None = None  # of its group; of a message, who sends and who receives; None if unknown
    message: bool = False  # from the first of two ranks to the second


def collectives_of(records: Sequence[Record], events: Sequence[TraceEvent]) -> list[Collective]:
    """The collectives of a trace, in order.

    The group is known by the latest event before it that tells one.

    Args:
        records: of the trace.
        events: of the trace.
    """
    told = [event for event in events if event.kind == GROUP]
    at = [event.at for event in told]
    found = []
    for record in records:
        if record.site.name.startswith(COLLECTIVES) and not record.site.name.endswith(_WAITS):
            place = bisect_right(at, record.index) - 1
            content = told[place].content if place >= 0 else {}
            ranks = content.get("ranks")
            found.append(Collective(record.index, ranks and tuple(ranks), bool(content.get("message"))))
    return found


class MessageOrder:
    """What ranks exchange: the n-th collective of a group on one of its ranks is the n-th on each.

    Of traces that tell no groups, all collectives are those of one group if each rank has as many of them; else
    nothing is known.

    Args:
        collectives: of each rank, in order.
    """

    def __init__(self, collectives: Mapping[int, Sequence[Collective]]) -> None:
        alike = len({len(each) for each in collectives.values()}) == 1
        untold = all(each.ranks is None for rank in collectives.values() for each in rank)
        self.is_known = alike or not untold
        everyone = tuple(collectives)
        self._index = {rank: [each.index for each in own] for rank, own in collectives.items()}
        self._keys: dict[int, list[tuple[Hashable, tuple[int, ...]]]] = {}  # of each, and whom it reaches
        self._places: dict[int, dict[Hashable, int]] = {}
        for rank, own in collectives.items():
            count: Counter[Hashable] = Counter()
            keys = self._keys[rank] = []
            for each in own:
                ranks = everyone if untold and alike else each.ranks
                group = (rank, None) if ranks is None else (ranks, each.message)
                count[group] += 1
                keys.append(((group, count[group]), () if ranks is None else ranks[1:] if each.message else ranks))
            self._places[rank] = {key: place for place, (key, _) in enumerate(keys)}

    def clock(self, rank: int, index: int) -> int:
        """How many collectives, one after the other on any ranks, are before a record: at least one more behind each.

        Args:
            rank: whose record it is.
            index: of the record.
        """
        done = bisect_left(self._index[rank], index)
        return self._clocks[rank][done - 1] if done and self.is_known else 0

    @cached_property
    def _clocks(self) -> dict[int, list[int]]:
        """Of each collective of each rank, one more than of any before it on one of its ranks."""
        clocks: dict[int, list[int]] = {rank: [] for rank in self._keys}
        while waiting := [rank for rank in clocks if len(clocks[rank]) < len(self._keys[rank])]:
            heads = {rank: self._keys[rank][len(clocks[rank])][0] for rank in waiting}
            ready = [rank for rank in waiting if all(heads[other] == heads[rank] for other in self._with(rank, clocks))]
            # Where each waits for another, as messages may be sent in any order, the first goes on by itself.
            head = heads[(ready or waiting)[0]]
            together = [rank for rank in waiting if heads[rank] == head]
            now = 1 + max(clocks[rank][-1] if clocks[rank] else 0 for rank in together)
            for rank in together:
                clocks[rank].append(now)
        return clocks

    def _with(self, rank: int, clocks: Mapping[int, Sequence[int]]) -> list[int]:
        """The ranks that have the next collective of a rank still before them."""
        key = self._keys[rank][len(clocks[rank])][0]
        return [other for other in clocks if self._places[other].get(key, -1) >= len(clocks[other])]

    def reached(self, rank: int, index: int) -> dict[int, int]:
        """The ranks to which what a record gave can have come, and the record of the collective by which it first did.

        Args:
            rank: whose record it is.
            index: of the record.
        """
        first = {rank: bisect_left(self._index[rank], index)}  # the first collective that may hand it on
        todo = [(rank, len(self._keys[rank]))]
        while todo and self.is_known:
            sender, end = todo.pop()
            for key, receivers in self._keys[sender][first[sender] : end]:
                for other in receivers:
                    place = self._places.get(other, {}).get(key)
                    if other != sender and place is not None and place < first.get(other, len(self._keys[other])):
                        todo.append((other, first.get(other, len(self._keys[other]))))
                        first[other] = place
        return {other: self._index[other][place] for other, place in first.items() if other != rank}
