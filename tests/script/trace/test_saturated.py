"""Where training is so chaotic that rounding explains any distance: what is said there, and what can still be told."""

import math
from dataclasses import replace

import numpy as np
import pytest
from tests.script.trace.written_traces import Training, Writer, summary

from lastbit.script.trace.comparison import compare_traces
from lastbit.script.trace.envelope import RoundingEnvelope, learn_envelope
from lastbit.script.trace.other_arguments import differing_arguments
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


def masked(unit=0, *, then=0.0):
    """Scores of which the mask makes some infinite, off by some units in the last place, and what becomes of them."""
    writer, scores = Writer(), np.float32([[1.0, -np.inf], [2.0, 3.0]])
    writer.outside("q", np.float32([[1.0, 2.0], [2.0, 3.0]]))
    writer.do("baddbmm", ["q"], {"s": scores + unit * np.float32([[2.0**-23, 0], [0, 0]])})
    writer.do("softmax", ["s"], {"p": np.float32([[1.0, 0.0], [0.3 + then, 0.7]])})
    return writer.trace()


def test_results_that_are_infinite_in_both_runs_are_in_both():
    plain = masked()
    envelope = learn_envelope(plain, [masked()])
    rounded = compare_traces(plain, masked(1), envelope)
    assert rounded.is_rounding
    assert (rounded.first_different.operation, rounded.first_different.distance) == ("aten::baddbmm", None)
    assert "other bits from operation 1, step 0 on (aten::baddbmm, how far is not known)" in rounded.verdict
    assert compare_traces(plain, masked(1, then=0.01), envelope).beyond_rounding.operation == "aten::softmax"


def test_an_operation_that_one_run_has_alone_is_said_to_be():
    def trace(more):
        writer, values = Writer(), np.arange(1.0, 9.0)
        writer.outside("x", values)
        for n in range(3):
            writer.do("sin", ["x"], {f"y{n}": np.sin(values)})
        for name in more:
            writer.do(name, ["x"], {name: np.cos(values)})
        return writer.trace()

    for runs in ((trace(["cos"]), trace([])), (trace([]), trace(["cos"]))):
        found = compare_traces(*runs)
        assert "only one run does aten::cos (operation 4, step 0), and the other takes no result" in found.verdict
        assert "alone" not in found.as_json()["first_different"]


def test_what_no_noisy_run_has_is_not_judged():
    def trace(names, gap=0.0):
        writer, values = Writer(), np.arange(1.0, 9.0)
        writer.outside("x", values)
        for name in names:
            writer.do(name, ["x"], {name: np.sin(values) * (1 + gap)})
        return writer.trace()

    plain = trace(["sin", "cos", "tan"])
    envelope = learn_envelope(plain, [trace(["sin", "tan"])])
    assert [math.isinf(envelope(record, 0)) for record in plain.records] == [False, False, True, False]
    assert compare_traces(plain, trace(["sin", "cos", "tan"], 0.01), envelope).beyond_rounding.operation == "aten::sin"


def test_of_complex_numbers_the_last_place_is_known_and_they_are_judged():
    def trace(values):
        writer = Writer()
        writer.outside("x", np.ones(8, np.float32))
        writer.do("_fft_r2c", ["x"], {"f": np.ones(5)})
        writer.records[-1] = replace(
            writer.records[-1],
            outputs=(replace(summary(np.full(8, values)), dtype="complex64"),),
        )
        return writer.trace()

    plain = trace(1.0)
    envelope = learn_envelope(plain, [trace(1 + 1e-7)])
    assert 1e-8 < envelope(plain.records[1], 0) < 1e-5
    assert compare_traces(plain, trace(1.001), envelope).beyond_rounding.operation == "aten::_fft_r2c"


@pytest.mark.parametrize(("growth", "told"), [([2e-3, 6e-2], False), ([0.0, 6e-2], True)], ids=["grown", "sudden"])
def test_without_limits_weights_that_come_apart_slowly_are_no_other_computation(growth, told):
    """Of batches of other sizes, where the difference is followed back to tensors that cannot be compared."""

    def trace(rows, gaps):
        writer = Writer()
        writer.outside("w0", np.arange(1.0, 9.0), "model.w")
        writer.outside("x", np.ones((rows, 8)))
        for step, gap in enumerate(gaps):
            writer.do("mean", ["x"], {f"g{step}": np.ones((rows, 8))}, phase="backward")
            takes, gives = [f"w{step}", f"g{step}"], {f"w{step + 1}": np.arange(1.0, 9.0) * (1 + step + gap)}
            writer.do("add_", takes, gives, phase="optimizer", module="model.w")
            writer.step()
        return writer.trace()

    found = compare_traces(trace(4, [0.0, 0.0]), trace(2, growth))
    assert (found.beyond_rounding is not None) is told
