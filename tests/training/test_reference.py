"""A study, a twin run and a descent of a recipe give the bits of a loop written out here with torch alone."""

import hashlib
import math

import pytest
import torch
from recorded_run import RecordedRun
from torch.nn import functional

from lastbit.divergence import rel_l1, relative_l2
from lastbit.noise import Scale
from lastbit.training.catalogue import load_recipe
from lastbit.training.data import load
from lastbit.training.descent import prepare_descent
from lastbit.training.network import build_model
from lastbit.training.recipe_training import RecipeTraining
from lastbit.training.task import prepare
from lastbit.training.twins import run_twins

SEED, EPOCHS, IMAGES, BATCH, MILESTONES = 3, 3, 150, 64, (1, 2)
STEPS = EPOCHS * math.ceil(IMAGES / BATCH)


def recipe_of(*, augment):
    changes = (
        *(f"epochs={EPOCHS}", f"data.train={IMAGES}", "data.test=100", f"batch_size={BATCH}"),
        *(f"schedule.milestones={list(MILESTONES)}", f"data.augment={str(augment).lower()}"),
        *("measure.fluctuation_epochs=1", "measure.fluctuation_batches=2"),
    )
    return load_recipe("demo", changes=changes)


def reference(recipe, k):
    """Train by SGD with Nesterov's momentum, θ ← θ − (lr k)(d / k); yield loss and weights before each step, and after.

    Everything is written out: the order of images, each image's crop and flip, the schedule, the optimizer.
    """
    data = load("fashion-mini")
    pixels, labels = data.train_images[:IMAGES], data.train_labels[:IMAGES]
    model = build_model(recipe.model, shape=(1, 28, 28), classes=10, seed=0, dtype=torch.float32)
    model = model.to(memory_format=torch.channels_last)
    weights, memory = list(model.parameters()), {}
    stream = int(hashlib.blake2b(f"augmentation/{SEED}".encode(), digest_size=4).hexdigest(), 16)
    order, moves = (torch.Generator().manual_seed(seed) for seed in (SEED, stream))
    lr = 0.1
    for epoch in range(EPOCHS):
        lr = lr * 0.1 if epoch in MILESTONES else lr
        permutation = torch.randperm(IMAGES, generator=order)
        for start in range(0, IMAGES, BATCH):
            chosen = permutation[start : start + BATCH]
            images = moved(pixels[chosen], moves) if recipe.data.augment else pixels[chosen]
            images = images.to(memory_format=torch.channels_last)
            inputs = images.float().div(255).sub(torch.tensor(0.286)).div(torch.tensor(0.353))
            loss = functional.cross_entropy(model(inputs), labels[chosen])
            slopes = torch.autograd.grad(loss, weights)
            yield float(loss.detach()), {name: weight.detach().clone() for name, weight in model.named_parameters()}
            with torch.no_grad():
                for weight, slope in zip(weights, slopes, strict=True):
                    slope = slope.add(weight, alpha=5e-4)
                    memory[weight] = memory[weight].mul(0.9).add(slope) if weight in memory else slope.clone()
                    direction = slope.add(memory[weight], alpha=0.9)
                    weight.add_(direction / k, alpha=-(lr * k))
    yield math.nan, {name: weight.detach().clone() for name, weight in model.named_parameters()}


def moved(images, generator):
    """Each image on a black frame of 4 pixels, cut out again elsewhere, and perhaps mirrored."""
    tops, lefts = torch.randint(0, 9, (2, len(images), 1), generator=generator)[..., 0].tolist()
    mirrored = (torch.rand(len(images), generator=generator) < 0.5).tolist()
    framed = functional.pad(images, (4, 4, 4, 4))
    cut = [image[:, top : top + 28, left : left + 28] for image, top, left in zip(framed, tops, lefts, strict=True)]
    return torch.stack([image.flip(2) if flip else image for image, flip in zip(cut, mirrored, strict=True)])


def equal(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "augmented"])
def trained(request):
    """The recipe, and the reference's losses and weights for each k."""
    recipe = recipe_of(augment=request.param)
    return recipe, {k: list(reference(recipe, k)) for k in (1, 3)}


@pytest.mark.parametrize("k", [1, 3])
def test_a_study_trains_as_the_reference_does(trained, k):
    recipe, expected = trained
    run = RecordedRun(seed=SEED, k=k)
    RecipeTraining(recipe)(run)
    assert sorted(run.weights) == [1, 2, 3, 6, 9]
    assert all(equal(weights, expected[k][step][1]) for step, weights in run.weights.items())
    sizes = [BATCH, BATCH, IMAGES - 2 * BATCH]
    means = [
        sum(loss * size for (loss, _), size in zip(expected[k][start : start + 3], sizes, strict=True)) / IMAGES
        for start in (0, 3, 6)
    ]
    assert [row["train_loss"] for row in run.rows] == means


def test_twins_train_as_the_reference_does(trained):
    recipe, expected = trained
    history = run_twins(recipe, prepare(recipe), noise=Scale(3), baseline=Scale(1), seed=SEED, steps=STEPS).history
    pairs = [(other[1], one[1]) for one, other in zip(expected[1][1:], expected[3][1:], strict=True)]
    assert len(pairs) == STEPS == len(history.steps)
    assert history.relative_l2 == tuple(relative_l2(*pair).value for pair in pairs)
    assert history.rel_l1 == tuple(rel_l1(*pair).value for pair in pairs)
    assert history.relative_l2[-1] > 0


def test_a_descent_trains_as_the_reference_does(trained):
    recipe, expected = trained
    descent = prepare_descent(recipe, seed=SEED).descent
    for point in descent.points(STEPS):
        loss, weights = expected[1][point.step]
        assert equal({name: weight.detach() for name, weight in descent.model.named_parameters()}, weights)
        assert point.step == STEPS or point.loss == loss
    assert point.step == STEPS


def test_full_batch_descent_trains_as_the_reference_does():
    recipe = load_recipe("conv-mnist01", changes=("optimizer.lr=0.5",))
    descent = prepare_descent(recipe).descent
    ((name, kernel),) = descent.model.named_parameters()
    images, labels = prepare(recipe).fixed_batch()
    expected = kernel.detach().clone()
    for _ in descent.points(4):
        assert torch.equal(kernel.detach(), expected)
        weight = expected.clone().requires_grad_()
        logits = torch.func.functional_call(descent.model, {name: weight}, images)
        (slope,) = torch.autograd.grad(functional.cross_entropy(logits, labels), weight)
        expected = expected.add(slope, alpha=-0.5)
