import itertools
import json

import numpy as np
import pytest
import torch

from lastbit.explore import edge, training
from lastbit.explore.amplification import amplification, amplification_drawing
from lastbit.explore.layer import (
    BETAS,
    KERNELS,
    LEARNING_RATES,
    MOMENTA,
    SIDE,
    WEIGHT_DECAYS,
    Descent,
    Layer,
)
from lastbit.explore.pictures import MADE
from lastbit.explore.plane import band, bounds_here, plane_drawing
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


@pytest.mark.parametrize("descent", [Descent(0.05, 1.0), Descent(0.05, 1.0, 0.5)])
def test_the_loss_drawn_is_that_of_torch(descent):
    layer = Layer(noise(16, 5), 4, 1.5, 1)
    run = training.train(layer, descent)
    (row,) = training.loss_drawing(run).spec["datasets"]["rows"]
    assert row["x"] == list(range(training.STEPS))
    np.testing.assert_allclose(row["y"], torch_kernels(layer, descent, training.STEPS)[1], rtol=1e-3)
    assert row["curve"] == "stable"


def test_twins_differ_by_the_last_bit_and_then_by_more():
    layer = Layer(MADE["checkerboard"](), 8, 1.0, 1)
    run = training.train(layer, Descent(0.501, 2.24))
    (row,) = training.twins_drawing(run).spec["datasets"]["rows"]
    assert row["y"][0] == 0.0
    assert 0.0 < row["y"][1] < 1e-14
    assert max(row["y"]) > 0.01
    assert training.loss_drawing(run).title.startswith("The instability is restrained")
    assert row["curve"] == "restrained"


@pytest.mark.parametrize("descent", [Descent(0.501, 2.24), Descent(0.251, 2.24, 0.5)])
def test_the_local_factor_is_that_of_the_dense_hessian(descent):
    layer = Layer(MADE["checkerboard"](), 4, 1.0, 1)
    found = edge.crossing(layer, descent)
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


def test_crossings_are_counted_and_said():
    found = edge.Crossing(np.arange(5), np.array([0.5, 1.5, 0.9, 0.8, 3.0]))
    assert found.crossings == 3
    drawn = edge.crossing_drawing(found)
    assert drawn.title == "The local |A| crosses the edge, 1, 3 times in the last 5 updates: 0.5 to 3"
    course, *sides = drawn.spec["datasets"]["rows"]
    assert course["y"] == [0.5, 1.5, 0.9, 0.8, 3.0]
    assert {row["curve"]: row["x"] for row in sides} == {"amplifies": [1, 4], "damps": [0, 2, 3]}


@pytest.mark.parametrize("regime", ["stable", "blow-up"])
def test_no_edge_is_measured_where_no_run_is_restrained(regime, monkeypatch):
    monkeypatch.setattr(edge, "crossing", lambda *given: pytest.fail("measured"))
    drawn = edge.edge_drawing(Layer(noise(8, 0), 4, 1.0, 0), Descent(0.1, 0.1), regime)
    assert drawn.spec is None
    assert "No crossing" in drawn.title


@pytest.mark.parametrize("picture", ["checkerboard", "noise"])
def test_the_corners_of_all_sliders_are_drawn_whatever_blows_up(picture):
    ends = [(values[0], values[-1]) for values in (BETAS, LEARNING_RATES, WEIGHT_DECAYS, MOMENTA)]
    regimes = set()
    for label, corner in itertools.product((0, 1), itertools.product(*ends)):
        layer, descent = Layer(MADE[picture](), KERNELS[0], corner[0], label), Descent(*corner[1:])
        run = training.train(layer, descent)
        regimes.add(run.regime)
        drawn = [
            amplification_drawing(amplification(layer, descent), layer.kernel),
            plane_drawing(band(layer, descent.momentum), bounds_here(layer, descent), descent),
            *training.drawings(run),
            edge.edge_drawing(layer, descent, run.regime),
        ]
        for each in drawn:
            assert each.title
            json.dumps(each.spec, allow_nan=False)
    assert {"stable", "blow-up"} <= regimes


def test_a_run_that_overflows_says_when_and_draws_what_there_was():
    layer = Layer(MADE["checkerboard"](), 8, 1.0, 0)
    run = training.train(layer, Descent(10.0, 100.0))
    assert run.blow_up_step is not None
    drawn = training.loss_drawing(run)
    assert drawn.title == f"Training blows up: not finite after {run.blow_up_step} updates"
    (row,) = drawn.spec["datasets"]["rows"]
    assert np.isfinite(row["y"]).all()
    assert len(row["y"]) >= 2


def test_pictures_are_of_the_size_that_the_page_promises():
    assert {image().shape for image in MADE.values()} == {(SIDE, SIDE)}
