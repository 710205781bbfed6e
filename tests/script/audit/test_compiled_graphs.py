"""Compiled programs under the audit. PYTHONHASHSEED, 1 in one run and 2 in the other, plants the faults."""

from collections import Counter
from contextlib import closing

import pytest
import torch
from tests.warm_python import WarmPython

from lastbit.script.audit import compiled, runs

_NET = """
import os, torch
from torch import nn
torch.manual_seed(0)
other_run = os.environ.get("PYTHONHASHSEED") == "2"
net = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Dropout(0.5), nn.Linear(8, 1))
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
x = torch.randn(16, 4)
"""


def _line_of_the_fault(source):
    """The number of the line that ends in `# here`."""
    return next(number for number, line in enumerate(source.splitlines(), 1) if line.endswith("# here"))


_STEPS = """
for _ in range(2):
    optimizer.zero_grad()
    step(x).square().mean().backward()
    optimizer.step()
print([parameter.tolist() for parameter in net.parameters()], net[1].running_mean.tolist())
"""
# A compiler whose kernels are functions of its own, with a fault in those that hold a certain operation.
_BACKEND = """
from torch._dynamo.backends.common import aot_autograd
def compiler(graph, examples):
    def run(*inputs):
        outputs = list(graph(*inputs))
        if other_run and {faulty!r} in graph.code:
            first = next(output for output in outputs if output.shape[:1] == (16,)).detach().numpy()
            first.flat[0] = __import__("numpy").nextafter(first.flat[0], 9)
        return outputs
    return run
"""


@pytest.fixture(scope="module", autouse=True)
def _warm_compiler():
    """The two runs cost no import of the compiler either."""
    with closing(WarmPython("warm_compiler")) as python, pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs, "subprocess", python.subprocess)
        yield


def test_two_compiled_runs_alike_are_deterministic_and_do_what_they_do_alone(audited, alone, tmp_path):
    step = 'step = torch.compile(net, backend="aot_eager", fullgraph=True)'
    found = audited(_NET + step + _STEPS)
    assert found.first_difference is None
    assert (found.compiled.graphs, found.compiled.recompiled, found.compiled.calls) == (1, 0, 4)
    assert not found.unobserved
    assert alone() == (0, (tmp_path / "record" / "a" / "output.txt").read_text())


def test_what_runs_between_two_graphs_is_compared_operation_by_operation(audited):
    source = """
@torch.compile(backend="aot_eager")
def step(x):
    y = net[0](x)
    torch._dynamo.graph_break()
    torch._dynamo.disable(torch.Tensor.mul)(y, 1 + other_run * 2**-23)  # here
    return net[4](y)
"""
    source = _NET + source + _STEPS
    found = audited(source).first_difference
    assert (found.op, found.phase, found.line) == ("aten::mul", "forward", f"train.py:{_line_of_the_fault(source)}")


@pytest.mark.parametrize(
    ("faulty", "graph", "phase"),
    [
        ("aten.tanh.default", "compiled graph 1", "forward"),
        ("aten.sin.default", "compiled graph 2", "forward"),
        ("aten.cos.default", "compiled graph 2", "backward"),
    ],
)
def test_the_first_graph_whose_result_differs_is_named(audited, faulty, graph, phase):
    source = f"""{_NET}{_BACKEND.format(faulty=faulty)}
@torch.compile(backend=aot_autograd(fw_compiler=compiler))
def step(x):
    y = net[:3](x)
    torch._dynamo.graph_break()
    return net[4](y.sin())  # here
{_STEPS}"""
    found = audited(source).first_difference
    assert (found.op, found.phase, found.step, found.kind) == (graph, phase, 0, "arithmetic")
    assert (found.elements, found.max_ulp) == (1, 1)
    line = _line_of_the_fault(source) - 2 * (graph == "compiled graph 1")
    assert found.line == f"train.py:{line}"
    assert "the same inputs give other bits" in found.cause
    assert "aot_eager" in found.cure


def test_a_buffer_that_a_graph_changes_is_compared(audited):
    source = f"""{_NET}
from torch._dynamo.backends.common import aot_autograd
def compiler(graph, examples):
    def run(*inputs):
        outputs = graph(*inputs)
        if other_run:
            changed = next(i for i in inputs if i is counter)
            changed.numpy()[0] += 2.0**-20
        return outputs
    return run
counter = torch.ones(1)
@torch.compile(backend=aot_autograd(fw_compiler=compiler, keep_inference_input_mutations=True))
def step(x):
    counter.add_(1)
    return x * 2
step(x)
"""
    found = audited(source).first_difference
    assert (found.op, found.shape, found.elements) == ("compiled graph 1", (1,), 1)


def test_what_a_graph_takes_is_compared(audited):
    source = f"""{_NET}
counter = torch.ones(1)
step = torch.compile(lambda x: x * 2, backend="aot_eager")  # here
counter + 1
counter.numpy()[0] += other_run
step(counter)
"""
    found = audited(source).first_difference
    assert (found.op, found.kind, found.line) == ("compiled graph 1", "data", f"train.py:{_line_of_the_fault(source)}")
    assert "reads values that torch did not make" in found.cause


def test_a_torch_that_does_not_compile_beside_an_audit_is_said(monkeypatch):
    monkeypatch.setattr(compiled, "_COMPILES", False)
    monkeypatch.setattr(torch, "compile", compiler := lambda model: (model, "compiled"))
    counted = Counter()
    with compiled.around_compilers(None, counted):
        assert [torch.compile(model) for model in (1, 2)] == [(1, "compiled"), (2, "compiled")]
    assert torch.compile is compiler
    [(said, count)] = counted.items()
    assert said == f"kernels of torch.compile: torch {torch.__version__} runs without them what is audited"
    assert count == 2


def test_a_piece_that_is_compiled_again_is_counted(audited):
    source = """
import torch
step = torch.compile(lambda x: (x * 2).sum(), backend="aot_eager", dynamic=False)
for size in (3, 4, 4):
    step(torch.ones(size))
"""
    counts = audited(source).compiled
    assert (counts.graphs, counts.recompiled, counts.calls) == (2, 1, 3)


def test_memory_without_values_goes_through_a_graph_unharmed(audited):
    source = """
import torch
step = torch.compile(lambda cache, x: (cache * 2)[:4] + x, backend="aot_eager")
cache = torch.empty(8)
cache[:4] = 1
step(cache, torch.ones(4)).sum()
"""
    assert audited(source).first_difference is None


@pytest.fixture
def kernels(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "kernels"))


def test_kernels_of_inductor_are_compared(audited, kernels):
    source = """
import os, torch
torch.manual_seed(0)
factor = 1 + 2**-20 * (os.environ["PYTHONHASHSEED"] == "2")
x, weight = torch.randn(8, 8), torch.randn(8, 8, requires_grad=True)
@torch.compile(fullgraph=True)
def same(x):
    return (x @ weight).tanh().sum()
@torch.compile(mode="default")
def step(x):
    return torch.dropout((x @ weight).tanh() * factor, 0.5, True).sum()
for _ in range(2):
    same(x).backward()
step(x)
"""
    found = audited(source)
    assert (found.compiled.graphs, found.compiled.calls) == (2, 5)
    difference = found.first_difference
    assert (difference.op, difference.phase, difference.line) == ("compiled graph 2", "forward", "train.py:11")
    assert difference.kind == "data"
    assert "the runs compiled other operations" in difference.cause
    assert "1.0000009" in difference.cause
    assert "os.environ at train.py:4" in difference.cause
