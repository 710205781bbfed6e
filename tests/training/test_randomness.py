"""Each source of a recipe's randomness has a seed of its own, and without such seeds nothing is different."""

import hashlib
from itertools import islice

import pytest
import torch
from recorded_run import RecordedRun

from lastbit.training.catalogue import load_recipe
from lastbit.training.loop import initial_network
from lastbit.training.randomness import HELD, augmentation_stream, batch_seeds, dropout_seed, recipe_sources, seeded
from lastbit.training.recipe_training import RecipeTraining
from lastbit.training.task import prepare

SMALL = ("data.train=128", "data.test=50", "epochs=1", "batch_size=32", "schedule.milestones=[]", "data.augment=true")
RECIPE = load_recipe("demo", changes=(*SMALL, "measure.fluctuation_epochs=1"))


def trained(recipe=RECIPE, *, seed=1, seeds=None):
    run = RecordedRun(seed=seed, seeds=seeds)
    RecipeTraining(recipe)(run)
    return run.weights


def same(one, other):
    return one.keys() == other.keys() and all(
        torch.equal(weight, other[step][name]) for step, kept in one.items() for name, weight in kept.items()
    )


def digest(tensors):
    sum_ = hashlib.sha256()
    for tensor in tensors:
        sum_.update(tensor.contiguous().numpy().tobytes())
    return sum_.hexdigest()[:16]


def test_a_seed_gives_the_batches_and_weights_that_it_gave_before_sources_had_seeds():
    recipe = load_recipe("demo", scale="smoke")
    task = prepare(recipe)
    assert digest(part for batch in islice(task.batches(3), 8) for part in batch) == "f68e89de1cb6faff"
    assert digest(initial_network(recipe, task).state_dict().values()) == "71043e874393df8b"


def test_only_trials_with_augmentation_have_another_identity_since_its_numbers_are_its_own():
    assert "augmentation_stream" not in RecipeTraining(load_recipe("demo")).settings
    assert RecipeTraining(RECIPE).settings["augmentation_stream"] == "own"


def test_seeds_by_source_train_what_the_settings_of_before_train():
    """The oracle is `init_seed` of the recipe and the seed of the run, which decides order and augmentation."""
    by_source = trained(seed=77, seeds={"init": 5, "order": 3, "augmentation": 3})
    by_settings = trained(load_recipe("demo", changes=(*SMALL, "measure.fluctuation_epochs=1", "init_seed=5")), seed=3)
    assert same(by_source, by_settings)


@pytest.mark.parametrize("source", ["init", "order", "augmentation", "dropout"])
def test_every_source_changes_the_training_alone(source):
    recipe = load_recipe("demo", changes=(*SMALL, "model.dropout=0.3"))
    seeds = {"init": 1, "order": 2, "augmentation": 3, "dropout": 4}
    assert not same(trained(recipe, seeds=seeds), trained(recipe, seeds={**seeds, source: 9}))


def test_order_and_augmentation_have_generators_of_their_own():
    task = prepare(RECIPE)
    (images, labels), (same_order, its_labels) = (next(next(task.epochs(1, augmentation))) for augmentation in (1, 2))
    assert torch.equal(labels, its_labels)
    assert not torch.equal(images, same_order)
    still = prepare(RECIPE.model_copy(update={"data": RECIPE.data.model_copy(update={"augment": False})}))
    assert torch.equal(next(next(still.epochs(1, 2)))[0], next(next(still.epochs(1)))[0])


def test_order_and_augmentation_draw_different_numbers_from_one_seed():
    """With shared numbers, few places of the first permutation would go with a crop of the first image."""
    streams = [augmentation_stream(seed) for seed in range(2000)]
    assert all(0 <= stream < 2**32 for stream in streams)
    assert len(set(streams)) == len(streams)
    assert not any(stream == seed for seed, stream in enumerate(streams))
    drawn = [torch.rand(64, generator=torch.Generator().manual_seed(seed)) for seed in (*range(200), *streams[:200])]
    order, moves = torch.stack(drawn[:200]), torch.stack(drawn[200:])
    correlation = torch.corrcoef(torch.stack([order.flatten(), moves.flatten()]))[0, 1]
    assert abs(float(correlation)) < 4 / (200 * 64) ** 0.5


def test_a_source_that_does_not_vary_keeps_one_seed_whatever_the_number_of_the_run():
    assert batch_seeds(4, {"order": 2}) == batch_seeds(5, {"order": 2}) == (2, HELD)
    assert batch_seeds(4, {"init": 2}) == (HELD, HELD)
    assert batch_seeds(4, {}) == (4, 4)
    assert dropout_seed(4, {"dropout": 2}) == 2
    assert dropout_seed(4, {"init": 2}) == HELD
    assert dropout_seed(4, {}) == 4
    assert seeded(RECIPE, {"order": 2}).init_seed == RECIPE.init_seed
    assert seeded(RECIPE, {"init": 2}).init_seed == 2


def test_a_recipe_says_which_sources_it_has():
    assert {name for name, why in recipe_sources(RECIPE).items() if not why} == {"init", "order", "augmentation"}
    plain = recipe_sources(load_recipe("demo"))
    assert plain["augmentation"] == "data.augment is false"
    assert plain["dropout"] == "model.dropout is 0"
    assert not recipe_sources(load_recipe("demo", changes=("model.dropout=0.1",)))["dropout"]
    assert "batch_size" in recipe_sources(load_recipe("fc-cifar10-5k"))["order"]
