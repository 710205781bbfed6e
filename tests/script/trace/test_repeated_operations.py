"""Operations that come again in every step: which belong together, and what they may be off by on equal bits."""

import math

import numpy as np
import pytest
from tests.script.trace.written_traces import Writer

from lastbit.script.trace.aligned import AlignedTraces
from lastbit.script.trace.comparison import compare_traces
from lastbit.script.trace.envelope import RoundingEnvelope
from lastbit.script.trace.graph import TraceGraph


def trained(*, wrong=0.0, name="tanh", steps=3, each=2):
    """Steps of operations on data; in the last step their results are off."""
    writer, values = Writer(), np.arange(1.0, 9.0)
    writer.outside("x", values)
    for step in range(steps):
        factor = 1 + wrong * (step == steps - 1)
        for place in range(each if step else 1):  # the first step has fewer
            writer.do(name, ["x", "x"], {f"y{step}.{place}": np.tanh(values) * factor}, line="train.py:3")
        writer.step()
    return writer.trace()


def test_the_nth_operation_of_a_site_is_the_same_in_every_step():
    graph = TraceGraph(trained())
    assert graph.repeated == [[0], [1, 2, 4], [3, 5]]
    assert graph.firsts.tolist() == [0, 1, 1, 3, 1, 3]


def envelope_of(trace, first, later):
    limits = {(r.index, 0): (first if r.step == 0 else later) if r.inputs else 0.0 for r in trace.records}
    return RoundingEnvelope(limits, None)


@pytest.mark.parametrize(("wrong", "rounds"), [(1e-10, True), (1e-4, False)])
def test_on_equal_bits_an_operation_is_judged_by_the_first_step(wrong, rounds):
    """What training has grown until the last step is no rounding of an operation that takes the same bits."""
    one = trained(each=1)
    assert compare_traces(one, trained(each=1, wrong=wrong), envelope_of(one, 1e-9, 1e-2)).is_rounding is rounds


@pytest.mark.parametrize(("name", "rounds"), [("mul", False), ("tanh", True)])
def test_where_nothing_is_learnt_only_an_operation_whose_errors_are_bounded_is_judged(name, rounds):
    one, other = trained(name=name), trained(name=name, wrong=1e-4)
    assert compare_traces(one, other, envelope_of(one, math.inf, math.inf)).is_rounding is rounds


class Counting(list):
    """A list that counts how often it is read."""

    reads = 0

    def __getitem__(self, place):
        self.reads += 1
        return super().__getitem__(place)


def test_a_long_step_is_not_gone_through_for_each_of_its_results():
    one = trained(steps=2, each=400)
    traces = AlignedTraces(one, one, envelope_of(one, 1e-9, 1e-2))
    traces.one.records = Counting(traces.one.records)
    for value in traces.values.tolist():
        traces.direct(value)
    assert traces.one.records.reads < 40 * len(traces.values)
