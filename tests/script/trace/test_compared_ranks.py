"""Runs of several ranks, and of one process against several that divide its batches, written by hand."""

from dataclasses import replace

import numpy as np
import pytest
from tests.script.trace.written_traces import Training, Writer

from lastbit.script.trace.comparison import compare_traces, paired_ranks
from lastbit.script.trace.envelope import learn_envelope
from lastbit.script.trace.exchanged import sent_values, with_senders
from lastbit.script.trace.graph import TraceGraph
from lastbit.script.trace.records import RECEIVED, Site


def ranks(number, changes=None, **options):
    """The traces of a run: `changes` are those of its last rank alone."""
    last = [{}] * (number - 1) + [changes or {}]
    made = [Training(ranks=number, rank=rank, **options | last[rank]) for rank in range(number)]
    return [training.writer.trace(rank=rank, world_size=number) for rank, training in enumerate(made)]


def learnt(run, **options):
    noisy = [ranks(len(run), noise=1e-7, noise_seed=seed, **options) for seed in (3, 4)]
    return [learn_envelope(plain, others) for plain, *others in zip(run, *noisy, strict=True)]


@pytest.mark.parametrize("size", [1, 2])
def test_ranks_that_read_the_same_samples_are_told(size):
    """As where a sampler is forgotten: all have the first rank's part."""
    right, same = ranks(size), ranks(2, undivided=True)
    for runs, which in (((right, same), "second"), ((same, right), "first")):
        comparison = compare_traces(*runs, learnt(right if which == "second" else ranks(2)))
        told = f"all ranks of the {which} trace read the same samples, as where a sampler is forgotten ("
        assert comparison.beyond_rounding.differs.startswith(told), comparison.verdict
    assert "samples" not in compare_traces(same, same, None).verdict
    assert "samples" not in compare_traces(right, ranks(2, lr=0.2), None).verdict


@pytest.mark.parametrize("sizes", [(1, 2), (2, 1), (1, 4), (2, 4)], ids=str)
@pytest.mark.parametrize("known", [True, False], ids=["envelope", "no envelope"])
def test_a_batch_that_is_divided_over_ranks_is_rounding(sizes, known):
    one, other = ranks(sizes[0]), ranks(sizes[1], noise=1e-7)
    comparison = compare_traces(one, other, learnt(one) if known else None)
    assert comparison.beyond_rounding is None
    assert comparison.is_rounding is (True if known else None)
    assert comparison.first_different.distance < 1e-5, "parts of batches, which are far apart, are not compared"
    assert "compared are what collectives gave and 2 of 2 weights, on " in comparison.verdict
    assert comparison.notes[0].startswith(f"{sizes[0]} process{'es' if sizes[0] > 1 else ''} against {sizes[1]}, with")


@pytest.mark.parametrize("known", [True, False], ids=["envelope", "no envelope"])
@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"summed": True}, "c10d::allreduce_ at train.py:9 gave in the second trace is not what the other computed"),
        ({"summed": True}, ", 0.5 times those of the second trace: a sum against a mean"),
        ({"lr": 0.2}, "alpha of aten::add_, -0.1 against -0.2"),
        ({"clip": True}, "only the second trace has aten::mul_ at train.py:10, 2 times those of the second trace"),
        ({"weights": 0.01}, "model.w2 was loaded or initialised differently"),
    ],
    ids=str,
)  # fmt: skip
def test_another_computation_is_found_where_the_batch_is_divided(change, words, known):
    one = ranks(1)
    comparison = compare_traces(one, ranks(2, noise=1e-7, **change), learnt(one) if known else None)
    assert comparison.is_rounding is False
    assert comparison.beyond_rounding.step == 0
    assert words in comparison.beyond_rounding.differs


def test_a_change_on_the_last_rank_alone_is_found_by_a_single_process():
    comparison = compare_traces(ranks(1), ranks(4, {"clip": True}, noise=1e-7), None)
    assert comparison.beyond_rounding.rank == 3
    assert "train.py:10" in comparison.beyond_rounding.differs


def test_what_a_rank_received_is_behind_what_another_did_before_it_sent_that():
    """Rank 0 received other gradients at an earlier place than that at which rank 1 took other data."""
    one, other = ranks(2), ranks(2, {"weights": 0.1})
    longer = _later(one[1]), _later(other[1])
    assert longer[0].records[-1].index > one[1].records[-1].index
    received = ranks(2, summed=True)[0]
    comparison = compare_traces([one[0], longer[0]], [received, longer[1]])
    assert comparison.ranks[0].beyond_rounding.index < comparison.ranks[1].beyond_rounding.index
    assert comparison.beyond_rounding.rank == 1
    assert comparison.first_different.rank == 1


def _later(trace, by=40):
    """The same behind some operations that only this rank does."""
    first = trace.records[0]
    added = [replace(first, index=index) for index in range(by)]
    moved = [
        replace(r, index=r.index + by, inputs=tuple(o and (o[0] + by, o[1]) for o in r.inputs)) for r in trace.records
    ]
    return replace(trace, records=(*added, *moved))


def test_what_another_rank_sent_names_the_collective():
    comparison = compare_traces(ranks(2), ranks(2, summed=True), None)
    assert comparison.beyond_rounding.differs == (
        "c10d::allreduce_ at train.py:9 gave other values: another rank sent others"
    )


