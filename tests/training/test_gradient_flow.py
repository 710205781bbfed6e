import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from lastbit.training.descent import Descent
from lastbit.training.gradient_flow import METHODS, FlowStoppedError, GradientFlow


def regression(seed=0):
    """A linear model of three weights on seven samples, and its mean squared error's Hessian and minimum."""
    generator = torch.Generator().manual_seed(seed)
    inputs, targets = (torch.randn(7, size, generator=generator, dtype=torch.float64) for size in (3, 1))
    model = nn.Linear(3, 1, bias=False).double()
    with torch.no_grad():
        model.weight.copy_(torch.randn(1, 3, generator=generator))
    return model, (inputs, targets), 2 / 7 * inputs.T @ inputs, 2 / 7 * inputs.T @ targets[:, 0]


def exact(model, hessian, pull, weight_decay, time):
    """φ(t) = φ* + exp(−At)(φ₀ − φ*), A = H + wd, Aφ* = pull."""
    matrix = hessian + weight_decay * torch.eye(3, dtype=torch.float64)
    rest = torch.linalg.solve(matrix, pull)
    return rest + torch.linalg.matrix_exp(-matrix * time) @ (model.weight.detach()[0] - rest)


@given(st.integers(0, 1000), st.floats(0, 2), st.floats(0.01, 5), st.sampled_from(sorted(METHODS)))
@settings(max_examples=12)
def test_is_the_closed_form_on_a_linear_regression(seed, weight_decay, time, method):
    model, data, hessian, pull = regression(seed)
    flow = GradientFlow(
        model, functional.mse_loss, data, weight_decay=weight_decay, method=method, rtol=1e-6, atol=1e-8
    )
    flow.advance(time)
    expected = exact(model, hessian, pull, weight_decay, time)
    assert float((flow.weights["weight"][0] - expected).norm()) < 1e-4 * (1 + float(expected.norm()))


@pytest.mark.parametrize(("method", "order"), [("RK23", 3), ("RK45", 5)])
def test_the_step_is_controlled_at_the_methods_order(method, order):
    """A step h of order p has an error estimate of h^p: one of a ten-thousandth takes 1e4^(1/p) times as many steps."""
    model, data, hessian, pull = regression()
    flows = [
        GradientFlow(model, functional.mse_loss, data, method=method, rtol=rtol, atol=rtol) for rtol in (1e-5, 1e-9)
    ]
    errors = []
    for flow in flows:
        flow.advance(3.0)
        errors.append(float((flow.weights["weight"][0] - exact(model, hessian, pull, 0.0, 3.0)).norm()))
    work = math.log(flows[1].evaluations / flows[0].evaluations) / math.log(1e4)
    assert work == pytest.approx(1 / order, abs=0.06)
    assert errors[1] < 1e-2 * errors[0] < 1e-6


def quartic(sign, start=1.0):
    """dφ/dt = ∓φ³, so φ = φ₀ / √(1 ± 2 φ₀² t): it decays, or runs away within a finite time."""
    model = nn.Linear(1, 1, bias=False).double()
    nn.init.constant_(model.weight, start)
    one = torch.ones(1, 1, dtype=torch.float64)
    return model, lambda out, _: sign * (out**4).mean() / 4, (one, one)


def test_follows_a_flow_that_is_not_linear_wherever_it_is_asked():
    flow = GradientFlow(*quartic(1), rtol=1e-8, atol=1e-10)
    for time in (0.0, 0.001, 0.0011, 0.5, 0.5001, 2.0, 40.0):
        flow.advance(time)
        assert float(flow.weights["weight"]) == pytest.approx(1 / math.sqrt(1 + 2 * time), rel=1e-6)
    spent = flow.evaluations
    flow.advance(40.0)
    assert flow.evaluations == spent
    with pytest.raises(ValueError, match=r"time 0.5: the flow has passed .* does not run backwards"):
        flow.advance(0.5)


def test_can_be_taken_up_at_a_later_time():
    flow = GradientFlow(*quartic(1, start=1 / math.sqrt(3)), time=1.0, rtol=1e-8, atol=1e-10)
    flow.advance(4.0)
    assert float(flow.weights["weight"]) == pytest.approx(1 / 3, rel=1e-6)


def test_a_flow_that_runs_away_stops_with_its_time():
    with pytest.raises(FlowStoppedError, match=r"stopped at time 0\.5"):
        GradientFlow(*quartic(-1)).advance(1.0)


def test_descent_comes_closer_in_proportion_to_its_step():
    def distance(lr):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3)).double()
        data = (torch.randn(20, 4, dtype=torch.float64), torch.randint(0, 3, (20,)))
        flow = GradientFlow(
            model, functional.cross_entropy, data, weight_decay=0.1, method="RK45", rtol=1e-6, atol=1e-8
        )
        optimizer = torch.optim.SGD(model.parameters(), lr=lr, weight_decay=0.1)
        for _ in Descent(model, functional.cross_entropy, data, optimizer).points(round(2 / lr)):
            pass
        flow.advance(2.0)
        return flow.distance(model)

    far, near, nearest = (distance(lr) for lr in (0.04, 0.02, 0.01))
    for measure in ("relative_l2", "rel_l1"):
        assert getattr(far, measure) / getattr(near, measure) == pytest.approx(2, rel=0.05)
        assert getattr(near, measure) / getattr(nearest, measure) == pytest.approx(2, rel=0.05)
    assert far.relative_l2 < 0.05


def test_leaves_the_model_alone_and_works_in_float64():
    torch.manual_seed(0)
    model = nn.Linear(3, 2)
    data = (torch.randn(5, 3), torch.tensor([0, 1, 1, 0, 1]))
    before = model.weight.detach().clone()
    flow = GradientFlow(model, functional.cross_entropy, data)
    flow.advance(1.0)
    assert torch.equal(model.weight, before)
    assert model.weight.grad is None
    assert flow.weights["weight"].dtype == torch.float64
    assert 0 < flow.distance(model).relative_l2 < flow.distance(model).rel_l1


def test_an_unknown_method_is_refused():
    with pytest.raises(ValueError, match="method 'Euler': allowed are RK23, RK45, DOP853"):
        GradientFlow(*quartic(1), method="Euler")
