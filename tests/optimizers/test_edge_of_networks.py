"""Where a network's training turns unstable: beside a minimum, with torch's own steps and preconditioners as they come.

The minimum is known exactly, since another copy of the network makes the targets. The largest eigenvalue of
P^(-1/2) H P^(-1/2) comes from a dense Hessian in float64.
"""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.autograd.functional import hessian
from torch.func import functional_call
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from lastbit.optimizers import edge_of_stability, preconditioner

SLOW = 1 - 1e-15
KINDS: dict[str, tuple[type[torch.optim.Optimizer], dict[str, Any]]] = {
    "descent": (torch.optim.SGD, {}),
    "heavy ball": (torch.optim.SGD, {"momentum": 0.9}),
    "Nesterov": (torch.optim.SGD, {"momentum": 0.9, "nesterov": True}),
    "Adam": (torch.optim.Adam, {"betas": (0.9, 0.99)}),
    "NAdam": (torch.optim.NAdam, {"betas": (0.9, 0.99)}),
    "RMSprop": (torch.optim.RMSprop, {"momentum": 0.5}),
    "Adagrad": (torch.optim.Adagrad, {}),
}


def network() -> tuple[nn.Module, Tensor, Tensor]:
    """A network at a minimum of its loss, which is zero."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 6), nn.Tanh(), nn.Linear(6, 2)).double()
    inputs = torch.randn(20, 3, dtype=torch.float64)
    return model, inputs, model(inputs).detach()


def gradient(model: nn.Module, inputs: Tensor, targets: Tensor) -> None:
    model.zero_grad()
    nn.functional.mse_loss(model(inputs), targets).backward()


def dense_hessian(model: nn.Module, inputs: Tensor, targets: Tensor) -> Tensor:
    shapes = {name: parameter.shape for name, parameter in model.named_parameters()}

    def loss(flat: Tensor) -> Tensor:
        parts = torch.split(flat, [shape.numel() for shape in shapes.values()])
        named = {name: part.reshape(shape) for (name, shape), part in zip(shapes.items(), parts, strict=True)}
        return nn.functional.mse_loss(functional_call(model, named, (inputs,)), targets)

    return hessian(loss, parameters_to_vector(model.parameters()).detach())


def trained(name: str) -> tuple[torch.optim.Optimizer, nn.Module, Tensor, Tensor, Tensor]:
    """An optimizer whose averages of squares come from training, and stay; the model back at its minimum."""
    model, inputs, targets = network()
    minimum = parameters_to_vector(model.parameters()).detach().clone()
    kind, options = KINDS[name]
    optimizer = kind(model.parameters(), lr=1e-2, **options)
    vector_to_parameters(minimum + 0.3 * torch.randn(len(minimum), dtype=torch.float64), model.parameters())
    for _ in range(10):
        gradient(model, inputs, targets)
        optimizer.step()
    vector_to_parameters(minimum, model.parameters())
    for group in optimizer.param_groups:
        if "betas" in group:
            group["betas"] = (group["betas"][0], SLOW)
        if "alpha" in group:
            group["alpha"] = SLOW
    for state in optimizer.state.values():
        if "exp_avg" in state:
            state["step"].fill_(1e6)  # from where the corrections of averages no longer change
        for key in ("momentum_buffer", "exp_avg"):
            if key in state:
                state[key].zero_()
    return optimizer, model, inputs, targets, minimum


@pytest.mark.parametrize("name", KINDS)
def test_training_leaves_its_minimum_just_above_the_edge_and_returns_just_below(name: str) -> None:
    distances = {}
    for factor in (0.97, 1.03):
        optimizer, model, inputs, targets, minimum = trained(name)
        scale = preconditioner(optimizer)
        half = torch.ones_like(minimum)
        if scale is not None:
            half = torch.cat([scale[parameter].reshape(-1) for parameter in model.parameters()]).rsqrt()
            assert float(half.max() / half.min()) > 3  # the preconditioner is no multiple of 1
        values, vectors = torch.linalg.eigh(half[:, None] * dense_hessian(model, inputs, targets) * half)
        (bound,) = edge_of_stability(optimizer)
        optimizer.param_groups[0]["lr"] = factor * bound.value * bound.lr / float(values[-1])
        vector_to_parameters(minimum + 1e-7 * half / half.norm() * vectors[:, -1], model.parameters())
        distances[factor] = []
        for _ in range(120):
            gradient(model, inputs, targets)
            optimizer.step()
            distances[factor].append(float((parameters_to_vector(model.parameters()).detach() - minimum).norm()))
    assert max(distances[0.97][-5:]) < 0.9 * max(distances[0.97][20:25])
    assert max(distances[1.03][-5:]) > 1.1 * max(distances[1.03][20:25])
