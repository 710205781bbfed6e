"""Which edge a training stands at: records of known place, descents on both sides of their edge, and pure noise."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn.functional import mse_loss

import lastbit as lb
from lastbit.curvature import EdgeTest, SharpnessRow, edge_test


def record(full: float, batch: float | None, count: int = 12, spread: float = 0.05) -> list[SharpnessRow]:
    """Rows that come up to their places and vary about them in the last third."""
    ups = [min(1.0, (index + 1) / 6) + spread * (-1) ** index * (index >= 8) for index in range(count)]
    batches = [None if batch is None else {"normalised": up * batch} for up in ups]
    return [
        SharpnessRow(values=(10 * up * full,), residuals=(0.0,), uppers=(0.0,), edges=(20.0,), step=index, batch=known)
        for index, (up, known) in enumerate(zip(ups, batches, strict=True))
    ]


@pytest.mark.parametrize(
    ("full", "batch", "place", "says"),
    [
        (2.05, 0.3, "full-batch edge", "at the edge of full batches: sharpness at 2.05"),
        (0.6, 1.9, "stochastic edge", "at the stochastic edge, below that of full batches: sharpness at 0.6"),
        (0.6, 1.2, "below", "below both edges: sharpness at 0.6, batch sharpness at 1.2 (1.09 to 1.31)"),
        (0.6, None, "not known", "where it stands to that of small ones is not known"),
        (2.05, None, "full-batch edge", "batch sharpness not known"),
    ],
)
def test_a_record_of_known_place_is_named(full: float, batch: float | None, place: str, says: str) -> None:
    test = edge_test(record(full, batch))
    assert test.place == place
    assert says in test.sentence()
    assert test.rows == 4  # the last third


def test_what_stands_within_the_interval_of_an_edge_counts_and_few_rows_do_not() -> None:
    assert edge_test(record(0.6, 1.75, spread=0.2)).place == "stochastic edge"
    assert edge_test(record(0.6, 1.75)).place == "stochastic edge"  # 1.89 is within its interval
    assert edge_test(record(0.6, 1.75), near=0.01).place == "below"
    assert "3 measurements are needed, and it has 2" in edge_test(record(0.6, 1.9, count=6)).sentence()
    assert "it has 0" in edge_test(()).sentence()


def descended(lr: float) -> EdgeTest:
    """Full-batch descent of a small tanh network, its rate raised by 5 % after three quarters."""
    torch.manual_seed(0)
    inputs = torch.randn(40, 6).double()
    targets = torch.sin(2 * inputs @ torch.randn(6, 2).double())
    model = nn.Sequential(nn.Linear(6, 20), nn.Tanh(), nn.Linear(20, 2)).double()
    optimizer = torch.optim.SGD(model.parameters(), lr=lr)
    losses: list[float] = []
    with lb.SharpnessMonitor(model, mse_loss, (inputs, targets), optimizer, every=200, tol=0.01) as monitor:
        for step in range(1600):
            if step == 1200:
                optimizer.param_groups[0]["lr"] *= 1.05
            optimizer.zero_grad()
            loss = mse_loss(model(inputs), targets)
            loss.backward()
            optimizer.step()
            losses.append(float(loss.detach()))
    return edge_test(monitor.rows, losses=losses, raised_at=1200)


def test_a_raise_of_5_percent_throws_descent_off_at_its_edge_and_not_below() -> None:
    """The same network at a third of the rate stays below its edge, whose sharpness does not know the rate."""
    at, below = descended(0.6), descended(0.2)
    assert (at.place, below.place) == ("full-batch edge", "not known")
    assert at.raised is not None
    assert below.raised is not None
    assert at.raised.catapulted
    assert "an instability, not noise" in at.sentence()
    assert not below.raised.catapulted
    assert "no more than without a raise" in below.sentence()


def regressed(generator: np.random.Generator, first: float, second: float) -> NDArray[np.float64]:
    """Losses of 700 steps of SGD on Gaussian linear regression, at two rates in units of its edge in mean square.

    For batches of b in d dimensions, E |w|^2 changes by the factor 1 - 2h + h^2 (d + b + 1) / b, so that the edge is
    2b / (d + b + 1). Batch sharpness, (d + b - 1) / b, puts it at 2b / (d + b - 1).
    """
    features, size = 10, 4
    edge = 2 * size / (features + size + 1)
    weights, losses = np.zeros(features), np.full(700, math.inf)
    for step in range(700):
        inputs = generator.normal(size=(size, features))
        residuals = inputs @ weights - 0.5 * generator.normal(size=size)
        losses[step] = np.square(residuals).mean() / 2
        weights = weights - edge * (first if step < 600 else second) * inputs.T @ residuals / size
        if np.abs(weights).max() > 1e100:
            break
    return losses


def test_noise_is_hardly_ever_called_an_instability_and_a_raise_beyond_the_edge_always() -> None:
    generator = np.random.default_rng(0)
    still = [edge_test((), losses=regressed(generator, 0.5, 0.525).tolist(), raised_at=600) for _ in range(40)]
    thrown = [edge_test((), losses=regressed(generator, 0.5, 1.2).tolist(), raised_at=600) for _ in range(10)]
    assert sum(test.raised.catapulted for test in still if test.raised) <= 2
    assert all(test.raised.catapulted for test in thrown if test.raised)


def test_the_edge_of_linear_regression_in_mean_square_is_what_the_simulations_assume() -> None:
    """One step of many from a fixed distance: E |w'|^2 / |w|^2 = 1 - 2h + h^2 (d + b + 1) / b without label noise."""
    generator, features, size, lr = np.random.default_rng(1), 10, 4, 0.3
    start = np.full(features, 1 / math.sqrt(features))
    inputs = generator.normal(size=(40_000, size, features))
    ends = start - lr * np.einsum("nbd,nb->nd", inputs, inputs @ start) / size
    growth = 1 - 2 * lr + lr**2 * (features + size + 1) / size
    assert float(np.square(ends).sum(1).mean()) == pytest.approx(growth, rel=0.02)


@pytest.mark.parametrize(
    ("losses", "raised_at", "options", "says"),
    [
        ([1.0] * 20, 19, {}, "at least two after the raise"),
        ([1.0] * 20, 0, {}, "raised_at=0"),
        ([1.0] * 20, 5, {}, "6 times as many"),
        ([math.nan] * 60, 40, {}, "not finite and positive"),
        ([1.0] * 60, 40, {"near": 0.0}, "near=0.0"),
    ],
)
def test_wrong_input_is_one_line_of_the_test(
    losses: list[float], raised_at: int, options: dict[str, Any], says: str
) -> None:
    with pytest.raises(lb.LastbitError, match=says):
        edge_test((), losses=losses, raised_at=raised_at, **options)
