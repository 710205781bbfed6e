import base64
import io
import pickle
from itertools import islice

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from recorded_run import RecordedRun
from sklearn.metrics import accuracy_score, log_loss
from torch import nn
from torch.nn import functional

from lastbit.divergence import rel_l1
from lastbit.noise import Order, Rounding, Ulp, Unperturbed
from lastbit.training.catalogue import load_recipe
from lastbit.training.data import load
from lastbit.training.evaluation import evaluate, gradient_fluctuation
from lastbit.training.network import build_model
from lastbit.training.recipe_training import RecipeTraining, _picture, snapshot_steps
from lastbit.training.task import prepare

SMALL = ("data.train=300", "data.test=100", "epochs=3", "schedule.milestones=[1]", "measure.fluctuation_epochs=2")


def train(*changes, seed=1, k=1, noise=None, recipe="demo"):
    run = RecordedRun(seed=seed, k=k, noise=noise)
    RecipeTraining(load_recipe(recipe, changes=(*SMALL, *changes)))(run)
    return run


def same(one, other):
    return one.rows == other.rows and all(
        torch.equal(weight, other.weights[step][name])
        for step, kept in one.weights.items()
        for name, weight in kept.items()
    )


def test_equals_the_same_training_written_out_with_torch_alone():
    data = load("fashion-mini")
    images = (data.train_images[:300].float().div(255).sub(torch.tensor(0.286))).div(torch.tensor(0.353))
    labels = data.train_labels[:300]
    model = build_model(load_recipe("demo").model, shape=(1, 28, 28), classes=10, seed=0, dtype=torch.float32)
    model, images = (part.to(memory_format=torch.channels_last) for part in (model, images))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, nesterov=True, weight_decay=5e-4)
    order = torch.Generator().manual_seed(1)
    for epoch in range(3):
        optimizer.param_groups[0]["lr"] = 0.1 if epoch < 1 else 0.1 * 0.1
        permutation = torch.randperm(300, generator=order)
        for start in (0, 128, 256):
            chosen = permutation[start : start + 128]
            optimizer.zero_grad()
            functional.cross_entropy(model(images[chosen]), labels[chosen]).backward()
            optimizer.step()
    run = train()
    assert all(torch.equal(run.weights[9][name], weight.detach()) for name, weight in model.named_parameters())


def test_logs_each_epoch_and_keeps_weights_on_schedule():
    run = train()
    assert [row["step"] for row in run.rows] == [3, 6, 9]
    assert [row["epoch"] for row in run.rows] == [1, 2, 3]
    assert [row["lr"] for row in run.rows] == pytest.approx([0.1, 0.01, 0.01])
    assert ["gradient_fluctuation" in row for row in run.rows] == [False, True, False]
    assert sorted(run.weights) == [1, 2, 3, 6, 9]
    assert run.predictions.shape == (100,)
    labels = load("fashion-mini").test_labels[:100]
    assert torch.equal(run.targets, labels)
    assert run.rows[-1]["test_accuracy"] == 100 * float((run.predictions == labels).double().mean())
    assert run.diverged_at is None


def test_learns():
    run = train("data.train=1000", "epochs=4", "schedule.milestones=[]")
    assert run.rows[-1]["train_loss"] < 1.0 < run.rows[0]["train_loss"]
    assert run.rows[-1]["test_accuracy"] > 50


def test_repeats_bit_for_bit_and_powers_of_two_change_nothing():
    assert same(train(), train())
    assert same(train(k=1), train(k=4))
    assert not same(train(k=1), train(k=3))
    assert not same(train(seed=1), train(seed=2))


NULLS = [Ulp(None), Rounding(0, 0), Order(None), Unperturbed()]
NOISES = [Ulp(1), Rounding(0.1, 1), Order(1)]


@pytest.mark.parametrize("null", NULLS, ids=lambda noise: noise.label)
def test_a_noise_that_is_turned_off_changes_nothing(null):
    assert same(train("epochs=1", noise=null), train("epochs=1"))


@pytest.mark.parametrize("noise", NOISES, ids=lambda noise: noise.label)
def test_a_noise_repeats_and_its_first_step_differs_by_rounding_alone(noise):
    # Augmented, so that a sample that lost its label or its crop in the permutation would be far more than rounding.
    changes = ("data.augment=true", "data.pad=2", "epochs=1")
    disturbed, plain = train(*changes, noise=noise), train(*changes)
    assert same(disturbed, train(*changes, noise=noise))
    assert not same(disturbed, plain)
    assert 0 < rel_l1(disturbed.weights[1], plain.weights[1]).value < 1e-3


def test_samples_are_permuted_anew_at_each_step():
    seen = []

    class Watching(Order):
        def arrange(self, batch, step):
            seen.append((step, batch[1], super().arrange(batch, step)[1]))
            return batch

    train("epochs=2", noise=Watching(1))
    assert [step for step, _, _ in seen] == list(range(6))
    assert all(torch.equal(given.sort().values, found.sort().values) for _, given, found in seen)
    assert not any(torch.equal(given, found) for _, given, found in seen)


def test_measuring_does_not_change_the_training():
    with_measures, without = train(), train("measure.fluctuation_epochs=10", "measure.snapshot_epochs=3")
    assert torch.equal(with_measures.weights[9]["linear.weight"], without.weights[9]["linear.weight"])


