"""Trainings of recipes as items ask for them, in studies that several items share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lastbit.noise import Scale
from lastbit.paper.item import Settings, Work
from lastbit.storage.files import sha256, to_json
from lastbit.study import Study
from lastbit.training.catalogue import load_recipe
from lastbit.training.recipe_training import RecipeTraining

KS = (1, 3, 5, 7, 9, 11)  # the paper's
SEEDS = (1, 2, 3, 4, 5, 6)


def training(
    recipe: str, changes: Sequence[str] = (), *, ks: Sequence[int] = KS, seeds: Sequence[int] = SEEDS
) -> dict[str, Any]:
    """What to train, as plain settings of an item.

    Args:
        recipe: a built-in one's name.
        changes: of its fields, such as `optimizer.lr=0.05`.
        ks: of the perturbed updates, 1 first.
        seeds: of batch order and augmentation.
    """
    return {"recipe": recipe, "changes": list(changes), "ks": list(ks), "seeds": list(seeds)}


def complete_study(asked: Settings, work: Work, *, copy: int = 0, controlled: bool = True) -> Study:
    """Train what is asked for and not stored yet, and return the study.

    Items that ask for the same training with other seeds and ks share its directory, and so its trials.

    Args:
        asked: from `training`.
        work: where studies are kept, who runs their trials, and on which device.
        copy: runs of another copy are made anew, to be compared bit by bit.
        controlled: run the study's controls first, and refuse to go on where they fail.
    """
    recipe = load_recipe(asked["recipe"], changes=tuple(asked["changes"]))
    # An epoch of the paper's trainings is minutes, and a training days of them.
    train = RecipeTraining(recipe, work.device, checkpoint_every=1)
    name = f"{asked['recipe']}-{sha256(to_json(train.settings).encode())[:8]}"
    study = Study(
        work.studies / (f"{name}-copy{copy}" if copy else name),
        train,
        noises=[Scale(k) for k in asked["ks"]],
        seeds=asked["seeds"],
        controlled=controlled,
    )
    study.complete(work.executor)
    return study


def study_as_json(study: Study) -> dict[str, Any]:
    """A study's results, without those layer by layer."""
    return {**study.results().as_json(), "rel_l1_layers": [], "growth": []}


# A small network on bundled images, in under a second.
SMOKE_CNN = (
    "epochs=2",
    "batch_size=64",
    "data.train=512",
    "data.test=200",
    "schedule.milestones=[]",
    "measure.fluctuation_epochs=2",
    "measure.fluctuation_batches=4",
)
SMOKE_CUTS = (
    "a network of three convolutions on 512 images of Fashion-MNIST in place of ResNet-56 on CIFAR-10, 2 epochs of "
    "batches of 64 in place of 200 of 128, a fixed learning rate"
)

# Half a minute of one core for each run.
_SHORT = ("epochs=5", "batch_size=64", "schedule.milestones=[3,4]", "data.train=2560", "data.test=1000")
_MEASURED = ("measure.snapshot_epochs=1", "measure.fluctuation_epochs=5", "measure.fluctuation_batches=8")
LAPTOP_RESNET = ("model.name=resnet8", *_SHORT, *_MEASURED)
# Without shortcuts the last bit takes longer to grow, and a small network has the time.
LAPTOP_PLAIN = ("model.name=small-cnn", *_SHORT, *_MEASURED, "epochs=12", "schedule.milestones=[8,10]")
LAPTOP_CUTS = (
    "ResNet-8 in place of ResNet-56, 2,560 training and 1,000 test images, 5 epochs of batches of 64 in place of 200 "
    "of 128, learning rate divided after epochs 3 and 4"
)
LAPTOP_PLAIN_CUTS = "three convolutions without shortcuts and 12 epochs in place of VGG16-BN"
