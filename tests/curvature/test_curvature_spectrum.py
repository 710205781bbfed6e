"""Quadrature against prescribed spectra, and traces against known ones, with standard errors against their spread."""

import math

import pytest
import torch
from torch import nn

from lastbit.curvature import HessianOperator, spectrum, trace


def matrix(values: torch.Tensor) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    basis = torch.linalg.qr(torch.randn(len(values), len(values), generator=generator, dtype=torch.float64))[0]
    return (basis * values) @ basis.T


VALUES = torch.cat([torch.linspace(-1, 1, 195), torch.tensor([5.0, 6.0, 7.0, 8.0, 20.0])]).double()


def test_weights_are_a_distribution() -> None:
    result = spectrum(matrix(VALUES), probes=4, steps=30)
    torch.testing.assert_close(result.weights.sum(1), torch.ones(4, dtype=torch.float64))
    assert result.weights.min() >= 0
    assert (result.size, result.matvecs) == (200, 120)
    assert math.isclose(float(result.nodes.max()), 20, rel_tol=1e-9)


@pytest.mark.parametrize("power", [1, 2, 3])
def test_moments_within_their_error_bars(power: int) -> None:
    """Over 60 seeds the standardised errors of 20 probes' means spread as a t distribution with 19 degrees does."""
    symmetric, exact = matrix(VALUES), float((VALUES**power).mean())
    estimates = [spectrum(symmetric, probes=20, steps=5, seed=seed).moment(power) for seed in range(60)]
    scores = torch.tensor([(float(e.mean) - exact) / float(e.error) for e in estimates])
    assert abs(float(scores.mean())) < 0.6
    assert 0.75 < float(scores.std()) < 1.5


def test_counts_of_separated_eigenvalues() -> None:
    result = spectrum(matrix(VALUES), probes=60, steps=30)
    thresholds = torch.tensor([-2.0, 3.0, 10.0, 21.0])
    estimate = result.below(thresholds)
    exact = torch.tensor([0.0, 195, 199, 200], dtype=torch.float64) / 200
    assert bool(((estimate.mean - exact).abs() <= 4 * estimate.error + 1e-9).all())
    assert float(estimate.error[1]) < 0.01


def test_density_of_a_blurred_spectrum() -> None:
    points, width = torch.linspace(-2, 22, 25), 1.0
    estimate = spectrum(matrix(VALUES), probes=60, steps=40).density(points, width=width)
    normal = torch.distributions.Normal(VALUES, width)
    exact = normal.log_prob(points.double()[:, None]).exp().mean(1)
    assert bool(((estimate.mean - exact).abs() <= 4 * estimate.error + 1e-6).all())


def test_an_exhausted_krylov_space_is_exact() -> None:
    result = spectrum(torch.diag(torch.tensor([1.0, 1.0, 1.0]).double()), probes=2, steps=5)
    estimate = result.moment(2)
    assert math.isclose(float(estimate.mean), 1)
    assert float(estimate.error) < 1e-12
    assert result.matvecs < 10


def test_wrong_options() -> None:
    with pytest.raises(ValueError, match="probes=1, steps=4 is not allowed"):
        spectrum(torch.eye(3), probes=1, steps=4)
    with pytest.raises(ValueError, match="width=0 is not allowed"):
        spectrum(torch.eye(3), probes=2, steps=2).density(torch.zeros(1), width=0)


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
