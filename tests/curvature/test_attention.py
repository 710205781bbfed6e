"""Networks with torch's attention, whose quick kernels have no second derivative."""

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from lastbit.curvature import HessianOperator


class Attention(nn.Module):
    """One causal head."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.project = nn.Linear(4, 12)

    def forward(self, inputs: Tensor) -> Tensor:
        query, key, value = self.project(inputs).chunk(3, dim=-1)
        return functional.scaled_dot_product_attention(query, key, value, is_causal=True)


def by_hand(weights: dict[str, Tensor], inputs: Tensor) -> Tensor:
    query, key, value = (inputs @ weights["project.weight"].T + weights["project.bias"]).chunk(3, dim=-1)
    hidden = torch.full((5, 5), -torch.inf, dtype=inputs.dtype).triu(1)
    return ((query @ key.transpose(-1, -2) / 2 + hidden).softmax(-1) @ value).square().mean()


def test_products_with_the_hessian_of_attention() -> None:
    model = Attention()
    inputs = torch.randn(3, 5, 4, generator=torch.Generator().manual_seed(1))
    weights = {name: parameter.detach().double() for name, parameter in model.named_parameters()}

    def value(flat: Tensor) -> Tensor:
        weight, bias = flat.split([48, 12])
        return by_hand({"project.weight": weight.reshape(12, 4), "project.bias": bias}, inputs.double())

    exact = torch.autograd.functional.hessian(value, torch.cat([weight.reshape(-1) for weight in weights.values()]))
    operator = HessianOperator(model, lambda outputs, targets: outputs.square().mean(), (inputs, torch.zeros(3)))
    torch.testing.assert_close((operator @ torch.eye(60)).double(), exact, rtol=1e-4, atol=1e-6)
    outputs = functional_call(model, {k: w.float() for k, w in weights.items()}, (inputs,))
    torch.testing.assert_close(outputs.square().mean(), by_hand(weights, inputs.double()).float())
