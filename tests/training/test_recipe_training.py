import pickle

import pytest
import torch
from recorded_run import RecordedRun
from torch.nn import functional

from lastbit.divergence import rel_l1
from lastbit.noise import Order, Rounding, Ulp, Unperturbed
from lastbit.training.catalogue import load_recipe
from lastbit.training.data import load
from lastbit.training.network import build_model
from lastbit.training.recipe_training import RecipeTraining

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
