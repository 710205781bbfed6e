"""What processes give each other: what a rank sent, and from which rank a difference came that another received."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeGuard

from lastbit.script.trace.collectives import MessageOrder
from lastbit.script.trace.draws import is_random
from lastbit.script.trace.graph import FORWARD, OPTIMIZER, UNKNOWN, Item, TraceGraph
from lastbit.script.trace.places import RankComparison, TracePlace
from lastbit.script.trace.records import COLLECTIVES, RunTrace, Site

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


def exchange_of(ranks: Sequence[RankComparison]) -> MessageOrder:
    """What the ranks of the first run give each other.

    Args:
        ranks: the comparisons.
    """
    return MessageOrder({rank.rank: rank.collectives for rank in ranks})


def order_of(place: TracePlace, exchange: MessageOrder) -> tuple[int, int, int]:
    """By what the places of several ranks are ordered: step, collectives before it on any rank, and index.

    What a rank received is behind one more collective than what another did before it sent that.

    Args:
        place: of one of them.
        exchange: of all.
    """
    return place.step, exchange.clock(place.rank, place.index), place.index


def with_senders(ranks: Sequence[RankComparison]) -> tuple[RankComparison, ...]:
    """Say of each rank that only received a difference from which ranks it came.

    Those are the ranks on which something leaves rounding by itself before they take part in a collective by which it
    can have come, through others too. Where there is none, the place keeps its words.
    """
    exchange = exchange_of(ranks)
    own = [place for rank in ranks if (place := rank.beyond_rounding) is not None and place.received is None]
    reached = {place.rank: exchange.reached(place.rank, place.index) for place in own}
    return tuple(_with_sender(rank, reached) for rank in ranks)


def _with_sender(rank: RankComparison, reached: Mapping[int, Mapping[int, int]]) -> RankComparison:
    place = rank.beyond_rounding
    if place is None or place.received is None:
        return rank
    senders = [str(other) for other, first in reached.items() if first.get(rank.rank, place.index) < place.index]
    if not senders:
        return rank
    more = f" and {len(senders) - _MOST_NAMED} more" if len(senders) > _MOST_NAMED else ""
    named = f"rank{'s' if len(senders) > 1 else ''} {', '.join(senders[:_MOST_NAMED])}{more}"
    return replace(rank, beyond_rounding=replace(place, differs=f"came in by {place.received} from {named}"))


def read_the_same_samples(run: Sequence[RunTrace]) -> bool:
    """Whether all ranks of a run, two at least, read the same samples in every step.

    By the samples of loaders' batches where there are any, else by the bits that the modules of the network give, up to
    the first random draw of each step.

    Args:
        run: the traces of its ranks.
    """
    if len(run) < 2:
        return False
    read: list[list[Any]] = [
        [batch.indices for _, batch in trace.batches if batch.indices is not None] for trace in run
    ]
    if not all(read):
        read = [_first_results(trace) for trace in run]
    shortest = min(map(len, read))  # one rank may be a batch, or a step, ahead when the recording ends
    return shortest > 0 and all(rank[:shortest] == read[0][:shortest] for rank in read[1:])


def _first_results(trace: RunTrace) -> list[list[int | None]]:
    """Digests of what modules give in each step's forward pass before it draws."""
    steps: dict[int, list[int | None]] = {}
    drawn = set[int]()
    for record in trace.records:
        if record.site.phase == FORWARD and record.site.module is not None and record.step not in drawn:
            if is_random(record):
                drawn.add(record.step)
            else:
                steps.setdefault(record.step, []).extend(output.digest for output in record.outputs)
    return [digests for digests in steps.values() if any(digest is not None for digest in digests)]


def with_same_samples(ranks: Sequence[RankComparison], runs: Sequence[Sequence[RunTrace]]) -> list[RankComparison]:
    """Say where a rank leaves rounding that the ranks of one of two runs read the same samples, and of the other not.

    Args:
        ranks: the comparisons.
        runs: the two, each with the traces of its ranks.
    """
    if not any(_may_be_data(rank.beyond_rounding) for rank in ranks):
        return list(ranks)
    same = [read_the_same_samples(run) for run in runs]
    if same[0] == same[1]:
        return list(ranks)
    which = "first" if same[0] else "second"
    words = f"all ranks of the {which} trace read the same samples, as where a sampler is forgotten"
    return [
        replace(rank, beyond_rounding=replace(place, differs=f"{words} ({place.differs})"))
        if _may_be_data(place := rank.beyond_rounding)
        else rank
        for rank in ranks
    ]


def _may_be_data(place: TracePlace | None) -> TypeGuard[TracePlace]:
    """Whether other samples may be what differs there: not where an update has other arguments, nor on another rank."""
    return place is not None and place.received is None and (place.by_values or place.phase != OPTIMIZER)
