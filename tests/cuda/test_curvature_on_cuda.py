"""Curvature on a CUDA device against dense float64 Hessians on the CPU."""

import copy

import pytest
import torch
from torch import nn
from torch.func import functional_call

import lastbit as lb
from lastbit.curvature import HessianOperator, SharpnessTracker
from lastbit.execution.numerics import repeatable_numerics
from lastbit.pde.layers import bounds as layer_bounds

CE = nn.CrossEntropyLoss()


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.Tanh(), nn.Flatten(), nn.Linear(32, 3))


def batch():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(20, 1, 6, 6, generator=generator), torch.randint(3, (20,), generator=generator)


def dense(model, data):
    """The Hessian in float64 on the CPU."""
    weights = {name: p.detach().cpu().double() for name, p in model.named_parameters()}
    sizes = [each.numel() for each in weights.values()]
    stateless, (inputs, targets) = copy.deepcopy(model).cpu().double(), data

    def value(flat):
        parts = zip(weights.items(), flat.split(sizes), strict=True)
        state = {name: part.reshape(weight.shape) for (name, weight), part in parts}
        return CE(functional_call(stateless, state, (inputs.double(),)), targets)

    return torch.autograd.functional.hessian(value, torch.cat([each.reshape(-1) for each in weights.values()]))


def test_a_product_with_the_hessian():
    model, data = network().cuda(), [part.cuda() for part in batch()]
    exact = dense(model, batch())
    vector = torch.randn(len(exact), generator=torch.Generator().manual_seed(3))
    found = (HessianOperator(model, CE, tuple(data)) @ vector.cuda()).cpu().double()
    expected = exact @ vector.double()
    assert float((found - expected).norm() / expected.norm()) < 1e-5


def test_each_step_of_a_training_is_certified():
    model, data = network().cuda(), tuple(part.cuda() for part in batch())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    tracker = SharpnessTracker(model, CE, data, probe_every=5)
    for _ in range(12):
        found = tracker.measure()
        exact = float(torch.linalg.eigvalsh(dense(model, batch()))[-1])
        assert found.lower - 1e-5 * exact <= exact <= found.upper + 1e-5 * exact
        assert found.upper - found.sharpness <= 1e-3 * found.sharpness
        optimizer.zero_grad()
        CE(model(data[0]), data[1]).backward()
        optimizer.step()


def test_a_monitored_training_keeps_its_bits():
    """Dropout draws from the device's generator, which measuring must leave as it was."""

    def trained(watched):
        torch.manual_seed(0)
        model = nn.Sequential(network(), nn.Dropout(0.3), nn.Linear(3, 3)).cuda()
        data = tuple(part.cuda() for part in batch())
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        every = lb.every(2) if watched else (lambda step: False)
        with repeatable_numerics(), lb.SharpnessMonitor(model, CE, data, optimizer, every) as monitor:
            for _ in range(6):
                optimizer.zero_grad()
                CE(model(data[0]), data[1]).backward()
                optimizer.step()
        assert len(monitor.rows) == (3 if watched else 0)
        return nn.utils.parameters_to_vector(model.parameters()).detach().cpu()

    assert torch.equal(trained(False), trained(True))


@pytest.mark.parametrize("kind", ["gauss_newton", "hessian"])
def test_bounds_of_a_layer_agree_with_the_cpu(kind):
    (here,), (there,) = (
        layer_bounds(copy.deepcopy(network()).to(d), CE, [p.to(d) for p in batch()]) for d in ("cpu", "cuda")
    )
    one, other = getattr(here, kind), getattr(there, kind)
    assert other.highest == pytest.approx(one.highest, rel=1e-3)


def test_products_of_wide_convolutions_are_those_of_float32():
    """By default cuDNN's convolutions of float32 keep ten bits, of which no certificate of a curvature knows."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(8, 64, 3, padding=1),
        nn.Tanh(),
        nn.Conv2d(64, 64, 3, padding=1),
        nn.Tanh(),
        nn.Flatten(),
        nn.Linear(4096, 3),
    )
    inputs, targets = torch.randn(32, 8, 8, 8), torch.randint(3, (32,))
    vector = torch.randn(sum(p.numel() for p in model.parameters()))
    assert torch.backends.cudnn.allow_tf32  # torch's default, for training
    exact = HessianOperator(copy.deepcopy(model).double(), CE, (inputs.double(), targets)) @ vector.double()
    found = HessianOperator(model.cuda(), CE, (inputs.cuda(), targets.cuda())) @ vector.cuda()
    assert float((found.cpu().double() - exact).norm() / exact.norm()) < 1e-5
