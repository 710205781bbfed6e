"""What is recorded of small programs, against torch's own dispatch mode, exact norms and what the programs say."""

import math
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from lastbit.errors import LastbitError
from lastbit.script.audit.runs import ScriptFailedError
from lastbit.script.target import Target
from lastbit.script.trace.reader import read_trace
from lastbit.script.trace.recorder import TraceMode
from lastbit.script.trace.recording import record_trace
from lastbit.script.trace.records import BATCH, DATA, FORMAT, OUTSIDE, PARAMETER, RECEIVED, TraceHeader
from lastbit.script.trace.writer import TraceWriter

HEAD = TraceHeader(FORMAT, ("train.py",), {}, {}, {}, 0, 1, None, "")
TRAIN = """
import torch
from torch import nn

torch.set_num_threads(1)
torch.manual_seed(0)
layers = [nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Dropout(0.1), nn.Linear(144, 3)]
model = nn.Sequential(*layers)
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
data = torch.utils.data.TensorDataset(torch.randn(32, 1, 8, 8), torch.randint(3, (32,)))
for images, labels in torch.utils.data.DataLoader(data, batch_size=8, shuffle=True):
    optimizer.zero_grad()
    loss = nn.functional.cross_entropy(model(images), labels)
    loss.backward()
    optimizer.step()
"""


def traced(path, program):
    """Record a function of this process."""
    writer = TraceWriter(path, HEAD)
    mode = TraceMode(writer)
    with mode:
        program()
    writer.end(mode.unobserved)
    return read_trace(path)


