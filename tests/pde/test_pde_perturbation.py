"""The perturbed update's exact arithmetic, and RelL1."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lastbit.pde.perturbation import check_k, perturbed_update, relative_l1

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
