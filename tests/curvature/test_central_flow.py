"""The central flow: where it has a closed form, below the edge, in a network past its edge, and its complementarity."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss

import lastbit as lb
from lastbit.curvature import CentralFlow
from lastbit.curvature.flows.complementarity import complementary, coordinates, symmetric
from lastbit.training.gradient_flow import GradientFlow


class Gutter(nn.Module):
    """The loss y x^2 / 2 - slope y: a valley whose curvature y grows by itself, at the rate `slope`."""

    def __init__(self, x: float, y: float) -> None:
        super().__init__()
        self.x, self.y = nn.Parameter(torch.tensor([x])), nn.Parameter(torch.tensor([y]))

    def forward(self, inputs: Tensor) -> Tensor:
        return self.y * self.x**2 / 2 - inputs * self.y


NONE = torch.zeros(1)


def value(outputs: Tensor, targets: Tensor) -> Tensor:
    return outputs.mean()


def test_a_valley_that_steepens_stops_at_the_edge_with_the_variance_of_the_closed_form() -> None:
    """There y = 2 / lr stays, so that x^2 / 2 is the slope on average: the variance is twice the slope.

    The loss is then (2 / lr) (slope) - slope y on average; descent's own average agrees.
    """
    lr, slope, start = 0.5, 0.01, 3.9
    inputs = torch.tensor([slope])
    flow = CentralFlow(Gutter(0.0, start), value, (inputs, NONE), lr)
    below = flow.advance(10)
    assert float(flow.weights["y"]) == pytest.approx(start + 10 * lr * slope)
    assert below.variances in ((), (0.0,))
    assert below.predicted_loss == pytest.approx(below.loss)
    at = flow.advance(40)
    assert at.oscillates
    assert at.sharpness == pytest.approx(2 / lr, rel=1e-6)
    assert at.variances == pytest.approx((2 * slope,), rel=1e-5)
    assert at.loss == pytest.approx(-slope * 2 / lr, rel=1e-5)
    assert at.predicted_loss == pytest.approx(at.loss + slope * 2 / lr, abs=1e-6)
    x, y, squares, losses = 0.12, 4.0, [], []
    for _ in range(800):  # descent beside the flow; it goes round and round, ever so slowly outwards
        squares.append(x * x)
        losses.append(y * x * x / 2 - slope * y)
        x, y = x - lr * y * x, y - lr * (x * x / 2 - slope)
    assert np.mean(squares) == pytest.approx(2 * slope, rel=0.05)
    assert np.mean(losses) == pytest.approx(at.predicted_loss, abs=0.05 * slope * 2 / lr)


def test_two_valleys_at_the_edge_at_once_have_each_their_variance() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.other = Gutter(0.0, 3.9), Gutter(0.0, 3.85)

        def forward(self, inputs: Tensor) -> Tensor:
            return self.one(inputs) + self.other(2 * inputs)

    flow = CentralFlow(Two(), value, (torch.tensor([0.01]), NONE), 0.5)
    at = flow.advance(30)
    assert at.variances == pytest.approx((0.04, 0.02), rel=1e-4)
    assert float(flow.weights["one.y"]) == pytest.approx(4, rel=1e-6)
    assert float(flow.weights["other.y"]) == pytest.approx(4, rel=1e-6)


def test_weight_decay_counts_in_the_edge_and_in_the_slope() -> None:
    """With decay a the curvature along x is y + a, and y falls by a y: at y = 2 / lr - a, x^2 / 2 is slope - a y."""
    lr, slope, decay = 0.5, 0.05, 0.01
    flow = CentralFlow(Gutter(0.0, 3.9), value, (torch.tensor([slope]), NONE), lr, weight_decay=decay)
    at = flow.advance(30)
    edge = 2 / lr - decay
    assert at.sharpness == pytest.approx(2 / lr, rel=1e-6)
    assert float(flow.weights["y"]) == pytest.approx(edge, rel=1e-6)
    assert at.variances == pytest.approx((2 * (slope - decay * edge),), rel=1e-4)
    assert at.predicted_loss - at.loss == pytest.approx(edge * at.variances[0] / 2, rel=1e-6)


def test_below_the_edge_it_is_the_gradient_flow() -> None:
    """On a quadratic every weight decays exponentially; the explicit substeps come near to that as they grow."""
    model = nn.Linear(3, 1, bias=False)
    inputs, targets = torch.diag(torch.tensor([1.0, 2.0, 0.5])), torch.zeros(3, 1)
    start = model.weight.detach().double().clone()
    errors = []
    for substeps in (2, 16):
        flow = CentralFlow(model, mse_loss, (inputs, targets), 0.05, substeps=substeps)
        point = flow.advance(20)
        exact = start * torch.exp(-20 * 0.05 * 2 / 3 * torch.tensor([1.0, 4.0, 0.25], dtype=torch.float64))
        errors.append(float((flow.weights["weight"] - exact).norm() / start.norm()))
        assert not point.oscillates
        assert point.sharpness == pytest.approx(8 / 3)
    assert errors[1] < errors[0] / 6
    assert errors[1] < 2e-3


def test_a_network_is_held_at_its_edge_by_an_oscillation_of_its_own() -> None:
    """A tanh network that comes to the edge after some sixty steps; the gradient flow goes beyond it."""
    torch.manual_seed(0)
    inputs = torch.randn(40, 6).double()
    targets = torch.sin(2 * inputs @ torch.randn(6, 2).double())
    model = nn.Sequential(nn.Linear(6, 20), nn.Tanh(), nn.Linear(20, 2)).double()
    flow = CentralFlow(model, mse_loss, (inputs, targets), 0.6, substeps=2)
    free = GradientFlow(model, mse_loss, (inputs, targets))
    point = flow.advance(72)
    free.advance(0.6 * 72)
    with torch.no_grad():
        for weight, own in zip(model.parameters(), free.weights.values(), strict=True):
            weight.copy_(own)
    assert point.oscillates
    assert point.sharpness == pytest.approx(2 / 0.6, rel=2e-3)
    assert min(point.variances) > -1e-12
    assert point.predicted_loss == pytest.approx(point.loss + sum(point.variances) / 0.6, rel=1e-2)
    assert lb.SharpnessTracker(model, mse_loss, (inputs, targets)).measure().lower > 2 / 0.6
    assert all(weight.dtype == torch.float64 for weight in flow.weights.values())


@pytest.mark.parametrize("count", [1, 2, 4])
def test_complementarity_is_solved_to_its_conditions(count: int) -> None:
    generator = np.random.default_rng(count)
    size = count * (count + 1) // 2
    for _ in range(5):
        features = generator.normal(size=(size, size + 3))
        response = features @ features.T
        drawn = generator.normal(size=(count, count))
        offset = coordinates(drawn + drawn.T)
        found = complementary(offset, response)
        covariance, slack = symmetric(found, count), symmetric(offset + response @ found, count)
        scale = 1 + float(np.abs(offset).max())
        assert float(np.linalg.eigvalsh(covariance)[0]) >= -1e-8 * scale
        assert float(np.linalg.eigvalsh(slack)[0]) >= -1e-5 * scale
        assert abs(float((covariance * slack).sum())) <= 1e-5 * scale


def test_coordinates_keep_lengths_and_come_back() -> None:
    matrix = np.array([[1.0, 2.0, 3.0], [2.0, -1.0, 0.5], [3.0, 0.5, 4.0]])
    flat = coordinates(matrix)
    assert float(flat @ flat) == pytest.approx(float((matrix * matrix).sum()))
    assert symmetric(flat, 3) == pytest.approx(matrix)


def test_wrong_input_of_the_flow_is_one_line() -> None:
    model, batch = nn.Linear(2, 1), (torch.ones(3, 2), torch.ones(3, 1))
    for lr, substeps, says in ((0.0, 4, "lr=0.0"), (math.inf, 4, "lr=inf"), (0.1, 1, "substeps=1")):
        with pytest.raises(lb.LastbitError, match=says):
            CentralFlow(model, mse_loss, batch, lr, substeps=substeps)
    flow = CentralFlow(model, mse_loss, batch, 0.1)
    flow.advance(2)
    with pytest.raises(lb.LastbitError, match="does not run backwards"):
        flow.advance(1)
    with torch.no_grad():
        model.weight.fill_(math.nan)
    with pytest.raises(lb.LastbitError, match="cannot be followed"):
        CentralFlow(model, mse_loss, batch, 0.1).advance(1)
