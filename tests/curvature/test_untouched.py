"""Measuring leaves training as it was, byte for byte."""

import random

import numpy as np
import pytest
import torch
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import Shard, distribute_tensor
from torch.distributed.tensor.debug import _clear_sharding_prop_cache
from torch.testing._internal.distributed.fake_pg import FakeStore

from lastbit.curvature import GaussNewtonOperator, HessianOperator, SharpnessTracker, spectrum, trace
from lastbit.curvature.untouched.undisturbed import undisturbed


def model_with_state() -> nn.Sequential:
    """Modules in mixed modes, buffers, gradients and a hook-free graph."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Dropout(0.5), nn.Flatten(), nn.Linear(48, 3)
    )
    model(torch.randn(8, 1, 6, 6)).square().mean().backward()
    model[1].eval()
    model[3].eval()
    return model


def everything(model: nn.Module) -> list[bytes]:
    """Weights, buffers, gradients, modes, version counters and random states."""
    tensors = [*model.parameters(), *model.buffers(), *(p.grad for p in model.parameters() if p.grad is not None)]
    values = [t.detach().numpy().tobytes() for t in tensors]
    flags = [m.training for m in model.modules()] + [p.requires_grad for p in model.parameters()]
    counters = [t._version for t in tensors] + [t.data_ptr() for t in tensors]
    states = [torch.get_rng_state().numpy().tobytes(), np.random.get_state()[1].tobytes(), repr(random.getstate())]  # noqa: NPY002
    return [*values, repr(flags).encode(), repr(counters).encode(), *map(str.encode, map(str, states))]


@pytest.mark.parametrize("cut", ["one batch", "micro-batches", "loader"])
def test_every_measurement_leaves_training_untouched(cut: str) -> None:
    model, loss = model_with_state(), nn.CrossEntropyLoss()
    inputs, targets = torch.randn(10, 1, 6, 6), torch.randint(3, (10,))
    dataset = torch.utils.data.TensorDataset(inputs, targets)
    data = torch.utils.data.DataLoader(dataset, batch_size=4) if cut == "loader" else (inputs, targets)
    micro = 3 if cut == "micro-batches" else None
    before = everything(model)
    vector = torch.ones(sum(p.numel() for p in model.parameters()))
    for operator in (HessianOperator, GaussNewtonOperator):
        operator(model, loss, data, micro_batch=micro) @ vector
    assert everything(model) == before
    hessian = HessianOperator(model, loss, data, micro_batch=micro)
    trace(hessian, products=12)
    spectrum(hessian, probes=2, steps=5)
    tracker = SharpnessTracker(model, loss, data, micro_batch=micro)
    tracker.measure()
    tracker.measure()
    assert everything(model) == before


def test_gradients_off_outside_do_not_matter() -> None:
    model, loss = model_with_state(), nn.CrossEntropyLoss()
    data = torch.randn(10, 1, 6, 6), torch.randint(3, (10,))
    expected = SharpnessTracker(model, loss, data).measure().sharpness
    with torch.no_grad():
        assert SharpnessTracker(model, loss, data).measure().sharpness == expected
        assert not torch.is_grad_enabled()


class Failing(nn.Module):
    """Counts, in a buffer and in an attribute, before it fails."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.failed = nn.Linear(4, 3), 0
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        self.failed += 1
        raise RuntimeError("out of memory")


def test_an_evaluation_that_fails_is_put_back_too() -> None:
    model = Failing()
    before = everything(model)
    with pytest.raises(RuntimeError, match="out of memory"):
        HessianOperator(model, nn.functional.cross_entropy, (torch.randn(6, 4), torch.arange(6) % 3))
    assert everything(model)[:3] == before[:3]
    assert (float(model.calls), model.failed) == (0, 0)


def test_weights_split_unevenly_over_processes_are_put_back() -> None:
    """Three rows over two processes, which torch's fake process group plays."""
    _clear_sharding_prop_cache()
    torch.distributed.init_process_group("fake", rank=0, world_size=2, store=FakeStore())
    try:
        mesh = init_device_mesh("cpu", (2,))
        weight = nn.Parameter(distribute_tensor(torch.ones(3, 2), mesh, [Shard(0)], src_data_rank=None))
        model = nn.Module()
        model.weight = weight
        part = weight.detach().to_local()
        assert part.shape == (2, 2)
        with undisturbed(model):
            part.mul_(7)
        assert torch.equal(weight.detach().to_local(), torch.ones(2, 2))
    finally:
        torch.distributed.destroy_process_group()