@pytest.mark.parametrize("optimizer", ["adam", "adamw"])
@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
def test_other_optimizers_and_dtypes_train(optimizer, dtype):
    changes = (f"optimizer.name={optimizer}", "optimizer.nesterov=false", "optimizer.lr=0.001", f"dtype={dtype}")
    run = train(*changes)
    assert run.weights[9]["linear.weight"].dtype == getattr(torch, dtype)
    assert same(run, train(*changes, k=2))
    assert run.diverged_at is None


def test_divergence_is_marked_and_ends_the_run():
    run = train("optimizer.lr=1e30", "data.augment=true")
    assert run.diverged_at in (2, 3)
    assert run.rows == []
    assert run.predictions is None


def test_travels_to_other_processes_as_plain_data():
    training = RecipeTraining(load_recipe("demo"))
    assert pickle.loads(pickle.dumps(training)) == training
    assert training.settings["optimizer"]["lr"] == 0.1
    assert training.settings["device"] == "cpu"


@pytest.mark.parametrize("training", [True, False])
def test_an_evaluation_agrees_with_scikit_learn_and_leaves_the_network_as_it_was(training):
    recipe = load_recipe("demo", changes=("data.test=777",))
    task = prepare(recipe)
    model = build_model(recipe.model, shape=(1, 28, 28), classes=10, seed=0, dtype=torch.float32).train(training)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    found = evaluate(model, task)
    assert model.training == training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    with torch.no_grad():
        logits = model.eval()(task.normalise(task.test_images))
    assert found.accuracy == pytest.approx(100 * accuracy_score(task.test_labels, logits.argmax(1)))
    probabilities = functional.softmax(logits.double(), 1).numpy()
    assert found.loss == pytest.approx(log_loss(task.test_labels, probabilities, labels=range(10)), rel=1e-5)
    assert torch.equal(found.predictions, logits.argmax(1))


@pytest.fixture(scope="module")
def task():
    return prepare(load_recipe("demo", changes=("data.train=500", "batch_size=50")))


class Linear(nn.Module):
    """Softmax regression, whose gradient is known: mean of (p − onehot) xᵀ."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(784, 10, bias=False)

    def forward(self, images):
        return self.layer(images.flatten(1))


def test_the_fluctuation_is_footnote_5_for_a_gradient_known_in_closed_form():
    # In float64: entries whose mean gradient is near 0 dominate, and float32 knows these to two digits only.
    task = prepare(load_recipe("demo", changes=("data.train=500", "batch_size=50", "dtype=float64")))
    model = Linear().double()
    batches = list(islice(task.batches(2**40), 5))
    gradients = []
    for images, labels in batches:
        x = images.flatten(1)
        p = torch.softmax(x @ model.layer.weight.detach().T, 1)
        p[torch.arange(len(labels)), labels] -= 1
        gradients.append(p.T @ x / len(labels))
    mean = sum(gradients[:4]) / 4
    expected = ((gradients[4] - mean).abs() / mean.abs()).mean()
    assert gradient_fluctuation(model, task, batches=4) == pytest.approx(float(expected), rel=1e-6)


def test_measuring_the_fluctuation_changes_nothing(task):
    model = build_model(load_recipe("demo").model, shape=(1, 28, 28), classes=10, seed=0, dtype=torch.float32)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    state = torch.random.get_rng_state()
    first = gradient_fluctuation(model, task, batches=3)
    assert gradient_fluctuation(model, task, batches=3) == first > 0
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert torch.equal(torch.random.get_rng_state(), state)
    assert model.training


def test_the_fluctuation_leaves_out_weights_without_a_gradient(task):
    model = Linear()
    masked = task.train_images.clone()
    masked[:, :, :, :14] = 0
    half = type(task)(**{**vars(task), "train_images": masked, "mean": torch.zeros(1, 1, 1)})
    assert gradient_fluctuation(model, half, batches=3) < float("inf")


def test_the_demo_keeps_weights_often_at_first_then_each_epoch():
    assert sorted(snapshot_steps(32, 9)) == [1, 2, 3, 4, 6, 8, 11, 16, 23, 32, 64, 96, 128, 160, 192, 224, 256, 288]


def test_long_runs_keep_weights_every_so_many_epochs():
    assert sorted(step for step in snapshot_steps(391, 200, 50) if step > 391) == [19550, 39100, 58650, 78200]


@given(st.integers(1, 1000), st.integers(1, 300), st.integers(1, 50))
def test_first_and_last_step_are_always_kept_and_none_beyond(steps_per_epoch, epochs, every):
    steps = snapshot_steps(steps_per_epoch, epochs, every)
    assert {1, steps_per_epoch, steps_per_epoch * epochs} <= steps
    assert min(steps) == 1
    assert max(steps) == steps_per_epoch * epochs
    assert all(step % steps_per_epoch == 0 for step in steps if step > steps_per_epoch)


def test_pictures_are_the_test_images_themselves():
    training = RecipeTraining(load_recipe("demo"))
    images = load("fashion-mini").test_images
    for position, picture in zip((0, 17), training.pictures((0, 17)), strict=True):
        content = base64.b64decode(picture.removeprefix("data:image/png;base64,"))
        np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(content))), images[position, 0].numpy())
    assert training.class_names[9] == "Ankle boot"


def test_pictures_of_three_channels_keep_their_colours():
    pixels = torch.arange(3 * 4 * 5, dtype=torch.uint8).view(3, 4, 5)
    content = base64.b64decode(_picture(pixels).removeprefix("data:image/png;base64,"))
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(content))), pixels.permute(1, 2, 0).numpy())
