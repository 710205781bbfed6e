"""Critical sharpness against closed forms on quadratics, float64 derivatives and certified sharpness."""

import contextlib
import dataclasses
import json
import math
import os
import random
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, mse_loss
from watched_training import network, samples

import lastbit as lb
from lastbit.curvature import CriticalRow

OPTIMIZERS: dict[str, Any] = {
    "descent": lambda weights: torch.optim.SGD(weights, lr=0.01),
    "heavy ball": lambda weights: torch.optim.SGD(weights, lr=0.01, momentum=0.9),
    "AdamW": lambda weights: torch.optim.AdamW(weights, lr=0.01, weight_decay=0.1),
    "Muon": lambda weights: torch.optim.Muon(weights, lr=0.01),
    "Rprop": lambda weights: torch.optim.Rprop(weights, lr=0.01),
}


class Bowl(nn.Module):
    """A quadratic loss in a matrix of weights: mean of (inputs W)^2."""

    def __init__(self, dtype: torch.dtype = torch.float64) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.linspace(-1, 2, 12, dtype=dtype).reshape(4, 3))

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs @ self.weight


def inputs_of(dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(16, 4, generator=torch.Generator().manual_seed(3), dtype=dtype) * torch.tensor(
        [3, 1, 1, 0.3], dtype=dtype
    )


def trained(model: nn.Module, optimizer: Any, batch: Any, loss: Any, steps: int, **options: Any) -> Any:
    with lb.CriticalSharpness(model, loss, batch, optimizer, every=1, **options) as critical:
        for _ in range(steps):
            optimizer.zero_grad()
            loss(model(batch[0]), batch[1]).backward()
            optimizer.step()
    return critical


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_on_a_quadratic_it_is_the_closed_form_of_any_optimizer(name: str) -> None:
    """eta_c = 2 g'd / d'Hd for the update eta d, whatever made it; here H = 2 X'X / n for each column, of n outputs."""
    model, inputs = Bowl(), inputs_of()
    optimizer = OPTIMIZERS[name]([model.weight])
    batch = inputs, torch.zeros(16, 3, dtype=torch.float64)
    curved = 2 * inputs.T @ inputs / 48
    for _ in range(6):
        before = model.weight.detach().clone()
        critical = trained(model, optimizer, batch, mse_loss, 1)
        step = before - model.weight.detach()
        gradient = curved @ before
        expected = 2 * float((gradient * step).sum() / (step * (curved @ step)).sum())
        row = critical.rows[0]
        if expected < 0:  # momentum went on uphill
            assert row.lower == 0
            assert "raises the loss at every rate tried" in row.note
            continue
        assert row.converged
        assert row.lower <= expected * (1 + 1e-9)
        assert expected * (1 - 1e-9) <= row.upper <= row.lower * 17 / 16
        assert row.multiple == pytest.approx(expected, rel=1e-5)
        assert row.sharpness == pytest.approx(2 / (expected * 0.01), rel=1e-5)
        assert row.bounds[0] <= row.sharpness <= row.bounds[1]
        assert row.forwards <= 6
        assert row.loss == pytest.approx(float((inputs @ before).square().mean()))


def test_of_plain_descent_it_is_never_above_the_certified_sharpness() -> None:
    """Its lower bound on a real network, at every step of a training past its edge, on the batch of the gradient."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3)).double()
    inputs, labels = samples()
    batch = inputs.double(), labels
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    tracker = lb.SharpnessTracker(model, cross_entropy, batch, tol=1e-6)
    sharpness = []
    with lb.CriticalSharpness(model, cross_entropy, batch, optimizer, every=1) as critical:
        for _ in range(25):
            optimizer.zero_grad()
            cross_entropy(model(batch[0]), batch[1]).backward()
            sharpness.append(tracker.measure().upper)
            optimizer.step()
    ratios = [row.sharpness / most for row, most in zip(critical.rows, sharpness, strict=True)]
    assert all(row.converged for row in critical.rows[2:])
    assert max(ratios) < 1.02  # third derivatives along the step
    assert max(ratios) > 0.3


def everything(model: nn.Module, optimizer: torch.optim.Optimizer) -> list[Any]:
    tensors = [*model.state_dict().values(), *(parameter.grad for parameter in model.parameters())]
    for state in optimizer.state.values():
        tensors += [value for value in state.values() if isinstance(value, Tensor)]
    bits = [tensor.detach().numpy().tobytes() for tensor in tensors if tensor is not None]
    modes = [module.training for module in model.modules()]
    return [bits, modes, torch.get_rng_state().tolist(), random.getstate(), np.random.get_state()[1].tolist()]  # noqa: NPY002


@pytest.mark.parametrize("mode", ["as is", "eval"])
def test_training_ends_with_the_same_bits(mode: str) -> None:
    """With dropout, running statistics and a loss that draws numbers; also the optimizer's state and `.grad`."""

    def noisy(outputs: Tensor, targets: Tensor) -> Tensor:
        return cross_entropy(outputs + 0.01 * torch.randn_like(outputs), targets) + 0 * random.random()

    ends = []
    for watched in (False, True):
        model = network()
        torch.manual_seed(2)
        random.seed(2)
        optimizer = torch.optim.AdamW(model.parameters(), lr=0.05)
        batch = samples()
        context: Any = contextlib.nullcontext()
        if watched:
            context = lb.CriticalSharpness(model, noisy, batch, optimizer, every=2, mode=mode)
        with context as critical:
            for _ in range(7):
                optimizer.zero_grad()
                noisy(model(batch[0]), batch[1]).backward()
                optimizer.step()
        ends.append(everything(model, optimizer))
        if watched:
            assert [row.step for row in critical.rows] == [2, 4, 6]
            assert all(row.lower > 0 for row in critical.rows)
    assert ends[0] == ends[1]


def test_weights_keep_their_version_so_that_a_graph_may_hold_them() -> None:
    model = Bowl()
    optimizer = torch.optim.SGD([model.weight], lr=0.01)
    batch = inputs_of(), torch.zeros(16, 3, dtype=torch.float64)
    plain = Bowl()
    versions = []
    for own, steps in ((plain, None), (model, optimizer)):
        own_optimizer = steps or torch.optim.SGD([own.weight], lr=0.01)
        if steps is None:
            mse_loss(own(batch[0]), batch[1]).backward()
            own_optimizer.step()
        else:
            trained(own, own_optimizer, batch, mse_loss, 1)
        versions.append(own.weight._version)
    assert versions[0] == versions[1]


def test_under_autocast_it_sees_what_the_loop_sees() -> None:
    batch = inputs_of(torch.float32), torch.zeros(16, 3)
    rows = []
    for context in (contextlib.nullcontext, lambda: torch.autocast("cpu", torch.bfloat16)):
        model = Bowl(torch.float32)
        optimizer = torch.optim.SGD([model.weight], lr=0.5)
        with context():
            loss = mse_loss(model(batch[0]), batch[1])
        with lb.CriticalSharpness(model, mse_loss, batch, optimizer, every=1, context=context) as critical:
            loss.backward()
            optimizer.step()
        rows += critical.rows
        assert rows[-1].loss == float(loss.detach())
        assert rows[-1].converged
    assert rows[0].loss != rows[1].loss
    assert rows[1].multiple == pytest.approx(rows[0].multiple, rel=0.05)


# A process of its own, since the compiler keeps state in a process: after some other tests it no longer compiles what
# is measured, which then runs eagerly to the same values.
_COMPILED = """
import torch
from test_critical import Bowl, inputs_of, mse_loss, trained

ran = []

def backend(graph, _):
    def run(*arguments):
        ran.append(torch.is_grad_enabled())
        return graph(*arguments)
    return run

batch = inputs_of(), torch.zeros(16, 3, dtype=torch.float64)
multiples = []
for model in (Bowl(), Bowl()):
    called = model if multiples else torch.compile(model, backend=backend)
    rows = trained(called, torch.optim.SGD([model.weight], lr=0.01), batch, mse_loss, 2).rows
    multiples.append([row.multiple for row in rows])
    if len(multiples) == 1:
        assert ran.count(False) == sum(row.forwards for row in rows) > 0, ran
torch.testing.assert_close(*multiples)
print("compiled")
"""


def test_a_compiled_model_is_measured_compiled(warm_python: Any) -> None:
    """By a backend that runs the captured graph; an eager call would not pass through it."""
    here = Path(__file__)
    paths = os.pathsep.join([str(here.parent), str(here.parents[2]), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"PYTHONPATH": paths}
    ended = warm_python.run([sys.executable, "-c", _COMPILED], env=environment)
    assert (ended.returncode, ended.stdout) == (0, "compiled\n"), ended.stderr


@pytest.fixture
def process_group(tmp_path: Any) -> Any:
    """A group of this one process."""
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/group", rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


@pytest.mark.parametrize("kind", ["DDP", "FSDP"])
def test_wrapped_and_sharded_models_are_measured_as_they_are(kind: str, process_group: None) -> None:
    if kind == "DDP":
        model: nn.Module = nn.parallel.DistributedDataParallel(Bowl())
    else:
        mesh = torch.distributed.device_mesh.init_device_mesh("cpu", (1,))
        model = torch.distributed.fsdp.fully_shard(Bowl(), mesh=mesh)
    batch = inputs_of(), torch.zeros(16, 3, dtype=torch.float64)
    critical = trained(model, torch.optim.Adam(model.parameters(), lr=0.01), batch, mse_loss, 3)
    alone = Bowl()
    expected = trained(alone, torch.optim.Adam([alone.weight], lr=0.01), batch, mse_loss, 3)
    assert [row.multiple for row in critical.rows] == pytest.approx([row.multiple for row in expected.rows])
    weight = next(model.parameters())
    assert torch.equal(weight.full_tensor() if kind == "FSDP" else weight, alone.weight)  # type: ignore[operator]


def row_of(step: Any, loss: Any = mse_loss, lr: float = 0.01) -> CriticalRow:
    """Measured on the bowl at a step that adds `step` to the weights."""
    model = Bowl(torch.float32)

    class Added(torch.optim.Optimizer):
        def step(self, closure: Any = None) -> None:  # type: ignore[override]
            model.weight.data.add_(step)

    optimizer = Added([model.weight], {"lr": lr})
    batch = inputs_of(torch.float32), torch.zeros(16, 3)
    with lb.CriticalSharpness(model, loss, batch, optimizer, every=1) as critical:
        optimizer.step()
        optimizer.step()
    return critical.rows[0]


def linear(outputs: Tensor, targets: Tensor) -> Tensor:
    return outputs.mean()


@pytest.mark.parametrize(
    ("row", "note"),
    [
        (
            lambda: row_of(-inputs_of(torch.float32).mean(0)[:, None], linear),
            r"the step lowers the loss at every rate tried, up to [\d.e+]+ times the present one: critical sharpness "
            r"is at most",
        ),
        (
            lambda: row_of(inputs_of(torch.float32).mean(0)[:, None], linear),
            r"the step raises the loss at every rate tried, down to [\d.e-]+ times the present one: critical sharpness "
            r"is at least",
        ),
        (lambda: row_of(0.0), "the step moves no weight, so that nothing is known"),
        (lambda: row_of(1.0, lambda outputs, _: outputs.mean() * math.nan), "the loss is nan before the step, so that"),
        (
            lambda: row_of(1e-7, lambda outputs, _: 1e9 + mse_loss(outputs, _)),
            "changes by no more than its rounding",
        ),
    ],
)
def test_what_cannot_be_found_is_said_in_a_line_with_what_is_known(row: Any, note: str) -> None:
    found = row()
    assert re.search(note, found.note), found.note
    assert "\n" not in found.note
    assert found.advice() == found.note
    assert not (found.converged and found.resolved)


def test_a_diverged_row_is_the_last_and_advice_names_the_factor() -> None:
    model = Bowl()
    batch = inputs_of(), torch.zeros(16, 3, dtype=torch.float64)
    optimizer = torch.optim.SGD([model.weight], lr=0.01)
    critical = trained(model, optimizer, batch, mse_loss, 1)
    row = critical.rows[0]
    assert f"{row.multiple:.3g} ({row.lower:.3g} to {row.upper:.3g})" in row.advice()
    assert "may rise by a factor of" in row.advice()
    shorter = dataclasses.replace(row, multiple=0.5, lower=0.49, upper=0.51)
    assert (
        shorter.advice() == "this step raises the loss at the learning rate 0.01, up from 0.5 (0.49 to 0.51) times that"
    )
    edge = dataclasses.replace(row, multiple=1.0, lower=0.98, upper=1.02)
    assert edge.advice().startswith("this step is as long as it may be: the loss rises from 1 (0.98 to 1.02) times")
    optimizer.param_groups[0]["lr"] = 1e200
    assert [row.diverged for row in trained(model, optimizer, batch, mse_loss, 5).rows][-1]
    assert json.loads(json.dumps(row.as_dict()))["sharpness"] == row.sharpness
    assert row.scalars()["critical_sharpness"] == row.sharpness


def test_wrong_arguments_are_named() -> None:
    model = Bowl()
    optimizer = torch.optim.SGD([model.weight], lr=0.01)
    batch = inputs_of(), torch.zeros(16, 3, dtype=torch.float64)
    with pytest.raises(ValueError, match="a forward pass takes one batch, and these are several"):
        lb.CriticalSharpness(model, mse_loss, [batch, batch], optimizer)
    with pytest.raises(TypeError, match="loss is a str"):
        lb.CriticalSharpness(model, "mse", batch, optimizer)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="mode='train' is not allowed"):
        lb.CriticalSharpness(model, mse_loss, batch, optimizer, mode="train")
    critical = lb.CriticalSharpness(model, mse_loss, batch, optimizer)
    with critical, pytest.raises(RuntimeError, match="watching already"), critical:
        pass
    critical.batch = (batch[0][:4], batch[1][:4])
    assert len(critical.batch[0]) == 4
    assert repr(critical) == "<CriticalSharpness: step 0, rows: 0>"


def test_the_monitor_has_it_as_an_option() -> None:
    model = Bowl()
    batch = inputs_of(), torch.zeros(16, 3, dtype=torch.float64)
    optimizer = torch.optim.SGD([model.weight], lr=0.01)
    with lb.SharpnessMonitor(model, mse_loss, batch, optimizer, every=2, critical=True) as monitor:
        for _ in range(4):
            optimizer.zero_grad()
            mse_loss(model(batch[0]), batch[1]).backward()
            optimizer.step()
    alone = Bowl()
    rows = trained(alone, torch.optim.SGD([alone.weight], lr=0.01), batch, mse_loss, 4).rows
    for row, expected in zip(monitor.rows, rows[1::2], strict=True):
        assert row.critical is not None
        assert row.critical["multiple"] == pytest.approx(expected.multiple, rel=1e-6)
        assert row.critical["sharpness"] <= row.upper * 17 / 16
        assert row.critical["advice"].startswith("the learning rate 0.01 may rise by a factor of")
        assert row.scalars()["critical_sharpness"] == row.critical["sharpness"]
    assert torch.equal(model.weight, alone.weight)


def test_an_uphill_update_does_not_mislead_the_search_along_the_next() -> None:
    """The first step climbs, whatever its length; that of the next is looked for from the step itself again."""
    model, inputs = Bowl(), inputs_of()
    batch = inputs, torch.zeros(16, 3, dtype=torch.float64)
    optimizer = torch.optim.SGD([model.weight], lr=0.01)
    with lb.CriticalSharpness(model, mse_loss, batch, optimizer, every=1) as critical:
        for sign in (-1, 1):
            optimizer.zero_grad()
            (sign * mse_loss(model(inputs), batch[1])).backward()
            optimizer.step()
    climbed, fell = critical.rows
    assert "raises the loss at every rate tried" in climbed.note
    assert climbed.resolved
    assert fell.converged
    assert fell.lower > 1
