import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lastbit.pde.layers.spectrum import BlockSpectrum, Extremes, block_spectrum

torch.set_num_threads(1)


def symmetric(size, seed, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    matrix = torch.randn(size, size, generator=generator, dtype=dtype)
    return matrix + matrix.T


def spectrum_of(matrix, shape=None, **options):
    like = torch.zeros(shape or (len(matrix),), dtype=matrix.dtype)
    settings_ = {"tolerance": 1e-8, "max_products": 200} | options
    return block_spectrum(lambda v: (matrix @ v.flatten()).reshape(v.shape), like, **settings_)


@settings(max_examples=30, deadline=None)
@given(size=st.integers(1, 40), seed=st.integers(0, 10**6))
def test_extremes_are_those_of_the_dense_matrix(size, seed):
    matrix = symmetric(size, seed)
    values = np.linalg.eigvalsh(matrix.numpy())
    found = spectrum_of(matrix)
    scale = abs(values).max()
    assert found.converged
    assert found.lowest == pytest.approx(values[0], abs=1e-10 * scale)
    assert found.highest == pytest.approx(values[-1], abs=1e-10 * scale)


@settings(max_examples=30, deadline=None)
@given(size=st.integers(2, 40), seed=st.integers(0, 10**6), products=st.integers(1, 6))
def test_the_certificate_holds_however_few_products_were_spent(size, seed, products):
    matrix = symmetric(size, seed)
    values = np.linalg.eigvalsh(matrix.numpy())
    found = spectrum_of(matrix, max_products=products)
    rounding = 1e-12 * abs(values).max()
    for value, residual, vector in (
        (found.lowest, found.lowest_residual, found.lowest_vector),
        (found.highest, found.highest_residual, found.highest_vector),
    ):
        assert np.linalg.norm(vector) == pytest.approx(1)
        fresh = matrix.numpy() @ vector - value * vector
        assert residual == pytest.approx(np.linalg.norm(fresh), abs=rounding)
        assert abs(values - value).min() <= residual + rounding
        assert values[0] - rounding <= value <= values[-1] + rounding
    assert found.products == min(products, size) + 2


def test_too_few_products_are_admitted_and_enough_converge():
    matrix = symmetric(60, 0)
    assert not spectrum_of(matrix, max_products=5).converged
    assert spectrum_of(matrix, max_products=60).converged


def test_a_looser_tolerance_spends_less_and_keeps_its_promise():
    matrix = symmetric(300, 1)
    loose, tight = (spectrum_of(matrix, tolerance=t) for t in (1e-2, 1e-6))
    assert loose.products < tight.products
    assert max(loose.lowest_residual, loose.highest_residual) <= 1e-2 * abs(loose.highest)


def test_an_end_at_zero_does_not_stall_the_iteration():
    factor = symmetric(200, 2)[:, :5]
    found = spectrum_of(factor @ factor.T)
    assert found.products < 20
    assert found.lowest == pytest.approx(0, abs=found.resolution)
    assert found.min_weight_decay == 0


def test_the_zero_operator_has_the_spectrum_zero():
    found = spectrum_of(torch.zeros(7, 7))
    assert (found.lowest, found.highest, found.lowest_residual, found.highest_residual) == (0, 0, 0, 0)
    assert found.converged
    assert found.lr_range(0, 2) == (0, math.inf)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_an_operator_that_is_not_finite_gives_nan(bad):
    matrix = symmetric(5, 0)
    matrix[2, 3] = bad
    found = spectrum_of(matrix)
    assert isinstance(found, BlockSpectrum)
    assert math.isnan(found.highest)
    assert math.isnan(found.lowest)
    assert not found.converged


def test_vectors_take_the_shape_asked_for_and_the_random_state_stays():
    before = torch.get_rng_state()
    found = spectrum_of(symmetric(24, 3), shape=(2, 3, 2, 2))
    assert found.highest_vector.shape == (2, 3, 2, 2)
    assert torch.equal(before, torch.get_rng_state())


def test_single_precision_agrees_with_double_to_its_own_rounding():
    matrix = symmetric(50, 4)
    double = spectrum_of(matrix)
    single = spectrum_of(matrix.float(), tolerance=1e-4)
    assert single.highest == pytest.approx(double.highest, rel=1e-5)
    assert single.highest_vector.dtype == np.float32


@settings(max_examples=50, deadline=None)
@given(
    low=st.floats(-5, 5),
    width=st.floats(0, 5),
    weight_decay=st.floats(0, 10),
    lr=st.floats(0.01, 10),
    edge=st.floats(1, 4),
)
def test_both_ranges_say_the_same_as_every_amplification_factor(low, width, weight_decay, lr, edge):
    extremes = Extremes(low, low + width, 0.0)
    gains = lr * (np.linspace(low, low + width, 11) + weight_decay)
    if abs(gains).min() < 1e-9 or abs(gains - edge).min() < 1e-9:
        return  # on a boundary, rounding decides
    stable = bool((gains > 0).all() and (gains < edge).all())
    lower, upper = extremes.lr_range(weight_decay, edge)
    assert (lower < lr < upper) == stable
    lower, upper = extremes.weight_decay_range(lr, edge)
    assert (lower <= weight_decay < upper) == stable


def test_negative_curvature_below_the_resolution_asks_for_no_weight_decay():
    assert Extremes(-1e-9, 1.0, 1e-8).min_weight_decay == 0
    assert Extremes(-1e-7, 1.0, 1e-8).min_weight_decay == 1e-7
