import numpy as np
import pytest
from tests.script.trace.written_traces import Training, Writer

from lastbit.script.trace.alignment import align
from lastbit.script.trace.graph import TraceGraph

CHANGES = [
    {"fused": True},
    {"foreach": True},
    {"swapped": True},
    {"parts": 4},
    {"copies": True},
    {"fused": True, "foreach": True, "swapped": True, "copies": True},
    {"fused": True, "foreach": True, "swapped": True, "parts": 2},
]


def aligned(one, other):
    """The two trainings' alignment, as pairs of labels, and the labels of all tensors of each."""
    graphs = [TraceGraph(training.writer.trace()) for training in (one, other)]
    alignment = align(*graphs)
    labels = [
        {graph.value(*place): label for label, place in training.writer.labels.items()}
        for graph, training in zip(graphs, (one, other), strict=True)
    ]
    return alignment, {labels[0][v]: labels[1][w] for v, w in alignment.values.items()}, labels


def weights(step):
    return {f"w1@{step}", f"w2@{step}"}


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: "+".join(change))
@pytest.mark.parametrize("noise", [0.0, 1e-7])
def test_the_same_tensors_are_paired_whatever_the_operations_are(change, noise):
    _, pairs, _ = aligned(Training(), Training(**change, noise=noise))
    wanted = {label for step in range(1, 4) for label in weights(step)}
    if "parts" in change:
        last = change["parts"] - 1
        sums = {f"g{name}0@{step}": f"sum{name}{last}@{step}" for name in ("w1", "w2") for step in range(3)}
        assert {label: pairs.get(label) for label in sums} == sums
    else:
        wanted |= {"x0", "y0"} | {
            f"{kind}0@{step}" for kind in ("h", "o", "loss", "go", "gh", "gw1", "gw2") for step in range(3)
        }
    assert {label: pairs.get(label) for label in wanted} == {label: label for label in wanted}


def test_what_is_fused_is_in_one_trace_only_and_copies_are_in_neither():
    one, other = Training(), Training(fused=True, copies=True)
    alignment, _, _ = aligned(one, other)
    assert [one.writer.records[i].site.name for i in alignment.only_one] == ["aten::mm"] * 3
    assert not alignment.only_other
    assert alignment.share == 1


def test_an_operation_more_leaves_the_rest_aligned():
    one, other = Training(), Training(clip=True)
    alignment, pairs, _ = aligned(one, other)
    assert {other.writer.records[i].site.name for i in alignment.only_other} == {"aten::mul_"}
    assert len(alignment.only_other) == 6
    assert all(mine == theirs for mine, theirs in pairs.items())


def test_traces_are_aligned_as_far_as_the_shorter_goes():
    alignment, pairs, _ = aligned(Training(steps=3), Training(steps=1))
    assert weights(1) <= pairs.keys()
    assert not weights(2) & pairs.keys()
    assert not alignment.only_one


@pytest.mark.parametrize("module", ["model.w", None], ids=["update", "clipping"])
@pytest.mark.parametrize("backwards", [False, True])
def test_a_weight_that_decay_made_a_little_smaller_is_not_it_was_before(module, backwards):
    """ZeRO and FSDP update a part of the weights in each process; a gradient is what `clipping` leaves of it."""
    single, part = Writer(), Writer()
    values = np.linspace(1, 2, 16)
    single.outside("w", 3 * values, "model.w")
    single.do("mul_", ["w"], {"decayed": 0.9999 * values}, phase="optimizer", module=module)
    part.outside("before", values, "model.w")
    part.outside("sent", values)
    part.receive("gathered", "sent", values)  # in the backward pass
    graphs = [TraceGraph(writer.trace()) for writer in (single, part)]
    pairs = align(*(reversed(graphs) if backwards else graphs))
    decayed = graphs[0].value(*single.labels["decayed"])
    assert (decayed in (pairs.backwards if backwards else pairs.values)) is (module is None)
