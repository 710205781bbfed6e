"""Quadrature against prescribed spectra."""

import math

import pytest
import torch

from lastbit.curvature import spectrum


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
