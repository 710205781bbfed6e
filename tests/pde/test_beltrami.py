"""The Beltrami equation against autograd, its CFL analysis and the restrained band of figure 2."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lastbit.pde.beltrami import Beltrami, noisy_step


def torch_energy(problem, u):
    """E(u) with the gradient written out by slices."""
    squares = torch.full_like(u, problem.epsilon**2)
    for axis in range(u.ndim):
        step = torch.diff(u, dim=axis) / problem.dx
        shape = list(u.shape)
        shape[axis] = 1
        squares = squares + torch.cat([step, torch.zeros(shape, dtype=u.dtype)], dim=axis) ** 2
    return squares.sqrt().sum() + problem.fidelity / 2 * ((u - torch.tensor(problem.f)) ** 2).sum()


@settings(deadline=None, max_examples=50)
@given(
    shape=st.lists(st.integers(1, 6), min_size=1, max_size=3),
    seed=st.integers(0, 999),
    epsilon=st.floats(0.01, 1),
    fidelity=st.floats(0.01, 2),
    dx=st.floats(0.3, 3),
)
def test_velocity_is_minus_the_gradient_of_the_energy(shape, seed, epsilon, fidelity, dx):
    rng = np.random.RandomState(seed)
    problem = Beltrami(rng.randn(*shape), epsilon, fidelity, dx)
    u = torch.tensor(rng.randn(*shape), requires_grad=True)
    energy = torch_energy(problem, u)
    (gradient,) = torch.autograd.grad(energy, u)
    assert problem.energy(u.detach().numpy()) == pytest.approx(energy.item(), rel=1e-12)
    np.testing.assert_allclose(problem.velocity(u.detach().numpy()), -gradient.numpy(), rtol=1e-10, atol=1e-11)


def test_published_cfl_numbers():
    problem = Beltrami(noisy_step(128), epsilon=1e-3, fidelity=0.1)
    assert problem.strict_dt == pytest.approx(4.99988e-4, rel=1e-6)
    assert problem.blow_up_dt == 20.0
    assert problem.blow_up_dt / problem.strict_dt == pytest.approx(4e4, rel=1e-3)


@pytest.mark.parametrize("shape", [(40,), (9, 8)])
def test_local_cfl_is_where_the_frozen_amplification_reaches_minus_one(shape):
    problem = Beltrami(np.random.RandomState(0).randn(*shape), epsilon=0.1, fidelity=0.3, dx=0.7)
    local, q = problem.local_dt(problem.f), problem.gradient_length(problem.f)
    corner = [np.pi / problem.dx] * len(shape)
    np.testing.assert_allclose(problem.amplification(*corner, dt=local, q=q), -1.0, rtol=1e-12)
    omega = np.meshgrid(*[np.linspace(0, np.pi / problem.dx, 7)] * len(shape))
    assert np.abs(problem.amplification(*omega, dt=0.999 * local.min(), q=q.min())).max() < 1.0
    assert problem.strict_dt <= local.min()
    flat = Beltrami(np.zeros(shape), epsilon=0.1, fidelity=0.3, dx=0.7)
    np.testing.assert_allclose(flat.local_dt(flat.f), flat.strict_dt, rtol=1e-12)


@pytest.mark.parametrize("shape", [(64,), (10, 12)])
def test_strict_step_is_the_edge_of_the_exact_hessian_where_flat(shape):
    """At a flat state the frozen coefficients are exact: the Hessian's largest eigenvalue times the step is 2."""
    problem = Beltrami(np.zeros(shape), epsilon=0.05, fidelity=0.2)
    hessian = torch.autograd.functional.hessian(
        lambda u: torch_energy(problem, u), torch.zeros(shape, dtype=torch.float64)
    ).reshape(int(np.prod(shape)), -1)
    sharpness = torch.linalg.eigvalsh(hessian)[-1].item()
    assert sharpness * problem.strict_dt < 2.0
    assert sharpness * problem.strict_dt == pytest.approx(2.0, rel=0.05)


@pytest.mark.parametrize("f", [noisy_step(48), noisy_step(14)[:, None] + 0.05 * np.random.RandomState(1).randn(14, 12)])
def test_stable_solution_is_the_minimiser(f):
    problem = Beltrami(f)
    u = problem.stable_solution()
    assert np.abs(problem.velocity(u)).max() < 1e-9
    rng = np.random.RandomState(0)
    for size in (1e-4, 1e-2, 1.0):
        assert problem.energy(u + size * rng.randn(*f.shape)) > problem.energy(u)


def test_a_stable_step_converges_to_it():
    problem = Beltrami(noisy_step(64), epsilon=0.05)
    u = problem.stable_solution()
    run = problem.simulate(dt=problem.strict_dt, steps=9000, reference=u)
    assert run.measured["deviation"][-1] < 1e-8
    assert (np.diff(run.measured["energy"]) <= 1e-12).all()


def test_beyond_the_strict_step_the_instability_is_restrained():
    """Section 3.2 and figure 2: bounded oscillation whose amplitude grows with the step, blow-up beyond 2 / lambda."""
    problem = Beltrami(noisy_step(128))
    u = problem.stable_solution()
    late = {}
    for factor in (10, 100):
        run = problem.simulate(dt=factor * problem.strict_dt, steps=6000, reference=u)
        assert run.blow_up_step is None
        late[factor] = run.measured["deviation"][-500:].max()
    assert 0.05 < late[10] < 0.2
    assert 0.25 < late[100] < 0.7
    below = problem.simulate(dt=0.9 * problem.blow_up_dt, steps=3000)
    beyond = problem.simulate(dt=1.1 * problem.blow_up_dt, steps=5000)
    assert below.max_abs[-1] < 1e4
    assert beyond.blow_up_step is not None


def test_last_bits_grow_when_restrained_and_not_when_stable():
    problem = Beltrami(noisy_step(64))
    for factor, least, most in ((0.9, 0.0, 1e-14), (100.0, 0.01, 1.0)):
        twins = [problem.simulate(dt=factor * problem.strict_dt, steps=1000, k=k).final for k in (1, 3)]
        assert least <= np.abs(twins[0] - twins[1]).max() <= most


def test_single_precision_stays_single():
    problem = Beltrami(noisy_step(32).astype(np.float32))
    run = problem.simulate(dt=problem.strict_dt, steps=5, start=np.zeros(32), snapshots=(5,))
    assert run.final.dtype == run.snapshots.dtype == np.float32


def test_no_convergence_is_reported():
    with pytest.raises(ArithmeticError, match="did not reach 1e-09 in 2 iterations"):
        Beltrami(noisy_step(32)).stable_solution(iterations=2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epsilon": 0.0}, "epsilon must be positive and finite, not 0.0"),
        ({"fidelity": -1.0}, "fidelity must be positive"),
        ({"dx": 0.0}, "dx must be positive"),
        ({"f": [np.inf]}, "input must be finite"),
    ],
)
def test_wrong_problems_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        Beltrami(**{"f": noisy_step(8), **options})


def test_other_wrong_input_is_named():
    with pytest.raises(ValueError, match=r"of the input's shape \(8,\), not \(9,\)"):
        Beltrami(noisy_step(8)).simulate(dt=0.1, steps=1, start=np.zeros(9))
    with pytest.raises(ValueError, match="at least 2 points, not 1"):
        noisy_step(1)
