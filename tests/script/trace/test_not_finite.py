"""Results that are not finite: of them no distance is known, and nothing is called the same that was not compared."""

import numpy as np
import pytest
from tests.script.trace.written_traces import Writer

from lastbit.script.trace.comparison import compare_traces
from lastbit.script.trace.envelope import learn_envelope

INF, NAN = np.inf, np.nan


def trained(first, factor=1.0, *, size=8, end="weight", name="sin"):
    """A weight of which the first element is given, and the others are times a factor; or a metric, or scores."""
    writer, values = Writer(), np.arange(1.0, size + 1)
    made = values * factor
    made[0] = first
    writer.outside("w", values, "model.w")
    if end == "weight":
        writer.do(name, ["w"], {"g": made}, phase="backward")
        writer.do("add_", ["w", "g"], {"w'": values + made}, phase="optimizer", module="model.w")
        writer.step()
        return writer.trace()
    writer.do(name, ["w"], {"y": made})
    if end == "middle":
        writer.do("softmax", ["y"], {"p": values})
    return writer.trace()


def compared(one, other, noisy=None):
    return compare_traces(one, other, learn_envelope(one, [noisy or one]))


@pytest.mark.parametrize("end", ["weight", "metric"])
@pytest.mark.parametrize("size", [8, 100])
def test_what_is_finite_in_neither_run_is_counted_and_not_called_the_same(end, size):
    for first in (NAN, INF):
        found = compared(trained(first, size=size, end=end), trained(first, 2.0, size=size, end=end))
        assert found.is_rounding is None
        assert "nothing shows another computation, but weights or results at the end are not finite" in found.verdict
        assert found.verdict.endswith(f"{2 if end == 'weight' else 1} results are not finite and were not compared")
        assert found.as_json()["ranks"][0]["not_finite"] == (2 if end == "weight" else 1)
    same = trained(NAN, size=size, end=end)
    assert compared(same, same).is_rounding


def test_what_becomes_of_infinite_scores_says_whether_they_are_the_same():
    found = compared(trained(-INF, end="middle"), trained(-INF, 1 + 1e-9, end="middle"))
    assert found.is_rounding
    assert found.verdict.endswith("the same computation; 1 results are not finite and were not compared")


def test_gradients_of_a_step_that_is_left_out_are_no_end():
    """A gradient scaler looks for infinite ones, after which no update takes them."""
    name, other = "_amp_foreach_non_finite_check_and_unscale_", "sin"
    for scaled, rounds in ((name, True), (other, None)):
        one, two = (trained(INF, factor, end="metric", name=scaled) for factor in (1.0, 2.0))
        assert compared(one, two).is_rounding is rounds


@pytest.mark.parametrize("end", ["weight", "metric"])
@pytest.mark.parametrize("firsts", [(INF, -INF), (INF, NAN), (1.0, NAN), (NAN, 1.0), (INF, 1.0)], ids=str)
def test_what_is_not_finite_otherwise_is_another_computation_unless_noise_does_the_same(firsts, end):
    one, other = (trained(first, end=end) for first in firsts)
    found = compared(one, other)
    assert found.is_rounding is False
    assert found.beyond_rounding.operation == "aten::sin"
    assert compared(one, other, noisy=other).is_rounding is None
