"""Where training is so chaotic that rounding explains any distance: what is said there, and what can still be told."""

import math

import numpy as np
import pytest
from tests.script.trace.written_traces import Training, Writer

from lastbit.script.trace.arguments import differing_arguments
from lastbit.script.trace.comparison import compare_traces
from lastbit.script.trace.envelope import RoundingEnvelope, learn_envelope
from lastbit.script.trace.records import Record, Site


@pytest.mark.parametrize(("saturated_at", "rounds"), [(1, None), (2, None), (3, True), (None, True)])
def test_behind_saturation_nothing_is_called_the_same_computation(saturated_at, rounds):
    """Three steps are compared, 0 to 2."""
    plain = Training().writer.trace()
    envelope = RoundingEnvelope({(r.index, p): 1e-5 for r in plain.records for p in range(3)}, saturated_at)
    found = compare_traces(plain, Training(noise=1e-7).writer.trace(), envelope)
    assert found.is_rounding is rounds
    assert ("the runs are the same computation" in found.verdict) is (rounds is True)
    assert (f"within rounding up to step {saturated_at}; from there on" in found.verdict) is (rounds is None)
    assert compare_traces(plain, plain, envelope).is_rounding, "the same bits are the same"


def updated(gaps, *, listed):
    """Weights that one step moves, off by the relative gaps."""
    writer, fresh = Writer(), [np.full(4, 1.0 + gap) for gap in gaps]
    names = [f"w{n}" for n in range(len(gaps))]
    for name in names:
        writer.outside(name, np.ones(4), name)
    if listed:  # as the optimizers do, with the counts of steps
        writer.do("_foreach_add_", names, {f"{n}t": np.array(1.0) for n in names}, phase="optimizer")
        writer.do("_foreach_add_", names, {f"{n}'": w for n, w in zip(names, fresh, strict=True)}, phase="optimizer")
    for name, values in zip(names, fresh, strict=True) if not listed else ():
        writer.do("add_", [name], {f"{name}'": values}, phase="optimizer", module=name)
    writer.step()
    return writer.trace()


@pytest.mark.parametrize("listed", [False, True], ids=["each", "list"])
@pytest.mark.parametrize(("apart", "saturated"), [(4, None), (6, 0)])
def test_weights_are_saturated_where_most_of_them_are(listed, apart, saturated):
    """Of nine, which is more than a list that is given a name."""
    plain = updated([0.0] * 9, listed=listed)
    noisy = updated([1.0] * apart + [1e-7] * (9 - apart), listed=listed)
    assert learn_envelope(plain, [noisy]).saturated_at == saturated


@pytest.mark.parametrize(
    ("one", "other", "agree"),
    [
        ("1", "2", False),
        ("[1, 1]", "[1, 2]", False),
        ("0.5", "1", False),
        ("mean", "sum", False),
        ("-1", "-1", True),
        ("0.1", "0.1004", True),
        ("[0.1, 0.2]", "[0.1, 0.2001]", True),
        ("1e-05", "1.001e-05", True),
        ("0.1", "0.2", False),
    ],
)
def test_whole_numbers_and_words_are_equal_or_differ(one, other, agree):
    sites = [Site("aten::roll", "forward", None, None, None, (("how", text),), ("dim",)) for text in (one, other)]
    records = [Record(0, 0, site, (), (text,), ()) for site, text in zip(sites, (one, other), strict=True)]
    assert (differing_arguments(*records, within=1e-2) == []) is agree


@pytest.mark.parametrize(("arguments", "told"), [((2, 3), True), ((0.5, 0.3), True), ((0.5, 0.501), False)])
def test_other_arguments_are_told_where_rounding_explains_any_distance(arguments, told):
    def trace(argument, gap):
        writer, values = Writer(), np.arange(1.0, 9.0)
        writer.outside("x", values)
        writer.do("sin", ["x"], {"y": np.sin(values) * (1 + gap)})
        writer.do("pow", ["y"], {"z": np.sin(values) * (2 + gap)}, exponent=argument)
        return writer.trace()

    envelope = RoundingEnvelope({(index, 0): math.inf for index in range(3)}, 0)
    found = compare_traces(trace(arguments[0], 0.0), trace(arguments[1], 1e-3), envelope)
    assert (found.beyond_rounding is not None) is told
