"""Traces of compiled programs and of loaders, recorded and compared."""

import pytest
import torch
from tests.script.trace.recorded import recorded

from lastbit.script.audit.compiled import CompiledGraph
from lastbit.script.trace.comparison import compare_traces
from lastbit.script.trace.graph import COMPILED_GRAPH

_PROGRAM = """
import torch
from torch import nn
torch.manual_seed(0)
net = nn.Sequential(nn.Linear(8, 32), nn.BatchNorm1d(32), nn.GELU(), nn.Linear(32, 4))
optimizer = torch.optim.{optimizer}
{compiled}
x, y = torch.randn(16, 8), torch.randint(4, (16,))
for _ in range(3):
    optimizer.zero_grad()
    nn.functional.cross_entropy(step(x), y).backward()  # here
    optimizer.step()
"""
# Stands for a compiler whose kernels no mode sees: what they do comes from its own code, with a factor on all results.
_OPAQUE = """
from torch._dynamo.backends.common import aot_autograd
def compiler(graph, examples):
    def run(inputs):
        results, factor = graph(*inputs), {factor}
        inputs.clear()
        return [r * factor if isinstance(r, torch.Tensor) and r.is_floating_point() else r for r in results]
    run._boxed_call, run.__module__ = True, "torch._inductor.of_this_test"
    return run
step = torch.compile(net, backend=aot_autograd(fw_compiler=compiler))
"""
_ADAM, _SGD = "AdamW(net.parameters(), lr=0.01)", "SGD(net.parameters(), lr=0.1)"


@pytest.fixture(autouse=True)
def no_graphs_left():
    yield
    torch._dynamo.reset()


def _trace(folder, compiled, name, optimizer=_ADAM):
    return recorded(_PROGRAM.format(compiled=compiled, optimizer=optimizer), folder, name)


def test_a_graph_is_one_record_with_what_it_takes_and_gives(tmp_path):
    trace = _trace(tmp_path, _OPAQUE.format(factor=1), "run")
    graphs = [record for record in trace.records if record.site.name.startswith(COMPILED_GRAPH)]
    assert [(g.site.name, g.site.phase, g.step) for g in graphs[:2]] == [
        ("compiled graph 1", "forward", 0),
        ("compiled graph 1", "backward", 0),
    ]
    assert len(graphs) == 6
    forward, backward = graphs[:2]
    assert (16, 4) in [summary.shape for summary in forward.outputs]
    assert any(origin is not None and origin[0] == forward.index for origin in backward.inputs)
    assert (32, 8) in [summary.shape for summary in backward.outputs]
    made = CompiledGraph(7, False, None, "", None, False, (), True)
    assert made.name.startswith(COMPILED_GRAPH)


@pytest.mark.parametrize("compiled", ['step = torch.compile(net, backend="aot_eager")', _OPAQUE.format(factor=1)])
@pytest.mark.parametrize("swapped", [False, True])
def test_eager_and_compiled_are_aligned_at_the_boundaries_of_graphs(tmp_path, compiled, swapped):
    pair = [_trace(tmp_path, "step = net", "eager"), _trace(tmp_path, compiled, "compiled")]
    comparison = compare_traces(*(reversed(pair) if swapped else pair))
    assert comparison.same_bits, comparison.verdict
    assert comparison.beyond_rounding is None


def test_rounding_in_a_graph_is_no_other_computation_though_a_gradient_cancels(tmp_path):
    # The gradient of a bias before a batch norm is zero but for rounding, and Adam makes any of it a whole step.
    pair = [_trace(tmp_path, "step = net", "eager"), _trace(tmp_path, _OPAQUE.format(factor="1 + 2**-22"), "compiled")]
    comparison = compare_traces(*pair)
    assert not comparison.same_bits
    assert comparison.beyond_rounding is None, comparison.verdict


def test_a_graph_that_computes_something_else_is_named(tmp_path):
    factor = '1.25 if "tangents" in graph.code else 1'
    pair = [
        _trace(tmp_path, "step = net", "eager", _SGD),
        _trace(tmp_path, _OPAQUE.format(factor=factor), "compiled", _SGD),
    ]
    beyond = compare_traces(*pair).beyond_rounding
    assert (beyond.phase, beyond.step) == ("backward", 0)
    assert "compiled graph 1" in beyond.differs
    assert "gives other results than" in beyond.differs
    assert "0.8 times" in beyond.differs


def test_what_a_graph_hands_to_its_backward_tells_which_operation_inside_is_another(tmp_path):
    """An activation of another formula: of all that the graph gives, its inputs agree, and its result does not."""
    pair = [
        _trace(tmp_path, f"net[2].approximate = '{formula}'\n{compiled}", formula, _SGD)
        for formula, compiled in (("none", "step = net"), ("tanh", _OPAQUE.format(factor=1)))
    ]
    beyond = compare_traces(*pair, lambda record, place: 1e-6).beyond_rounding
    assert (beyond.operation, beyond.phase, beyond.step, beyond.module) == ("aten::gelu", "forward", 0, "net.2")
    assert beyond.differs.startswith("compiled graph 1 at ")
    assert " gives other results than aten::gelu at " in beyond.differs


_LOADED = """
import random, torch
from torch.utils.data import DataLoader, TensorDataset
torch.manual_seed(0)
net = torch.nn.Linear(3, 2)
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
data = TensorDataset(torch.randn(12, 3), torch.randn(12, 2))
order = list(range(12))
random.Random({seed}).shuffle(order)
loader = DataLoader(data, batch_size=4, sampler=order)
for x, y in loader:
    optimizer.zero_grad()
    (net(x) - y).square().mean().backward()
    optimizer.step()
"""


def test_batches_are_in_a_trace_and_tell_how_data_differ(tmp_path):
    import random

    order = list(range(12))
    random.Random(1).shuffle(order)
    one, again, other = (
        recorded(_LOADED.format(seed=seed), tmp_path, name) for seed, name in ((1, "a"), (1, "b"), (2, "c"))
    )
    batches = [batch for _, batch in one.batches]
    assert [batch.indices for batch in batches] == [tuple(order[i : i + 4]) for i in (0, 4, 8)]
    assert [(batch.loader.rpartition("/")[2], batch.place, batch.worker) for batch in batches] == [
        ("train.py:10", place, None) for place in range(3)
    ]
    assert batches == [batch for _, batch in again.batches]
    assert compare_traces(one, again).same_bits
    differs = compare_traces(one, other).beyond_rounding.differs
    assert differs.startswith("the data differ: batch 0 (epoch 0) of the loader at ")
    assert f"holds samples {order[0]}, {order[1]}, {order[2]}, {order[3]} in one run and " in differs
