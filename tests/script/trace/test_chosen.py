"""What rounding chooses, as the right answers of a network that is nearly undecided, and what is counted of it."""

import numpy as np
import pytest
from tests.script.trace.written_traces import Writer

from lastbit.script.trace.chosen import Choices
from lastbit.script.trace.comparison import compare_traces
from lastbit.script.trace.envelope import learn_envelope
from lastbit.script.trace.graph import TraceGraph

SAMPLES = 1000


def evaluated(*, flips=0, noise=0.0, seed=1, wrong=0.0, miscounted=0, samples=SAMPLES):
    """Right answers of a linear layer, counted, and their share.

    Args:
        flips: of right answers, as at ties.
        noise: relative, on the layer's results.
        seed: of the noise.
        wrong: by what the layer's results are multiplied beside 1.
        miscounted: answers that the sum counts too many.
        samples: to be told.
    """
    random, writer = np.random.default_rng(0), Writer()
    scores, labels = random.normal(size=(samples, 10)).astype(np.float32), random.integers(10, size=samples)
    chosen = scores.argmax(1)
    labels[: samples // 2] = chosen[: samples // 2]
    chosen[:flips] = (chosen[:flips] + 1) % 10
    errors = noise * np.random.default_rng(seed).normal(size=scores.shape)
    writer.outside("x", random.normal(size=(samples, 4)).astype(np.float32))
    writer.outside("labels", labels)
    writer.do("mm", ["x"], {"scores": (scores * (1 + wrong + errors)).astype(np.float32)})
    writer.do("argmax", ["scores"], {"chosen": chosen})
    right = chosen == labels
    writer.do("eq", ["chosen", "labels"], {"right": right})
    writer.do("sum", ["right"], {"count": np.array(right.sum() + miscounted)})
    writer.do("_to_copy", ["right"], {"real": right.astype(np.float32)})
    writer.do("mean", ["real"], {"share": np.float32(right.mean())})
    writer.outside("zero", np.float32(0))
    writer.do("add_", ["zero", "share"], {"total": np.float32(right.mean())})
    return writer.trace()


def learnt(**options):
    plain = evaluated(**options)
    return plain, learn_envelope(plain, [evaluated(noise=1e-7, seed=seed, **options) for seed in (2, 3)])


def test_a_rare_flip_that_no_noisy_run_had_is_rounding():
    plain, envelope = learnt()
    for flips in (0, 1, 3):
        assert compare_traces(plain, evaluated(flips=flips, noise=1e-7), envelope).is_rounding, flips


def test_a_flip_is_no_other_computation_where_no_envelope_is_known():
    """One of eight answers parts counts by far more than any rounding."""
    found = compare_traces(evaluated(samples=8), evaluated(samples=8, flips=1, noise=1e-7))
    assert found.beyond_rounding is None


@pytest.mark.parametrize("known", [True, False], ids=["envelope", "no envelope"])
def test_what_is_chosen_by_is_judged_itself(known):
    """No weight and no other number is computed from the scores: only the counts are."""
    plain, envelope = learnt()
    found = compare_traces(plain, evaluated(wrong=0.1, flips=20), envelope if known else None)
    assert found.beyond_rounding.operation == "aten::mm"


def test_whole_numbers_are_counted_exactly():
    plain, envelope = learnt()
    beyond = compare_traces(plain, evaluated(miscounted=1, noise=1e-7), envelope).beyond_rounding
    assert beyond.operation == "aten::sum"


def test_choices_go_on_through_whole_numbers_and_what_is_made_of_them_alone():
    graph = TraceGraph(evaluated())
    choices, names = Choices(graph), [graph.records[index].site.name for index in graph.maker]
    assert {names[value] for value in np.flatnonzero(choices.whole)} == {"aten::argmax", "aten::eq", "aten::sum"}
    assert {names[value] for value in np.flatnonzero(choices.real)} == {"aten::_to_copy", "aten::mean", "aten::add_"}
    assert not choices.read_as_numbers[names.index("aten::mm")]


def test_a_number_that_is_multiplied_by_a_choice_is_judged():
    """As what a mask leaves of a network's results."""
    writer, values = Writer(), np.arange(1.0, 9.0)
    writer.outside("x", values)
    writer.do("gt", ["x"], {"mask": values > 4})
    writer.do("mul", ["x", "mask"], {"y": values * (values > 4)})
    assert Choices(TraceGraph(writer.trace())).all.tolist() == [False, True, False]
