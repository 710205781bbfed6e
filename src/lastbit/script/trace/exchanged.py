"""What processes give each other: what a rank sent, and from which rank a difference came that another received."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import replace

from lastbit.script.trace.graph import UNKNOWN, Item, TraceGraph
from lastbit.script.trace.places import RankComparison, TracePlace
from lastbit.script.trace.records import COLLECTIVES, Site

_MOST_NAMED = 3  # ranks in a sentence


def sent_values(graph: TraceGraph, received: Item) -> list[int]:
    """The values that a process gave to the collective which a received one came from.

    A buffer that was filled piece by piece is known by the last; each piece was written over the one before, by the
    same operation at the same line.

    Args:
        graph: of the trace.
        received: the item of the received value.
    """
    todo, sent = graph.inputs(received), dict[int, None]()
    while todo:
        value = todo.pop()
        if value == UNKNOWN or value in sent:
            continue
        record = graph.records[int(graph.maker[value])]
        if record.site.name.startswith(COLLECTIVES):
            todo += graph.inputs(graph.item_of(value))
            continue
        sent[value] = None
        taken = (v for v in graph.inputs(graph.item_of(value)) if v != UNKNOWN)
        todo += [v for v in taken if _is_piece(graph.records[int(graph.maker[v])].site, record.site)]
    return list(sent)


def _is_piece(before: Site, after: Site) -> bool:
    return (before.name, before.line, before.phase) == (after.name, after.line, after.phase)


def order_of(place: TracePlace, ranks: Sequence[RankComparison]) -> tuple[int, int, int]:
    """By what the places of several ranks are ordered: step, collectives of the rank before it, and index.

    What a rank received is behind one more collective than what another did before it sent that.

    Args:
        place: of one of them.
        ranks: all.
    """
    collectives = next(rank.collectives for rank in ranks if rank.rank == place.rank)
    return place.step, bisect_left(collectives, place.index), place.index


def with_senders(ranks: Sequence[RankComparison]) -> tuple[RankComparison, ...]:
    """Say of each rank that only received a difference from which ranks it came.

    Those are the ranks on which something leaves rounding by itself before they take part in that collective. Where
    there is none, the place keeps its words.
    """
    own = [place for rank in ranks if (place := rank.beyond_rounding) is not None and place.received is None]
    return tuple(_with_sender(rank, own, ranks) for rank in ranks)


def _with_sender(rank: RankComparison, own: Sequence[TracePlace], ranks: Sequence[RankComparison]) -> RankComparison:
    place = rank.beyond_rounding
    if place is None or place.received is None:
        return rank
    behind = order_of(place, ranks)[:2]
    senders = [str(other.rank) for other in own if order_of(other, ranks)[:2] < behind]
    if not senders:
        return rank
    more = f" and {len(senders) - _MOST_NAMED} more" if len(senders) > _MOST_NAMED else ""
    named = f"rank{'s' if len(senders) > 1 else ''} {', '.join(senders[:_MOST_NAMED])}{more}"
    return replace(rank, beyond_rounding=replace(place, differs=f"came in by {place.received} from {named}"))
