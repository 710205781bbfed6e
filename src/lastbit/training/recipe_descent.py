"""A recipe's training, step by step."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from lastbit.training.descent import Descent
from lastbit.training.network import initial_network
from lastbit.training.optimizer import build_optimizer, build_schedule
from lastbit.training.recipe import Recipe
from lastbit.training.task import prepare


@dataclass(frozen=True)
class RecipeDescent:
    """A recipe's network at its initial weights, ready to be trained, and the images to measure it on."""

    descent: Descent  # its loss is cross-entropy, its model in training mode
    batch: tuple[Tensor, Tensor]  # images (n, channels, height, width), labels (n,): the data of a full-batch descent
    full_batch: bool  # whether every step uses all the training images, and always the same
    has_schedule: bool  # whether the learning rate changes


def prepare_descent(
    recipe: Recipe,
    *,
    seed: int = 1,
    measured: int | None = None,
    device: torch.device | None = None,
    root: Path | None = None,
) -> RecipeDescent:
    """Prepare a recipe's data, network, optimizer and schedule as `RecipeTraining` does, without noise.

    A recipe whose `batch_size` is None descends on all its training images in stored order: that is gradient descent.

    Args:
        recipe: what to train.
        seed: decides the order of batches and the augmentation, where there are any.
        measured: the first so many training images, never augmented, are `batch`; None for all, and always all of a
            full-batch descent.
        device: where it trains; the CPU by default.
        root: folder of the fetched data sets; the cache by default.

    Raises:
        RecipeError, ValueError: as `prepare` does.
    """
    task = prepare(recipe, device=device, root=root)
    model = initial_network(recipe, task)
    optimizer = build_optimizer(recipe.optimizer, model.parameters())
    schedule = build_schedule(recipe.schedule, optimizer, steps_per_epoch=task.steps_per_epoch)
    full_batch = recipe.batch_size is None and not recipe.data.augment
    batch = task.fixed_batch(None if full_batch else measured)
    data = batch if full_batch else chain.from_iterable(task.epochs(seed))
    descent = Descent(model, functional.cross_entropy, data, optimizer, schedule=schedule)
    return RecipeDescent(descent, batch, full_batch, bool(recipe.schedule.milestones))
