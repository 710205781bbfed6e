"""Which rank a difference can have come from: collectives of groups, messages, and traces that tell no groups."""

import numpy as np
import pytest
import torch.distributed as dist
from tests.script.trace.recorded import recorded
from torch.testing._internal.distributed.fake_pg import FakeStore

from lastbit.script.trace.collectives import Collective, MessageOrder, collectives_of
from lastbit.script.trace.exchanged import with_senders
from lastbit.script.trace.finding import TraceComparison
from lastbit.script.trace.places import RankComparison, TraceDistances, TracePlace
from lastbit.script.trace.records import GROUP, Record, Site, TraceEvent

NONE = np.array([])
DISTANCES = TraceDistances(NONE.astype(int), NONE.astype(int), NONE, NONE)


def compared(number, index, collectives, *, received=False, first=None):
    """A rank that leaves rounding at a record, perhaps by what it received; None for one that does not."""
    words = ("c10d::allreduce_", "gave other values") if received else (None, "its own")
    given = TracePlace("aten::mm", 0, number, "forward", 0, None, None, 0.1, words[1], received=words[0])
    place = None if index is None else TracePlace(**vars(given) | {"index": index})
    other = place if first is None else TracePlace(**vars(given) | {"index": first, "received": None})
    known = [each if isinstance(each, Collective) else Collective(each) for each in collectives]
    return RankComparison(number, 100, 3, False, other, place, True, DISTANCES, [], [], known)


def of(ranks, *indices, message=False):
    return [Collective(index, ranks, message) for index in indices]


def words(*ranks):
    return [rank.beyond_rounding and rank.beyond_rounding.differs for rank in with_senders(ranks)]


def test_no_rank_of_another_group_is_named():
    pairs = [of((0, 1), 50), of((0, 1), 50), of((2, 3), 50), of((2, 3), 50)]
    places = [(60, True), (60, True), (10, False), (60, True)]
    made = [compared(n, index, own, received=received)
            for n, ((index, received), own) in enumerate(zip(places, pairs, strict=True))]  # fmt: skip
    told = "came in by c10d::allreduce_ from rank 2"
    assert words(*made) == ["gave other values", "gave other values", "its own", told]
    # A collective of all four between hands on what the second pair has.
    later = [of((0, 1, 2, 3), 55), *[of((0, 1, 2, 3), 55)] * 3]
    made = [compared(n, index, own + more, received=received)
            for n, ((index, received), own, more) in enumerate(zip(places, pairs, later, strict=True))]  # fmt: skip
    assert words(*made) == [told, told, "its own", told]


def test_what_came_through_a_third_rank_is_named_and_what_went_the_other_way_is_not():
    forth = [of((0, 1), 20, message=True), of((0, 1), 20, message=True) + of((1, 2), 30, message=True),
             of((1, 2), 30, message=True)]  # fmt: skip
    first = compared(0, 10, forth[0]), compared(1, None, forth[1]), compared(2, 40, forth[2], received=True)
    assert words(*first)[2] == "came in by c10d::allreduce_ from rank 0"
    last = compared(0, 40, forth[0], received=True), compared(1, None, forth[1]), compared(2, 10, forth[2])
    assert words(*last)[0] == "gave other values"
    late = compared(0, 25, forth[0]), compared(1, None, forth[1]), compared(2, 40, forth[2], received=True)
    assert words(*late)[2] == "gave other values", "it was sent before"


@pytest.mark.parametrize(
    ("own", "received", "told"),
    [
        ([50], [50], "came in by c10d::allreduce_ from rank 1"),
        ([1, 2, 3, 45], [50], "gave other values"),  # of another number: nobody knows which is which
    ],
)
def test_of_traces_that_tell_no_groups_collectives_are_paired_where_ranks_have_as_many(own, received, told):
    made = compared(0, 60, received, received=True), compared(1, 40, own)
    assert words(*made)[0] == told
    found = TraceComparison(with_senders(made), ({"processes": 2}, {"processes": 2}), ())
    assert found.beyond_rounding.rank == 1, "what was received began elsewhere"


