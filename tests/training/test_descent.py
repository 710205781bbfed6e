import math

import pytest
import torch
from recorded_run import RecordedRun
from torch import nn
from torch.nn import functional

from lastbit.training.catalogue import load_recipe
from lastbit.training.descent import Descent, DescentPoint, prepare_descent
from lastbit.training.recipe_training import RecipeTraining


def problem(*, lr, weight_decay=0.0, momentum=0.0):
    """Least squares with one weight for each of three inputs: (1/3) Σ c_i (w_i - 1)², closed form (1 - lr 2c/3)^t."""
    model = nn.Linear(3, 1, bias=False).double()
    nn.init.zeros_(model.weight)
    inputs = torch.diag(torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64))
    data = (inputs, inputs.sum(1, keepdim=True))
    optimizer = torch.optim.SGD(model.parameters(), lr=lr, weight_decay=weight_decay, momentum=momentum)
    return model, functional.mse_loss, data, optimizer


CURVATURE = 2 / 3 * torch.tensor([1.0, 4.0, 9.0], dtype=torch.float64)


@pytest.mark.parametrize("weight_decay", [0.0, 0.3])
def test_is_gradient_descent_in_closed_form(weight_decay):
    lr = 0.1
    model, loss, data, optimizer = problem(lr=lr, weight_decay=weight_decay)
    total = CURVATURE + weight_decay
    for point in Descent(model, loss, data, optimizer).points(20):
        expected = CURVATURE / total * (1 - (1 - lr * total) ** point.step)
        assert torch.allclose(model.weight.detach()[0], expected, rtol=1e-12)
        assert point.loss == pytest.approx(float((CURVATURE / 2 * (expected - 1) ** 2).sum()), rel=1e-12)
        assert not point.diverged
    assert point.step == 20


def test_goes_on_where_it_stopped_and_yields_each_point_once():
    whole = list(Descent(*problem(lr=0.1, momentum=0.5)).points(9))
    descent = Descent(*problem(lr=0.1, momentum=0.5))
    parts = [*descent.points(4), *descent.points(4), *descent.points(9), *descent.points(3)]
    assert parts == whole
    assert descent.losses == [point.loss for point in whole]
    assert descent.step == 9


def test_beyond_the_edge_the_last_point_is_marked():
    model, loss, data, optimizer = problem(lr=2.5 / float(CURVATURE[2]))
    descent = Descent(model, loss, data, optimizer)
    *finite, last = descent.points(10_000)
    assert last == DescentPoint(len(finite), pytest.approx(math.inf), True)
    assert descent.diverged
    assert all(math.isfinite(point.loss) and not point.diverged for point in finite)
    assert list(descent.points(20_000)) == []


def test_takes_one_batch_of_an_iterable_for_each_step():
    model, loss, (inputs, targets), optimizer = problem(lr=0.1)
    batches = ((inputs[i : i + 1], targets[i : i + 1]) for i in (0, 1, 2, 0))
    losses = [point.loss for point in Descent(model, loss, batches, optimizer).points(3)]
    assert losses[:3] == [1.0, 4.0, 9.0]
    assert losses[3] == pytest.approx((1 - 2 * 0.1) ** 2)


def test_a_schedule_is_stepped_after_every_update():
    model, loss, data, optimizer = problem(lr=0.1)
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, [2], gamma=0.5)
    rates = [
        optimizer.param_groups[0]["lr"] for _ in Descent(model, loss, data, optimizer, schedule=schedule).points(3)
    ]
    assert rates == [0.1, 0.1, 0.05, 0.05]


SMALL = ("data.train=300", "data.test=100", "epochs=3", "schedule.milestones=[1]", "measure.fluctuation_epochs=2")


def test_trains_as_a_study_does_bit_for_bit():
    recipe, run = load_recipe("demo", changes=SMALL), RecordedRun(seed=4)
    RecipeTraining(recipe)(run)
    prepared = prepare_descent(recipe, seed=4, measured=50)
    assert not prepared.full_batch
    assert len(prepared.batch[1]) == 50
    for point in prepared.descent.points(9):
        for name, weight in prepared.descent.model.named_parameters():
            if point.step in run.weights:
                assert torch.equal(weight, run.weights[point.step][name])
    assert point.step == 9


def test_a_recipe_without_batch_size_descends_on_all_its_images_at_every_step():
    prepared = prepare_descent(load_recipe("conv-mnist01"), measured=10)
    assert prepared.full_batch
    images, labels = prepared.batch
    assert images.shape == (2128, 1, 28, 28)
    descent = prepared.descent
    points = list(descent.points(3))
    loss = descent.loss(descent.model(images), labels)
    assert points[-1].loss == float(loss.detach())
    assert points[3].loss < points[2].loss < points[1].loss < points[0].loss


def test_learning_rate_and_depth_are_the_recipes():
    recipe = load_recipe("conv3-mnist01", changes=("optimizer.lr=0.5", "optimizer.weight_decay=0.001"))
    descent = prepare_descent(recipe).descent
    assert len(list(descent.model.parameters())) == 3
    before = [weight.detach().clone() for weight in descent.model.parameters()]
    for point in descent.points(1):
        if point.step == 0:
            slopes = [weight.grad.clone() for weight in descent.model.parameters()]
    for weight, old, slope in zip(descent.model.parameters(), before, slopes, strict=True):
        assert torch.allclose(weight.detach(), old - 0.5 * (slope + 0.001 * old), rtol=1e-6)


def test_images_that_are_not_here_are_reported(tmp_path):
    with pytest.raises(ValueError, match="lastbit data fetch cifar10-5k"):
        prepare_descent(load_recipe("fc-cifar10-5k"), root=tmp_path)