@pytest.mark.parametrize("known", [True, False], ids=["envelope", "no envelope"])
def test_data_of_one_rank_are_named_there_and_the_others_say_from_whom_they_received_it(known):
    """Its gradients differ before the collective, which was blamed on another rank by every rank."""
    one = ranks(3)
    comparison = compare_traces(one, ranks(3, data=0.1, data_of=2), learnt(one) if known else None)
    assert [rank.beyond_rounding.differs for rank in comparison.ranks] == [
        "came in by c10d::allreduce_ at train.py:9 from rank 2",
        "came in by c10d::allreduce_ at train.py:9 from rank 2",
        "the data differ",
    ]
    assert (comparison.beyond_rounding.rank, comparison.first_different.rank) == (2, 2)
    assert comparison.verdict.endswith(
        "leaves rounding at operation 5, step 0, rank 2, model.0: the data differ at train.py:8"
    )


def test_a_rank_that_received_from_two_names_both_and_from_nobody_known_none():
    first, *others = compare_traces(ranks(3), ranks(3, data=0.1)).ranks
    assert [rank.beyond_rounding.received for rank in (first, *others)] == [None] * 3, "each has data of its own"
    received = replace(first.beyond_rounding, received="c10d::allreduce_", index=100, differs="nobody knows")
    named, *_ = with_senders([replace(first, beyond_rounding=received), *others])
    assert named.beyond_rounding.differs == "came in by c10d::allreduce_ from ranks 1, 2"
    (named,) = with_senders([replace(first, beyond_rounding=received)])
    assert named.beyond_rounding.differs == "nobody knows"
    # What begins behind the last collective was sent to nobody.
    late = [replace(other, beyond_rounding=replace(other.beyond_rounding, index=10**6)) for other in others]
    named, *_ = with_senders([replace(first, beyond_rounding=received), *late])
    assert named.beyond_rounding.differs == "nobody knows"


def test_what_fills_a_buffer_piece_by_piece_is_all_sent():
    writer = Writer()
    for place, norm in enumerate((1.0, 2.0)):
        writer.outside(f"gradient{place}", np.full(8, norm))
    writer.do("mul", ["gradient0"], {"first piece": np.full(8, 0.5)}, line="train.py:4")
    writer.do("mul", ["gradient1", "first piece"], {"last piece": np.full(8, 1.0)}, line="train.py:4")
    writer.receive("mean", "last piece", np.full(16, 0.7))
    graph = TraceGraph(writer.trace())
    received = graph.item_of(graph.value(*writer.labels["mean"]))
    pieces = {graph.value(*writer.labels[f"{name} piece"]) for name in ("first", "last")}
    assert set(sent_values(graph, received)) == pieces


def test_weights_that_are_split_are_not_said_to_be_the_same():
    """Of a run whose rank holds half of each weight nothing can be compared, and nothing is claimed."""
    one = ranks(1)
    comparison = compare_traces(one, [_halved(rank) for rank in ranks(2, noise=1e-7)], learnt(one))
    assert (comparison.is_rounding, comparison.weights) == (None, (0, 2))
    assert "nothing shows another computation in the weights that are compared" in comparison.verdict
    assert comparison.verdict.endswith("0 of 2 weights, on each rank; the others are updated in parts, and were not")
    without = replace(
        comparison, ranks=tuple(replace(r, same_bits=True, first_different=None) for r in comparison.ranks)
    )
    assert (without.same_bits, without.is_rounding) == (False, None)
    assert without.verdict.startswith("nothing that can be compared differs, and hardly any weight can be; 1 process")


def test_after_a_single_step_the_weights_are_what_no_operation_takes():
    comparison = compare_traces(ranks(1, steps=1), ranks(2, steps=1, noise=1e-7))
    assert comparison.weights == (2, 2)


@pytest.mark.parametrize("backwards", [False, True])
def test_weights_that_are_updated_on_one_rank_each_are_all_compared(backwards):
    """As ZeRO does it: the other ranks receive them."""
    one = ranks(1)
    other = [_receiving(rank, name) for rank, name in zip(ranks(2, noise=1e-7), ("w1", "w2"), strict=True)]
    noise = learnt(one) if not backwards else learnt(ranks(2))
    comparison = compare_traces(*((other, one) if backwards else (one, other)), noise)
    assert [len(rank.weights[0]) for rank in comparison.ranks] == [1, 1]
    assert (comparison.weights, comparison.is_rounding) == ((2, 2), True)
    assert "2 of 2 weights, each on a rank that updates it" in comparison.verdict
    changed = compare_traces(one, [other[0], _receiving(ranks(2, noise=1e-7, lr=0.2)[1], "w2")], learnt(one))
    assert (changed.beyond_rounding.rank, changed.beyond_rounding.module) == (1, "model.w1")


def _receiving(trace, name):
    """The same with one of the weights received in place of updated."""
    collective = next(r.index for r in trace.records if r.site.name.startswith("c10d::"))

    def received(record):
        site = Site(RECEIVED, "outside", None, None, None, (), ())
        return replace(record, site=site, inputs=((collective, 0),), numbers=())

    of_it = [r.site.phase == "optimizer" and r.site.module == f"model.{name}" for r in trace.records]
    records = [received(r) if is_it else r for r, is_it in zip(trace.records, of_it, strict=True)]
    return replace(trace, records=tuple(records))


def _halved(trace):
    """Weights, and what becomes of them, of half their rows."""

    def half(record):
        whole = [replace(o, shape=(o.shape[0] // 2, *o.shape[1:]), digest=o.digest ^ 1) for o in record.outputs]
        return replace(record, outputs=tuple(whole))

    updates = [half(r) if r.site.phase == "optimizer" else r for r in trace.records]
    return replace(trace, records=tuple(updates))


def test_a_single_process_is_paired_with_every_rank():
    assert paired_ranks(1, 3) == [(0, 0), (0, 1), (0, 2)]
    assert paired_ranks(2, 1) == [(0, 0), (1, 0)]
    assert paired_ranks(2, 4) == [(0, 0), (1, 1)]
