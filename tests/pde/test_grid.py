"""The perturbed update's exact arithmetic, RelL1, differences, their adjoint, and the bookkeeping of runs."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from lastbit.pde.grid import (
    backward_divergence,
    check_k,
    forward_differences,
    perturbed_update,
    relative_l1,
    run_scheme,
)

fields = hnp.arrays(np.float64, hnp.array_shapes(min_dims=1, max_dims=3, max_side=5), elements=st.floats(-10, 10))


@given(u=fields, seed=st.integers(0, 99), dx=st.floats(0.1, 10))
def test_divergence_is_minus_the_adjoint_of_the_gradient(u, seed, dx):
    gradient = forward_differences(u, dx)
    assert gradient.shape == (u.ndim, *u.shape)
    flux = np.random.RandomState(seed).randn(*gradient.shape)
    left, right = np.sum(gradient * flux), -np.sum(u * backward_divergence(flux, dx))
    np.testing.assert_allclose(left, right, atol=1e-8 * (1 + np.abs(gradient).sum()))


def test_differences_by_hand():
    gradient = forward_differences(np.array([[1.0, 2.0], [4.0, 8.0]]), 0.5)
    np.testing.assert_array_equal(gradient[0], [[6.0, 12.0], [0.0, 0.0]])
    np.testing.assert_array_equal(gradient[1], [[2.0, 0.0], [8.0, 0.0]])
    np.testing.assert_array_equal(backward_divergence(np.array([[1.0, 5.0, 7.0]]), 0.5), [2.0, 8.0, -10.0])


def test_a_run_records_what_it_is_asked():
    run = run_scheme(
        lambda u: -u,
        np.array([2.0, -4.0]),
        dt=0.5,
        steps=3,
        snapshots=(0, 2, 3),
        measures={"sum": lambda u: u.sum()},
    )
    np.testing.assert_array_equal(run.final, [0.25, -0.5])
    np.testing.assert_array_equal(run.max_abs, [4.0, 2.0, 1.0, 0.5])
    np.testing.assert_array_equal(run.measured["sum"], [-2.0, -1.0, -0.5, -0.25])
    np.testing.assert_array_equal(run.snapshots, [[2.0, -4.0], [0.5, -1.0], [0.25, -0.5]])
    assert run.blow_up_step is None


def test_a_run_stops_when_it_overflows_and_keeps_what_it_reached():
    run = run_scheme(lambda u: u, np.array([1e200]), dt=1e100, steps=9, snapshots=(0, 1, 2, 5))
    assert run.blow_up_step == 2
    assert run.snapshot_steps == (0, 1, 2)
    assert np.isinf(run.snapshots[-1]).all()


def test_no_steps_is_the_start():
    run = run_scheme(lambda u: u, np.array([1.0]), dt=1.0, steps=0)
    assert run.max_abs.tolist() == [1.0]
    assert run.snapshots.shape == (0, 1)


states = st.integers(0, 2**31).map(lambda seed: np.random.RandomState(seed).randn(2, 50))


@given(state=states, k=st.sampled_from([2, 4, 8, 64]), dtype=st.sampled_from([np.float32, np.float64]))
def test_powers_of_two_change_no_bit(state, k, dtype):
    u, velocity = state.astype(dtype)
    np.testing.assert_array_equal(perturbed_update(u, velocity, 0.1, k), u + dtype(0.1) * velocity)


@given(state=states, k=st.sampled_from([3, 5, 7, 9, 11]))
def test_odd_k_and_its_double_agree_and_move_the_last_bits_only(state, k):
    u, velocity = state
    perturbed = perturbed_update(u, velocity, 0.1, k)
    np.testing.assert_array_equal(perturbed, perturbed_update(u, velocity, 0.1, 2 * k))
    plain = u + 0.1 * velocity
    assert np.abs(perturbed - plain).max() <= 4 * np.spacing(np.maximum(np.abs(u), np.abs(velocity))).max()


def test_odd_k_does_change_some_bits():
    u, velocity = np.random.RandomState(0).randn(2, 10_000).astype(np.float32)
    changed = perturbed_update(u, velocity, 0.1, 3) != perturbed_update(u, velocity, 0.1)
    assert 0.005 < changed.mean() < 0.2


def test_the_rate_times_k_is_formed_in_double_and_rounded_once():
    rate, velocity = 0.1, np.float32([1.0])
    expected = np.float32(0.1 * 7) * (velocity / np.float32(7))
    assert perturbed_update(np.zeros(1, np.float32), velocity, rate, 7) == expected


def test_relative_l1_by_hand():
    a, b = np.array([1.0, 0.0, 3.0, -1.0]), np.array([1.0, 0.0, 1.0, 1.0])
    assert relative_l1(a, b) == pytest.approx((0 + 0 + 2 * 2 / 4 + 2) / 4)


@given(state=states)
def test_relative_l1_is_symmetric_and_bounded(state):
    a, b = state
    assert relative_l1(a, b) == relative_l1(b, a)
    assert 0.0 < relative_l1(a, b) <= 2.0
    assert relative_l1(a, a) == 0.0


def test_relative_l1_of_extremes():
    huge = np.array([1.7e308])
    assert relative_l1(huge, -huge) == 2.0
    assert np.isnan(relative_l1(np.array([np.inf]), huge))


@pytest.mark.parametrize("k", [0, -3, 1.5])
def test_wrong_k_is_named(k):
    with pytest.raises(ValueError, match=f"at least 1, not {k}"):
        check_k(k)
