import pytest
import torch
from recorded_run import RecordedRun

from lastbit.training.catalogue import load_recipe
from lastbit.training.descent import prepare_descent
from lastbit.training.recipe_training import RecipeTraining

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


def test_images_that_are_not_here_are_said(tmp_path):
    with pytest.raises(ValueError, match="lastbit data fetch cifar10-5k"):
        prepare_descent(load_recipe("fc-cifar10-5k"), root=tmp_path)
