"""Traces against matrices whose trace is known, and standard errors against the spread that they foretell."""

import math

import pytest
import torch
from torch import nn

from lastbit.curvature import HessianOperator, trace


def matrix(values: torch.Tensor, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    basis = torch.linalg.qr(torch.randn(len(values), len(values), generator=generator, dtype=torch.float64))[0]
    return (basis * values) @ basis.T


def test_exact_where_the_subspace_is_everything() -> None:
    result = trace(matrix(torch.tensor([-3.0, -2.0, -1.0, 0.5, 1.0, 2.0, 3.0], dtype=torch.float64)), products=21)
    assert abs(result.value - 0.5) < 1e-12
    assert (result.error, result.matvecs) == (0.0, 14)


def test_exact_for_low_rank() -> None:
    values = torch.zeros(60, dtype=torch.float64)
    values[:4] = torch.tensor([50.0, -20.0, 3.0, 1.0])
    result = trace(matrix(values), products=30)
    assert abs(result.value - 34) < 1e-9
    assert result.error < 1e-9


def test_unbiased_with_an_honest_error() -> None:
    """Over 300 seeds the standardised errors have mean 0 and the spread of a t distribution with 15 degrees."""
    values = torch.linspace(-1, 3, 60, dtype=torch.float64)
    symmetric = matrix(values)
    results = [trace(symmetric, products=48, seed=seed) for seed in range(300)]
    scores = torch.tensor([(r.value - 60.0) / r.error for r in results])
    assert abs(float(scores.mean())) < 4 * float(scores.std()) / math.sqrt(300)
    assert 0.9 < float(scores.std()) / math.sqrt(15 / 13) < 1.15
    assert all(r.matvecs == 48 for r in results)


def test_trace_of_a_linear_regression() -> None:
    inputs = torch.randn(20, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    operator = HessianOperator(nn.Linear(3, 1, bias=False).double(), nn.MSELoss(), (inputs, torch.zeros(20, 1)))
    assert math.isclose(trace(operator).value, 2 * float(inputs.square().sum()) / 20)


def test_too_few_products() -> None:
    with pytest.raises(ValueError, match="products=5 is not allowed"):
        trace(torch.eye(3), products=5)
