"""Differences, their adjoint, and the bookkeeping of runs."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from lastbit.pde.grid import backward_divergence, forward_differences, run_scheme

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