def test_a_rank_that_does_more_in_a_group_of_its_own_is_not_behind_for_that():
    """Rank 1's own four collectives with rank 2 say nothing about the one that it shares with rank 0."""
    shared = (0, 1, 2)
    made = [compared(0, 60, of(shared, 50), received=True),
            compared(1, 40, [*of((1, 2), 1, 2, 3, 4), *of(shared, 45)]),
            compared(2, None, [*of((1, 2), 1, 2, 3, 4), *of(shared, 45)])]  # fmt: skip
    assert words(*made)[0] == "came in by c10d::allreduce_ from rank 1"
    found = TraceComparison(with_senders(made), ({"processes": 3}, {"processes": 3}), ())
    assert (found.beyond_rounding.rank, found.first_different.rank) == (1, 1)
    exchange = MessageOrder({rank.rank: rank.collectives for rank in made})
    assert [exchange.clock(0, 60), exchange.clock(1, 40), exchange.clock(1, 46)] == [5, 4, 5]


def test_records_of_different_ranks_are_compared_by_the_collectives_before_them():
    """The other bits of rank 0 are at a higher number than what leaves rounding on rank 1, and yet before it."""
    made = [compared(0, None, [95], first=90), compared(1, 40, [39], first=40)]
    made[0] = RankComparison(**vars(made[0]) | {"first_different": compared(0, 90, []).beyond_rounding})
    found = TraceComparison(tuple(made), ({"processes": 2}, {"processes": 2}), ())
    assert (found.first_different.rank, found.beyond_rounding.rank) == (0, 1)
    assert found.verdict.startswith("other bits from operation 90, step 0 on")


def test_messages_that_cross_do_not_wait_for_each_other():
    forth, back = of((0, 1), 10, message=True), of((1, 0), 10, message=True)
    exchange = MessageOrder({0: [*forth, Collective(20, (1, 0), True)], 1: [*back, Collective(20, (0, 1), True)]})
    assert exchange.clock(0, 30) >= 2
    assert exchange.reached(0, 5) == {1: 20}


def test_groups_are_read_from_the_events_before_the_collectives():
    site = Site("c10d::allreduce_", "backward", None, None, None, (), ())
    records = [Record(index, 0, site, (), (), ()) for index in range(4)]
    events = [TraceEvent(at, 0, GROUP, {"ranks": ranks, "message": message})
              for at, ranks, message in ((1, [0, 1], False), (3, [1, 0], True))]  # fmt: skip
    assert collectives_of(records, events) == [
        Collective(0),
        Collective(1, (0, 1)),
        Collective(2, (0, 1)),
        Collective(3, (1, 0), True),
    ]


def test_the_groups_of_collectives_and_messages_are_recorded_where_they_change(tmp_path, monkeypatch):
    """By a group whose other ranks are only said to be there, as torch tests itself; a group has numbers of its own."""
    monkeypatch.chdir(tmp_path)
    dist.init_process_group("fake", store=FakeStore(), rank=1, world_size=4)
    try:
        trace = recorded(
            "import torch, torch.distributed as dist\nx, pair = torch.ones(3), dist.new_group([1, 3])\n"
            "dist.all_reduce(x)\ndist.all_reduce(x)\ndist.all_reduce(x, group=pair)\ndist.send(x, 3, group=pair)\n"
            "dist.recv(x, 2)\nops = torch.ops._c10d_functional\n"
            "ops.wait_tensor(ops.all_reduce(x, 'sum', pair.group_name)).add(1)\n",
            tmp_path,
        )
    finally:
        dist.destroy_process_group()
    told = [(each.ranks, each.message) for each in collectives_of(trace.records, trace.events)]
    everyone, pair = ((0, 1, 2, 3), False), ((1, 3), False)
    assert told == [everyone, everyone, pair, ((1, 3), True), ((2, 1), True), pair]
    assert sum(event.kind == GROUP for event in trace.events) == 5
