"""The schemes' edges against the eigenvalues of one step, and the update against torch.optim.SGD."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from momentum_roots import largest_root, roots

from lastbit.pde.momentum import Momentum, from_damping, to_damping

schemes = st.builds(Momentum, st.floats(0.01, 0.99), st.booleans()) | st.just(Momentum())


@given(scheme=schemes, share=st.floats(1e-3, 1 - 1e-3))
def test_all_roots_lie_inside_the_unit_disc_below_the_edge(scheme, share):
    assert largest_root(scheme, share * scheme.edge) < 1.0


@given(scheme=schemes, excess=st.floats(1e-3, 10.0))
def test_a_root_lies_outside_beyond_either_end(scheme, excess):
    assert largest_root(scheme, scheme.edge * (1.0 + excess)) > 1.0
    assert largest_root(scheme, -excess) > 1.0


@given(scheme=schemes)
def test_the_root_at_the_edge_is_minus_one(scheme):
    assert np.abs(roots(scheme, scheme.edge) + 1.0).min() < 1e-7


@given(scheme=schemes, gain=st.floats(-3.0, 6.0))
def test_amplification_is_the_largest_root(scheme, gain):
    # A double root is found to the square root of the precision only.
    assert scheme.amplification(gain) == pytest.approx(largest_root(scheme, gain), abs=1e-7)


@pytest.mark.parametrize(
    ("scheme", "edge"),
    [
        (Momentum(), 2.0),
        (Momentum(0.9), 3.8),
        (Momentum(0.9, nesterov=True), 3.8 / 2.8),
    ],
)
def test_published_edges(scheme, edge):
    assert scheme.edge == pytest.approx(edge, rel=1e-15)


@given(dt=st.floats(1e-6, 1e3), product=st.floats(0.01, 1.99))
def test_the_paper_parametrisation(dt, product):
    """E.1 in the time step: dt^2 z < 4 (2 + delta) / (6 - delta), and 4/3 bounds it from below for every damping."""
    lr, mu = from_damping(dt, product / dt)
    scheme = Momentum(mu, nesterov=True)
    in_time_step = dt**2 * scheme.edge / lr
    assert in_time_step == pytest.approx(4 * (2 + product) / (6 - product), rel=1e-12)
    assert dt**2 * scheme.damping_free_edge / lr == pytest.approx(4 / 3, rel=1e-12)
    assert scheme.damping_free_edge <= scheme.edge * (1 + 1e-12)
    assert to_damping(lr, mu) == pytest.approx((dt, product / dt), rel=1e-9)


@pytest.mark.parametrize("scheme", [Momentum(), Momentum(0.9), Momentum(0.7, nesterov=True)])
def test_updates_are_those_of_torch(scheme):
    gradients = np.random.RandomState(0).randn(6, 5)
    parameter = torch.zeros(5, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.SGD([parameter], lr=0.3, momentum=scheme.mu, nesterov=scheme.nesterov)
    state, buffer = np.zeros(5), None
    for gradient in gradients:
        parameter.grad = torch.tensor(gradient)
        optimizer.step()
        direction, buffer = scheme.advance(gradient, buffer)
        state = state - 0.3 * direction
    np.testing.assert_allclose(state, parameter.detach().numpy(), rtol=1e-14)


@pytest.mark.parametrize("mu", [-0.1, 1.0, float("nan")])
def test_wrong_momentum_is_named(mu):
    with pytest.raises(ValueError, match=r"momentum must lie in \[0, 1\)"):
        Momentum(mu)


def test_other_wrong_input_is_named():
    with pytest.raises(ValueError, match="Nesterov needs a momentum above 0"):
        Momentum(0.0, nesterov=True)
    with pytest.raises(ValueError, match="for Nesterov momentum only"):
        _ = Momentum(0.9).damping_free_edge
    with pytest.raises(ValueError, match="time step must be positive, not 0"):
        from_damping(0.0, 1.0)
    with pytest.raises(ValueError, match=r"\[0, 2\], not 3.0"):
        from_damping(1.0, 3.0)
    with pytest.raises(ValueError, match="learning rate must be positive, not -1"):
        to_damping(-1.0, 0.5)
    with pytest.raises(ValueError, match=r"\[0, 1\], not 1.5"):
        to_damping(1.0, 1.5)