class Seen(TorchDispatchMode):
    """What torch itself says of the operations that are no views: names, and norms in float64 of what they give."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        if not func.is_view and "empty" not in str(func) and "detach" not in str(func):
            given = [t.double().norm().item() for t in tree_leaves(result) if isinstance(t, torch.Tensor)]
            self.seen.append((func._schema.name, given))
        return result


def network():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3))
    inputs, labels = torch.randn(4, 6), torch.tensor([0, 2, 1, 1])

    def step():
        nn.functional.cross_entropy(model(inputs), labels).backward()

    return model, inputs, step


def test_operations_come_in_torchs_own_order_with_exact_norms(tmp_path):
    _, _, step = network()
    with Seen() as expected:
        step()
    _, _, step = network()
    records = [r for r in traced(tmp_path / "a.trace", step).records if r.site.phase != OUTSIDE]
    assert [r.site.name for r in records] == [name for name, _ in expected.seen]
    for record, (_, norms) in zip(records, expected.seen, strict=True):
        np.testing.assert_allclose([t.norm for t in record.outputs], norms, rtol=1e-10)


def test_what_feeds_what_through_views_and_in_place(tmp_path):
    def program():
        a = torch.ones(4, 6)
        b = a.t()[1:].mul(2)
        b.add_(1)
        torch.mm(a, b.expand_as(b).reshape(5, 4)[:, :2].t().contiguous().t().new_ones(6, 2))
        torch.cat([b, a.t()])

    records = traced(tmp_path / "a.trace", program).records
    inputs = {record.site.name: record.inputs for record in records}
    index = {record.site.name: record.index for record in records}
    assert inputs["aten::mul"] == ((index["aten::ones"], 0),)
    assert inputs["aten::add_"] == ((index["aten::mul"], 0),)
    assert inputs["aten::cat"] == ((index["aten::add_"], 0), (index["aten::ones"], 0))
    assert inputs["aten::mm"] == ((index["aten::ones"], 0), (index["aten::new_ones"], 0))


def test_what_comes_from_outside_is_recorded_when_it_is_read(tmp_path):
    model, inputs, _ = network()
    numbers = np.ones(12, np.float32)

    def program():
        model(inputs)
        model(inputs)
        whole = torch.from_numpy(numbers)
        whole[:6].add(1)
        whole[6:].add(1)

    trace = traced(tmp_path / "a.trace", program)
    outside = [record for record in trace.records if record.site.phase == OUTSIDE]
    names = [(record.site.name, record.site.module) for record in outside]
    assert sorted(name for name, _ in names).count(PARAMETER) == 4  # once each, though read twice
    assert sorted(name for name, _ in names).count(DATA) == 2  # the inputs, and the array once
    weight = next(r for r in outside if r.outputs[0].shape == (5, 6))
    assert weight.site.module == "model.0.weight"
    assert weight.outputs[0].norm == pytest.approx(model[0].weight.double().norm().item(), rel=1e-10)


def test_memory_without_values_has_no_digest(tmp_path):
    def program():
        torch.empty(50).clone()
        torch.empty(50).fill_(2).clone()

    one, fill, two = traced(tmp_path / "a.trace", program).records
    assert (one.outputs[0].digest, one.inputs) == (None, (None,))
    assert (two.outputs[0].norm, two.inputs) == (pytest.approx(math.sqrt(200)), ((fill.index, 0),))


def test_scalars_that_change_add_no_site(tmp_path):
    def program():
        value = torch.ones(3)
        for step in range(50):
            value.mul_(1 - 0.1**step)
            torch._foreach_add_([value, value.clone()], [0.5 * step, 0.5 * step])

    trace = traced(tmp_path / "a.trace", program)
    assert len({record.site for record in trace.records}) == 4
    scaled = [record.arguments["other"] for record in trace.records if record.site.name == "aten::mul_"]
    assert [float(text) for text in scaled] == [1 - 0.1**step for step in range(50)]
    added = [record.arguments["scalars"] for record in trace.records if record.site.name == "aten::_foreach_add_"]
    assert added[3] == "[1.5 x 2]"


def test_arguments_are_kept_but_for_where_results_lie(tmp_path):
    def program():
        x = torch.ones(2, 3, device="cpu")
        nn.functional.dropout(x, 0.25)  # draws with probability 0.75
        torch.randn(2, generator=torch.Generator().manual_seed(5))
        x.sum(dim=(0, 1), dtype=torch.float64)

    found = {record.site.name: record.arguments for record in traced(tmp_path / "a.trace", program).records}
    assert found["aten::ones"] == {"size": "[2, 3]"}
    assert found["aten::bernoulli_"] == {"p": "0.75"}
    assert found["aten::randn"] == {"size": "[2]", "generator": "seed 5"}
    assert found["aten::sum"] == {"dim": "[0, 1]", "dtype": "float64"}


@pytest.fixture
def process_group(tmp_path):
    """A process that trains with no other."""
    store = torch.distributed.FileStore(str(tmp_path / "store"), 1)
    torch.distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


def test_every_collective_is_recorded_also_one_that_takes_lists_of_lists(tmp_path, process_group):
    """A model for several processes begins with one: are all parameters of one shape in all of them?"""
    model = nn.Linear(2, 1)
    trace = traced(tmp_path / "a.trace", lambda: nn.parallel.DistributedDataParallel(model)(torch.ones(3, 2)))
    gathered = [record for record in trace.records if record.site.name == "c10d::allgather_"]
    assert gathered
    assert all("tensors" not in name for record in gathered for name in record.arguments)
    assert not trace.unseen


def test_what_a_collective_is_still_writing_is_not_read_before_it_was_waited_for(tmp_path, process_group):
    """While it runs, its memory holds now the one and now the other."""
    collectives, ones = torch.ops._c10d_functional, torch.ones(5)

    def program():
        pending = collectives.all_reduce(ones, "sum", torch.distributed.group.WORLD.group_name)
        collectives.wait_tensor(pending).add(1)

    records = traced(tmp_path / "a.trace", program).records
    names = [record.site.name.removeprefix("_c10d_functional::") for record in records]
    assert names == [DATA, "all_reduce", "wait_tensor", RECEIVED, "aten::add"]
    assert [record.inputs for record in records[2:]] == [((1, 0),), ((2, 0),), ((3, 0),)]
    assert [output.norm for output in records[3].outputs] == pytest.approx([math.sqrt(5)])


def test_nothing_is_drawn_and_nothing_computed_is_changed(tmp_path):
    model, _, step = network()
    state = torch.get_rng_state()
    traced(tmp_path / "a.trace", step)
    assert torch.equal(torch.get_rng_state(), state)
    plain, _, step = network()
    step()
    assert all(torch.equal(a.grad, b.grad) for a, b in zip(model.parameters(), plain.parameters(), strict=True))


def test_a_disk_that_is_full_stops_the_recording_and_not_the_program(tmp_path, monkeypatch):
    writer = TraceWriter(tmp_path / "a.trace", HEAD)
    mode = TraceMode(writer, writer.flush)
    monkeypatch.setattr(writer, "_write", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with mode:
        total = torch.ones(3).add(1).sum()
    assert total == 6
    assert mode.paused
    assert mode.broken.errno == 28
    assert len(read_trace(tmp_path / "a.trace").records) == 0
    writer._file.close()


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """A whole training recorded in a process of its own: the result, and the trace."""
    folder = tmp_path_factory.mktemp("recorded")
    (folder / "train.py").write_text(TRAIN)
    seen = []
    target = Target("file", str(folder / "train.py"), ("--lr", "1"))
    result = record_trace(target, folder / "a.trace", on_progress=lambda *counts: seen.append(counts))
    return result, read_trace(folder / "a.trace"), seen


def test_a_training_is_recorded_whole(recorded):
    result, trace, seen = recorded
    assert trace.ended
    assert (result.operations, result.steps, result.bytes) == (len(trace.records), 4, result.path.stat().st_size)
    assert trace.steps == 4
    assert seen[-1][0] <= result.operations
    assert trace.header.command[1:] == ("--lr", "1")
    assert trace.header.numerics["torch"] == torch.__version__
    assert trace.numerics["threads"] == 1
    assert (trace.header.rank, trace.header.world_size) == (0, 1)


def test_places_are_those_of_the_program(recorded):
    _, trace, _ = recorded
    conv = [record for record in trace.records if record.site.name == "aten::convolution"]
    assert [record.step for record in conv] == [0, 1, 2, 3]
    assert {(r.site.phase, r.site.module, r.site.line.split(":")[-1]) for r in conv} == {("forward", "model.0", "13")}
    back = next(record for record in trace.records if record.site.name == "aten::convolution_backward")
    assert (back.site.phase, back.site.module) == ("backward", "model.0")
    assert [back.site.line.split(":")[-1], back.site.called_from.split(":")[-1]] == ["13", "14"]
    updates = [r for r in trace.records if r.site.name == "aten::addcdiv_" and r.step == 2]
    assert [record.site.module for record in updates] == [
        *("model.0.weight", "model.0.bias", "model.1.weight", "model.1.bias", "model.5.weight", "model.5.bias")
    ]
    assert {record.site.phase for record in updates} == {"optimizer"}


def test_an_update_feeds_the_next_step(recorded):
    _, trace, _ = recorded
    update = next(r for r in trace.records if r.site.module == "model.0.weight" and r.site.name == "aten::addcdiv_")
    conv = next(r for r in trace.records if r.site.name == "aten::convolution" and r.step == 1)
    assert conv.inputs[1] == (update.index, 0)


def test_generators_and_batches_are_in_the_trace(recorded):
    _, trace, _ = recorded
    assert sorted(trace.generators) == [0, 1, 2, 3, 4]
    assert trace.generators[1].torch_seed == 0
    assert len({state.torch_state for state in trace.generators.values()}) == 5
    assert len({state.python_state for state in trace.generators.values()}) == 1
    batches = [event.content for event in trace.events if event.kind == BATCH]
    assert sorted(index for batch in batches for index in batch["indices"]) == list(range(32))


def test_an_operation_takes_few_bytes(recorded):
    result, _, _ = recorded
    assert result.bytes / result.operations < 96


def test_the_same_program_gives_the_same_trace(recorded, tmp_path):
    result, trace, _ = recorded
    again = record_trace(
        Target("file", str(result.path.parent / "train.py"), ("--lr", "1")), tmp_path / "b.trace", steps=2
    )
    other = read_trace(tmp_path / "b.trace")
    assert (again.steps, other.ended, other.header.steps) == (2, True, 2)
    assert list(other.records) == list(trace.records[: len(other.records)])
    assert other.generators[2].torch_state == trace.generators[2].torch_state


def test_a_program_that_fails_leaves_its_trace(tmp_path):
    (tmp_path / "train.py").write_text("import torch\ntorch.ones(3).sum()\nraise SystemExit(3)\n")
    target = Target("file", str(tmp_path / "train.py"))
    with pytest.raises(
        ScriptFailedError, match=r"ended with exit code 3; .*a.trace holds the 2 operations before that"
    ):
        record_trace(target, tmp_path / "a.trace")
    trace = read_trace(tmp_path / "a.trace")
    assert [record.site.name for record in trace.records] == ["aten::ones", "aten::sum"]
    assert not trace.ended
    with pytest.raises(LastbitError, match=r"a.trace exists: name another file for the trace, or remove it"):
        record_trace(target, tmp_path / "a.trace")
    with pytest.raises(LastbitError, match="there is no directory"):
        record_trace(target, tmp_path / "missing" / "a.trace")


@pytest.mark.parametrize("source", ["print(1)\n", "import torch\n"])
def test_a_program_without_operations_is_refused(tmp_path, source):
    (tmp_path / "train.py").write_text(source)
    with pytest.raises(ScriptFailedError, match="did no tensor operation: there is nothing to record"):
        record_trace(Target("file", str(tmp_path / "train.py")), tmp_path / "a.trace")
    assert not (tmp_path / "a.trace").exists()


def test_a_recording_that_is_killed_is_read_up_to_there(tmp_path, warm_python):
    (tmp_path / "train.py").write_text(
        "import torch\nx = torch.ones(64)\nwhile True:\n    x = x * 1.0\n    print(x[0].item(), flush=True)\n"
    )
    path = tmp_path / "a.trace"
    command = [sys.executable, "-m", "lastbit", "audit", "--record", str(path), "--", str(tmp_path / "train.py")]
    process = warm_python.Popen(command, process_group=0, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not (path.exists() and path.stat().st_size > 40_000) and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    trace = read_trace(path)
    assert not trace.ended
    assert len(trace.records) > 100
    assert {record.site.name for record in trace.records[1:]} == {"aten::mul", "aten::select"}
