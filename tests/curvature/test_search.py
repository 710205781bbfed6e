"""Eigenpairs of matrices with prescribed spectra, cold and warm, against what is prescribed."""

import math
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from lastbit.curvature.search import FoundPairs, WarmSearch
from lastbit.curvature.subspace import Counted, lanczos, miss_probability, steps_needed


def rotation(size: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.linalg.qr(torch.randn(size, size, generator=generator, dtype=torch.float64))[0]


def matrix(spectrum: list[float] | Tensor, seed: int = 0) -> Tensor:
    values = torch.as_tensor(spectrum, dtype=torch.float64)
    basis = rotation(len(values), seed)
    symmetric = (basis * values) @ basis.T
    return (symmetric + symmetric.T) / 2


def searching(k: int = 1, tol: float = 1e-3, seed: int = 0) -> WarmSearch:
    return WarmSearch(k, tol, 400, torch.Generator().manual_seed(seed))


def assert_certified(found: FoundPairs, spectrum: Tensor, k: int, tol: float) -> None:
    """Each eigenvalue between the value of its rank and its bound, every bound near its value."""
    top = spectrum.sort(descending=True).values[:k]
    values, residuals = found.pairs.ritz.values, found.pairs.ritz.residual_norms()
    slack = 1e-12 * float(spectrum.abs().max()) + 1e-300
    assert bool((values <= top + slack).all())
    assert bool((top <= found.pairs.uppers + slack).all())
    assert bool((found.pairs.uppers <= values + residuals + slack).all())
    assert bool((found.pairs.slack <= tol * values.abs().max() + slack).all())


SPECTRA = {
    "one outlier": [10.0, *np.linspace(0, 1, 59)],
    "clustered top": [5.0, 4.999, 4.998, 4.99, 4.95, *np.linspace(-1, 1, 55)],
    "multiple top": [3.0, 3.0, 3.0, *np.linspace(-1, 1, 57)],
    "negative dominated": [1.0, 0.9, *np.linspace(-100, -1, 58)],
    "negative definite": list(np.linspace(-50, -0.1, 60)),
    "geometric": list(2.0 ** -np.arange(60)),
    "hidden above a cluster": [1.0, *([0.9] * 58), 0.0],
    "one point": [2.0] * 60,
    "zero": [0.0] * 60,
}


@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize("name", SPECTRA)
def test_a_cold_start_finds_the_top_of_any_spectrum(name: str, k: int) -> None:
    spectrum = torch.tensor(SPECTRA[name], dtype=torch.float64)
    assert_certified(searching(k).largest(Counted(matrix(spectrum)), probe=True), spectrum, k, 1e-3)


@settings(deadline=None, max_examples=60)
@given(
    spectrum=st.lists(st.floats(-100, 100).map(lambda x: round(x, 3)), min_size=1, max_size=30),
    k=st.integers(1, 4),
    tol=st.sampled_from([1e-2, 1e-3, 1e-6]),
    seed=st.integers(0, 5),
)
def test_cold_starts_on_drawn_spectra(spectrum: list[float], k: int, tol: float, seed: int) -> None:
    k = min(k, len(spectrum))
    values = torch.tensor(spectrum, dtype=torch.float64)
    assert_certified(searching(k, tol, seed).largest(Counted(matrix(values, seed)), probe=True), values, k, tol)


@pytest.mark.parametrize("size", [1, 2, 5])
def test_every_pair_of_a_small_matrix(size: int) -> None:
    spectrum = torch.linspace(-1, 1, size, dtype=torch.float64)
    found = searching(size, 1e-8).largest(Counted(matrix(spectrum)), probe=True)
    torch.testing.assert_close(found.pairs.ritz.values, spectrum.flip(0), rtol=0, atol=1e-8)


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 100), speed=st.sampled_from([1e-3, 1e-2, 0.1]), k=st.integers(1, 3))
def test_warm_starts_follow_a_drifting_matrix(seed: int, speed: float, k: int) -> None:
    search, base, drift = searching(k), matrix(SPECTRA["geometric"], seed), matrix(SPECTRA["one outlier"], seed + 1)
    for step in range(8):
        current = base + speed * step * drift / 10
        found = search.largest(Counted(current), probe=False)
        assert_certified(found, torch.linalg.eigvalsh(current), k, 1e-3)


def test_a_warm_start_on_the_same_matrix_costs_k_products() -> None:
    search, fixed = searching(2, 1e-6), matrix([10.0, 8.0, *np.linspace(0, 1, 198)])
    search.largest(Counted(fixed), probe=True)
    again = Counted(fixed)
    assert search.largest(again, probe=False).probed == 0
    assert again.products == 2


def test_a_probe_finds_a_top_orthogonal_to_the_warm_start() -> None:
    """The old top stays an exact eigenvector, so its residual is zero, but a larger one has risen elsewhere."""
    spectrum = torch.tensor([10.0, *([1.0] * 99)], dtype=torch.float64)
    search, basis = searching(), rotation(100, 0)
    search.largest(Counted((basis * spectrum) @ basis.T), probe=True)
    spectrum[57] = 20.0
    risen = (basis * spectrum) @ basis.T
    blind = searching()
    blind._history = list(search._history)
    assert_certified(search.largest(Counted(risen), probe=True), spectrum, 1, 1e-3)
    # Without the probe nothing but the vector beside the top could see it.
    assert float(blind.largest(Counted(risen), probe=False).pairs.ritz.values[0]) <= 20.0


