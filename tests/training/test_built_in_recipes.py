"""Every built-in recipe trains at its smallest scale, on a few images: random ones where its own are not bundled."""

import math

import pytest
import torch
from recorded_run import RecordedRun

from lastbit.training import task
from lastbit.training.catalogue import load_recipe, recipe_names
from lastbit.training.data import Dataset, load
from lastbit.training.recipe_training import RecipeTraining

SHAPES = {"cifar10": (3, 32, 32), "fashion-mnist": (1, 28, 28)}
SHAPES |= {f"{name}-5k": shape for name, shape in SHAPES.items()}
FEWER = ("data.train=16", "data.test=8", "batch_size=8")  # than at the smoke scale, which takes 40 s in all


def random_images(name, *, root=None):
    """The data set where it is bundled, else as many random images as any smoke scale asks for."""
    if name not in SHAPES:
        return load(name, root=root)
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (512, *SHAPES[name]), dtype=torch.uint8, generator=generator)
    labels = torch.randint(0, 10, (512,), generator=generator)
    classes = tuple("abcdefghij")
    return Dataset(
        name=name, train_images=images, train_labels=labels, test_images=images, test_labels=labels, classes=classes
    )


@pytest.mark.parametrize("name", recipe_names())
def test_trains_at_smoke_scale(monkeypatch, name):
    monkeypatch.setattr(task, "load", random_images)
    recipe, run = load_recipe(name, scale="smoke", changes=FEWER), RecordedRun(k=3)
    RecipeTraining(recipe)(run)
    assert run.diverged_at is None
    assert len(run.rows) == recipe.epochs
    assert all(math.isfinite(value) for row in run.rows for value in row.values())
    assert run.rows[-1]["gradient_fluctuation" if recipe.measure.fluctuation_epochs == 1 else "lr"] > 0
    assert len(run.predictions) == recipe.data.test
    assert all(weight.dtype == recipe.torch_dtype for weight in run.weights[1].values())
