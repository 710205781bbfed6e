"""Arguments that torch leaves out of a call have their default, and only numbers belong to a schedule."""

import pytest
from tests.script.trace.written_traces import Writer

from lastbit.script.trace.call_arguments import default_text
from lastbit.script.trace.comparison import compare_traces


def trace(name, steps):
    """An operation on the same data in several steps, with the arguments of each."""
    writer = Writer()
    data = writer.outside("x", [1.0, 2.0, 3.0])
    for step, arguments in enumerate(steps):
        writer.do(
            name, ["x"], {f"y{step}": [v + sum(map(ord, str(arguments))) for v in data]}, line="train.py:8", **arguments
        )
        writer.step()
    return writer.trace()


def said(name, mine, others):
    found = compare_traces(trace(name, mine), trace(name, others)).beyond_rounding
    return None if found is None else found.differs


def test_a_default_is_named_and_equals_itself():
    attention = "_scaled_dot_product_flash_attention_for_cpu"
    causal = said(attention, [{"dropout_p": 0.0, "is_causal": True}], [{}])
    assert causal == "scaled_dot_product_flash_attention_for_cpu is_causal True against False"
    assert (
        said("_softmax", [{"beta": 2.0}], [{}]) == "softmax beta 2.0 against the default"
    )  # which has no such argument


@pytest.mark.parametrize(
    ("operation", "argument", "text"),
    [
        ("aten::gelu", "approximate", "none"),
        ("aten::add", "alpha", "1"),
        ("aten::conv2d", "groups", "1"),
        ("aten::native_batch_norm", "momentum", None),  # must be given
        ("aten::sum", "nothing", None),
        ("mine::unknown", "p", None),
        ("compiled graph 1", "p", None),
    ],
)
def test_defaults_are_those_of_the_schemas(operation, argument, text):
    assert default_text(operation, argument) == text


@pytest.mark.parametrize(
    ("values", "off"), [((0.1, 0.2, 0.3), True), (("mean", "sum", "none"), False), ((True, False, False), False)]
)
def test_only_numbers_are_a_schedule(values, off):
    mine = [{"value": value} for value in values]
    words = said("threshold", mine[:2], mine[1:])
    assert words.startswith(f"threshold value {values[0]!r} against {values[1]!r}")
    assert words.endswith(": a schedule is off by one step") is off