def alternating_with_a_rival(seed: int, steps: int) -> Iterator[tuple[Tensor, float]]:
    """Two sides of a valley in turn, on each of which the second eigenvalue rises past the first, and the largest."""
    generator = torch.Generator().manual_seed(seed)
    sides = [rotation(80, seed), turned(rotation(80, seed), 0.3, generator)]
    spectrum = torch.cat([torch.tensor([40.0, 30.0, 26.0]), 22 * 0.9 ** torch.arange(77)]).double()
    for step in range(steps):
        spectrum[1] = 30 * (1 + 0.015 * max(0, step - 10))
        sides = [turned(side, 0.01, generator) for side in sides]
        yield (sides[step % 2] * spectrum) @ sides[step % 2].T, float(spectrum.max())


def turned(basis: Tensor, amount: float, generator: torch.Generator) -> Tensor:
    skew = torch.randn(len(basis), len(basis), generator=generator, dtype=torch.float64)
    return torch.linalg.matrix_exp(amount * (skew - skew.T) / len(basis) ** 0.5) @ basis


@pytest.mark.parametrize("seed", range(4))
def test_a_rival_that_rises_on_both_sides_of_a_valley_is_not_lost(seed: int) -> None:
    search = searching(seed=seed)
    for step, (current, top) in enumerate(alternating_with_a_rival(seed, 40)):
        # A probe on either side every tenth step shows the rival long before it passes; then it must be kept.
        found = search.largest(Counted(current), probe=step % 10 < 2)
        assert top <= float(found.pairs.uppers[0]) * (1 + 1e-9)


def test_another_matrix_is_noticed_without_being_asked() -> None:
    search = searching()
    search.largest(Counted(matrix(SPECTRA["one outlier"], 0)), probe=True)
    other = torch.tensor(SPECTRA["clustered top"], dtype=torch.float64)
    found = search.largest(Counted(matrix(other, 99)), probe=False)
    assert found.probed > 0
    assert_certified(found, other, 1, 1e-3)


def test_the_next_eigenvalue_is_watched_before_it_can_pass() -> None:
    """Two eigenvectors fixed in space whose eigenvalues cross: the first one's residual stays zero."""
    search, basis = searching(), rotation(80, 3)
    for step in range(12):
        spectrum = torch.linspace(0, 1, 80, dtype=torch.float64)
        spectrum[7], spectrum[9] = 10.0, 9.5 * 1.01**step
        found = search.largest(Counted((basis * spectrum) @ basis.T), probe=False)
        assert_certified(found, spectrum, 1, 1e-3)


@pytest.mark.parametrize("seed", range(3))
def test_a_second_eigenvalue_that_passes_slowly_is_followed(seed: int) -> None:
    """Both eigenvectors turn a little at each step, and between two looks at the second nothing else shows it."""
    generator = torch.Generator().manual_seed(seed)
    search, basis = searching(seed=seed), rotation(80, seed)
    spectrum = 20 * 0.93 ** torch.arange(80, dtype=torch.float64)
    for step in range(16):
        spectrum[0], spectrum[1] = 40.0, 36 * 1.01**step
        current = (basis * spectrum) @ basis.T
        assert_certified(search.largest(Counted((current + current.T) / 2), probe=False), spectrum, 1, 1e-3)
        skew = torch.randn(80, 80, generator=generator, dtype=torch.float64)
        basis = torch.matrix_exp(0.002 * (skew - skew.T) / 80**0.5) @ basis


@pytest.mark.parametrize("leak", [0.02, 0.05, 0.1])
def test_an_eigenvalue_risen_beside_the_top_is_taken_into_account(leak: float) -> None:
    """No recycled pair shows the new second eigenvalue, which holds nearly all of the start's residual."""
    search, basis = searching(), rotation(80, 5)
    spectrum = torch.tensor([10.0, *np.linspace(0, 5, 79)], dtype=torch.float64)
    search.largest(Counted((basis * spectrum) @ basis.T), probe=True)
    spectrum[40] = 9.25
    turned = basis.clone()
    turned[:, 0] = math.cos(leak) * basis[:, 0] - math.sin(leak) * basis[:, 40]
    turned[:, 40] = math.sin(leak) * basis[:, 0] + math.cos(leak) * basis[:, 40]
    assert_certified(search.largest(Counted((turned * spectrum) @ turned.T), probe=False), spectrum, 1, 1e-3)


def test_a_matrix_with_nan_is_forgotten() -> None:
    search, good = searching(), matrix(SPECTRA["one outlier"])
    search.largest(Counted(good), probe=True)
    bad = search.largest(Counted(good * torch.nan), probe=False)
    assert not bool(bad.pairs.ritz.residual_norms().isfinite().any())
    assert_certified(search.largest(Counted(good), probe=False), torch.tensor(SPECTRA["one outlier"]).double(), 1, 1e-3)


@pytest.mark.parametrize("steps", [2, 4, 6])
def test_random_starts_miss_no_more_often_than_the_bound_says(steps: int) -> None:
    spectrum = torch.tensor([1.0, *([0.0] * 30), *np.linspace(0, 0.5, 69)], dtype=torch.float64)
    gap, trials = 0.5, 200
    generator = torch.Generator().manual_seed(1)
    diagonal = Counted(torch.diag(spectrum))
    found = [float(lanczos(diagonal, steps, generator).ritz(1).values[0]) for _ in range(trials)]
    missed = sum(value < 1.0 - gap for value in found) / trials
    assert missed <= miss_probability(100, steps, gap)


def test_steps_bring_the_bound_under_the_probability() -> None:
    for size in (10, 1000, 10**6):
        steps = steps_needed(size, 0.1, 0.01)
        assert miss_probability(size, steps, 0.1) <= 0.01
        assert steps == size or miss_probability(size, steps - 1, 0.1) > 0.01
    assert steps_needed(656_810, 0.1, 0.01) == 20
    assert miss_probability(5, 5, 0.1) == 0
