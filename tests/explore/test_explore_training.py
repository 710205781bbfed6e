import itertools
import json

import numpy as np
import pytest
import torch

from lastbit.explore import training
from lastbit.explore.layer import (
    BETAS,
    KERNELS,
    LEARNING_RATES,
    MOMENTA,
    PICTURES,
    SIDE,
    WEIGHT_DECAYS,
    DescentSettings,
    Layer,
)
from lastbit.explore.theory import amplification, amplification_figure, band, bounds_here, plane_figure
from lastbit.pde import noise, random_kernel


def torch_loss(layer, kernel, weight_decay):
    """The layer's loss by torch, of a kernel (W, W)."""
    image = torch.from_numpy(np.array(layer.image))[None, None]
    response = torch.nn.functional.conv2d(image, kernel[None, None])
    pooled = (response * torch.sigmoid(layer.beta * response)).mean()
    target = torch.tensor(float(layer.label), dtype=torch.float64)
    return torch.nn.functional.binary_cross_entropy_with_logits(pooled, target) + weight_decay / 2 * (kernel**2).sum()


def torch_kernels(layer, descent, steps):
    """Kernels before each update of torch's SGD, and the losses there."""
    kernel = torch.from_numpy(random_kernel(layer.kernel, 7)).requires_grad_()
    optimizer = torch.optim.SGD([kernel], lr=descent.lr, momentum=descent.momentum)
    kernels, losses = [], []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = torch_loss(layer, kernel, descent.weight_decay)
        loss.backward()
        kernels.append(kernel.detach().clone())
        losses.append(loss.item())
        optimizer.step()
    return kernels, losses


@pytest.mark.parametrize("descent", [DescentSettings(0.05, 1.0), DescentSettings(0.05, 1.0, 0.5)])
def test_the_loss_drawn_is_that_of_torch(descent):
    layer = Layer(noise(16, 5), 4, 1.5, 1)
    run = training.train(layer, descent)
    (row,) = training.loss_figure(run).rows
    assert row["x"] == list(range(training.STEPS))
    np.testing.assert_allclose(row["y"], torch_kernels(layer, descent, training.STEPS)[1], rtol=1e-3)
    assert row["curve"] == "stable"


def test_twins_differ_by_the_last_bit_and_then_by_more():
    layer = Layer(PICTURES["checkerboard"](), 8, 1.0, 1)
    run = training.train(layer, DescentSettings(0.501, 2.24))
    (row,) = training.twins_figure(run).rows
    assert row["y"][0] == 0.0
    assert 0.0 < row["y"][1] < 1e-14
    assert max(row["y"]) > 0.01
    assert training.loss_figure(run).title.startswith("The instability is restrained")
    assert row["curve"] == "restrained"


@pytest.mark.parametrize("descent", [DescentSettings(0.501, 2.24), DescentSettings(0.251, 2.24, 0.5)])
def test_the_local_factor_is_that_of_the_dense_hessian(descent):
    layer = Layer(PICTURES["checkerboard"](), 4, 1.0, 1)
    found = training.crossing(layer, descent)
    kernels, _ = torch_kernels(layer, descent, training.STEPS)
    assert found.step.tolist() == list(range(training.STEPS - 24, training.STEPS))
    for step, factor in list(zip(found.step, found.amplification, strict=True))[:3]:
        hessian = torch.autograd.functional.hessian(
            lambda kernel: torch_loss(layer, kernel, descent.weight_decay), kernels[step]
        ).reshape(16, 16)
        roots = [
            max(abs(np.roots([1.0, -(1.0 + descent.momentum - descent.lr * value), descent.momentum])))
            for value in np.linalg.eigvalsh(hessian.numpy())
        ]
        assert factor == pytest.approx(max(roots), rel=1e-3)


def test_crossings_are_counted_and_reported():
    found = training.Crossing(np.arange(5), np.array([0.5, 1.5, 0.9, 0.8, 3.0]))
    assert found.crossings == 3
    drawn = training.crossing_figure(found)
    assert drawn.title == "The local |A| crosses the edge, 1, 3 times in the last 5 updates: 0.5 to 3"
    course, *sides = drawn.rows
    assert course["y"] == [0.5, 1.5, 0.9, 0.8, 3.0]
    assert {row["curve"]: row["x"] for row in sides} == {"amplifies": [1, 4], "damps": [0, 2, 3]}


@pytest.mark.parametrize("regime", ["stable", "blow-up"])
def test_no_edge_is_measured_where_no_run_is_restrained(regime, monkeypatch):
    monkeypatch.setattr(training, "crossing", lambda *given: pytest.fail("measured"))
    drawn = training.edge_figure(Layer(noise(8, 0), 4, 1.0, 0), DescentSettings(0.1, 0.1), regime)
    assert drawn.chart is None
    assert "No crossing" in drawn.title


@pytest.mark.parametrize("picture", ["checkerboard", "noise"])
def test_the_corners_of_all_sliders_are_drawn_whatever_blows_up(picture):
    ends = [(values[0], values[-1]) for values in (BETAS, LEARNING_RATES, WEIGHT_DECAYS, MOMENTA)]
    regimes = set()
    for label, corner in itertools.product((0, 1), itertools.product(*ends)):
        layer, descent = Layer(PICTURES[picture](), KERNELS[0], corner[0], label), DescentSettings(*corner[1:])
        run = training.train(layer, descent)
        regimes.add(run.regime)
        drawn = [
            amplification_figure(amplification(layer, descent), layer.kernel),
            plane_figure(band(layer, descent.momentum), bounds_here(layer, descent), descent),
            training.loss_figure(run),
            training.twins_figure(run),
            training.edge_figure(layer, descent, run.regime),
        ]
        for figure in drawn:
            assert figure.title
            json.dumps(figure.spec() if figure.is_drawn else None, allow_nan=False)
    assert {"stable", "blow-up"} <= regimes


def test_a_run_that_overflows_says_when_and_draws_what_there_was():
    layer = Layer(PICTURES["checkerboard"](), 8, 1.0, 0)
    run = training.train(layer, DescentSettings(10.0, 100.0))
    assert run.blow_up_step is not None
    drawn = training.loss_figure(run)
    assert drawn.title == f"Training blows up: not finite after {run.blow_up_step} updates"
    (row,) = drawn.rows
    assert np.isfinite(row["y"]).all()
    assert len(row["y"]) >= 2


def test_pictures_are_of_the_size_that_the_page_promises():
    assert {image().shape for image in PICTURES.values()} == {(SIDE, SIDE)}
