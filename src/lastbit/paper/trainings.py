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
