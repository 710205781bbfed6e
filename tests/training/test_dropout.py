"""Dropout of a recipe: its masks, and what decides them."""

import copy
from dataclasses import dataclass

import pytest
import torch
from recorded_run import RecordedRun
from torch import nn

from lastbit.errors import LastbitError
from lastbit.training.catalogue import load_recipe
from lastbit.training.loop import initial_network, recipe_stepper
from lastbit.training.models.dropout import Dropout, draw_masks, dropouts_of
from lastbit.training.recipe_training import RecipeTraining
from lastbit.training.task import prepare

SMALL = ("data.train=128", "data.test=50", "epochs=2", "batch_size=32", "schedule.milestones=[]")
PLAIN = load_recipe("demo", changes=SMALL)
DROPPED = load_recipe("demo", changes=(*SMALL, "model.dropout=0.3"))


@dataclass(frozen=True)
class Checkpoint:
    step: int
    state: dict


def masked(stream, p=0.3, shape=(64, 500)):
    dropout = Dropout(p)
    dropout.stream = stream
    return dropout(torch.ones(shape))


def test_numbers_are_dropped_at_the_rate_and_the_mean_is_kept():
    out = masked(1)
    assert out.unique().tolist() == [0.0, pytest.approx(1 / 0.7)]
    assert float((out == 0).float().mean()) == pytest.approx(0.3, abs=4 * (0.21 / out.numel()) ** 0.5)


def test_streams_decide_the_mask_and_nothing_else_does():
    before = torch.get_rng_state()
    assert torch.equal(masked(1), masked(1))
    shared = float(((masked(1) == 0) & (masked(2) == 0)).float().mean())
    assert shared == pytest.approx(0.09, abs=4 * (0.09 * 0.91 / 32_000) ** 0.5)  # as of independent masks
    assert torch.equal(before, torch.get_rng_state())


def test_a_seed_and_a_step_give_each_dropout_a_stream_of_its_own():
    model = nn.Sequential(Dropout(0.1), nn.Linear(2, 2), Dropout(0.1))
    streams = set()
    for seed in (1, 2, 2**32 + 1):
        for step in range(50):
            draw_masks(dropouts_of(model), seed=seed, step=step)
            streams |= {model[0].stream, model[2].stream}
    assert len(streams) == 3 * 50 * 2


def test_the_gradient_is_that_of_the_masked_features():
    task = prepare(DROPPED)
    stepper = recipe_stepper(DROPPED, task, dropout_seed=7)
    images, labels = next(iter(task.batches(1)))
    stepper.gradient((images, labels))
    model = stepper.model
    features = model.blocks(images).mean((2, 3))
    kept = torch.rand(features.shape, generator=torch.Generator().manual_seed(model.linear.dropout.stream)) >= 0.3
    weight = model.linear.weight.detach().clone().requires_grad_()
    logits = nn.functional.linear(features.detach() * kept / 0.7, weight, model.linear.bias.detach())
    nn.functional.cross_entropy(logits, labels).backward()
    torch.testing.assert_close(model.linear.weight.grad, weight.grad)


def test_weights_start_as_without_dropout_and_evaluation_drops_nothing():
    task = prepare(PLAIN)
    plain, dropped = (initial_network(recipe, task).eval() for recipe in (PLAIN, DROPPED))
    assert plain.state_dict().keys() == dropped.state_dict().keys()
    images, _ = next(iter(task.batches(1)))
    assert torch.equal(plain(images), dropped(images))
    assert not torch.equal(plain.train()(images), dropped.train()(images))


def test_a_copy_of_a_network_has_masks_of_its_own():
    model = initial_network(DROPPED, prepare(DROPPED))
    twin = copy.deepcopy(model)
    draw_masks(dropouts_of(model), seed=1, step=1)
    assert twin.linear.dropout.stream == 0
    images = torch.randn(4, 1, 28, 28)
    twin.eval()
    assert not torch.equal(model(images), twin(images))


def test_a_training_goes_on_from_its_checkpoint_to_the_same_bits():
    whole = RecordedRun(seed=3)
    RecipeTraining(DROPPED)(whole)
    checkpoints = []
    killed = RecordedRun(seed=3)
    killed.save_checkpoint = lambda step, state: checkpoints.append(Checkpoint(step, copy.deepcopy(state)))
    RecipeTraining(DROPPED, checkpoint_every=1)(killed)
    resumed = RecordedRun(seed=3)
    resumed.load_checkpoint = lambda: checkpoints[0]
    RecipeTraining(DROPPED)(resumed)
    last = max(whole.weights)
    assert checkpoints[0].step == 4 < min(resumed.weights)
    assert all(torch.equal(weight, resumed.weights[last][name]) for name, weight in whole.weights[last].items())


def test_recipes_without_dropout_keep_their_identity():
    assert "dropout" not in RecipeTraining(PLAIN).settings["model"]
    assert RecipeTraining(DROPPED).settings["model"]["dropout"] == 0.3


@pytest.mark.parametrize("value", ["1.0", "-0.1"])
def test_a_probability_outside_its_range_is_refused(value):
    with pytest.raises(LastbitError, match="dropout"):
        load_recipe("demo", changes=(f"model.dropout={value}",))


def test_a_network_without_a_linear_layer_is_refused():
    with pytest.raises(LastbitError, match=r"model\.dropout = 0\.2: this network has no linear layer"):
        prepare(load_recipe("conv-mnist01", changes=("model.dropout=0.2",)))
