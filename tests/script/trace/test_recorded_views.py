"""Views of one tensor: which part an operation takes, and in which order, is named where that differs."""

import pytest
from tests.script.trace.recorded import recorded

from lastbit.script.trace.comparison import compare_traces

PROGRAM = """
import torch
torch.manual_seed(0)
weight = torch.nn.Parameter(torch.randn(8, 8))
optimizer = torch.optim.SGD([weight], lr=0.1)
inputs = torch.randn(32, 8)
for step in range(2):
    optimizer.zero_grad()
    part = VIEW
    (part @ weight).square().mean().backward()
    optimizer.step()
"""
SPLIT, BOUND = "inputs.split(8)", "inputs.view(4, 8, 8).unbind()"
# One view, another, and what is said.
OTHERS = {
    "a part of a split": (
        f"{SPLIT}[0]",
        f"{SPLIT}[1]",
        "mm takes another slice of input 1: from element 0 on against 64",
    ),
    "an unbound part": (f"{BOUND}[1]", f"{BOUND}[3]", "from element 64 on against 192"),
    "a slice": ("inputs[:8]", "inputs[8:16]", "slice start 0 against 8"),
    "a transpose": (f"{SPLIT}[0]", f"{SPLIT}[0].t()", "another order: strides those of its own order against [1, 8]"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_another_view_is_named(tmp_path, name):
    one, other, words = OTHERS[name]
    traces = [recorded(PROGRAM.replace("VIEW", view), tmp_path) for view in (one, other)]
    beyond = compare_traces(*traces).beyond_rounding
    assert words in beyond.differs
    assert beyond.step == 0


def test_the_same_values_in_another_memory_are_no_difference(tmp_path):
    traces = [
        recorded(PROGRAM.replace("VIEW", view), tmp_path)
        for view in ("inputs.split(8)[1]", "inputs.split(8)[1].clone()", "inputs[8:16].t().contiguous().t()")
    ]
    for other in traces[1:]:
        comparison = compare_traces(traces[0], other)
        assert (comparison.beyond_rounding, comparison.is_rounding) in ((None, True), (None, None))
        assert comparison.same_bits or comparison.first_different.distance < 1e-6
