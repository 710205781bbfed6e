"""A training that is looked at between two steps, where its weights and their gradient can be measured."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR, LRScheduler

from lastbit.samples import Loss
from lastbit.training.loop import Batch, Stepper, recipe_stepper
from lastbit.training.recipe import Recipe
from lastbit.training.task import prepare


@dataclass(frozen=True)
class DescentPoint:
    """A training before its next update."""

    step: int  # updates so far
    loss: float  # of the next update's batch at the weights of this step, without weight decay
    diverged: bool  # the loss is not finite; this is the last point


class Descent:
    """A training as a series of points. At each of them the weights and their gradient can be looked at.

    With one batch as data and plain SGD it is gradient descent, θ ← θ − lr (∇L(θ) + wd·θ), the forward Euler
    discretisation of the gradient flow. The weights are the model's own. Code that looks at a point must not
    change them, nor their `.grad`, which the next update uses.

    Args:
        model: in the mode in which it is trained.
        loss: `loss(model(inputs), targets)`, a mean over samples.
        data: one (inputs, targets) tuple that every step uses, or an iterable of them, one for each step.
        optimizer: of the model's parameters. Coupled weight decay adds (wd/2) |θ|² to what is descended on.
        schedule: stepped after every update.
    """

    def __init__(
        self,
        model: nn.Module,
        loss: Loss,
        data: Batch | Iterable[Batch],
        optimizer: torch.optim.Optimizer,
        *,
        schedule: LRScheduler | None = None,
    ) -> None:
        self.model, self.loss, self.optimizer = model, loss, optimizer
        self.losses: list[float] = []  # of every point so far
        self._stepper = Stepper(model, loss, optimizer, schedule=schedule)
        self._batches = repeat(data) if isinstance(data, tuple) else iter(data)

    @property
    def step(self) -> int:
        """Updates so far."""
        return self._stepper.step

    @property
    def diverged(self) -> bool:
        """Whether the last loss is NaN or infinite."""
        return bool(self.losses) and not math.isfinite(self.losses[-1])

    def points(self, steps: int) -> Iterator[DescentPoint]:
        """Train up to `steps` updates in total; yield the point before each update, and the one after the last.

        While you hold a point, the weights are those of its step. A loss that is not finite ends the series with a
        point marked as diverged. A later call with more steps continues with the next point.
        """
        while not self.diverged and (not self.losses or self.step < steps):
            if self.losses:
                self._stepper.update()
            self.losses.append(float(self._stepper.gradient(next(self._batches))))
            yield DescentPoint(self.step, self.losses[-1], self.diverged)

    def take_up(self, losses: Sequence[float], rate: float) -> None:
        """Continue from a point of an earlier training with the same settings.

        The model and the optimizer must already be restored to their states at that point, gradients included.

        Args:
            losses: of every point up to this one.
            rate: the learning rate at this point.
        """
        self.losses = list(losses)
        for _ in losses:
            next(self._batches)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self._stepper.go_on_from(max(len(losses) - 1, 0))


@dataclass(frozen=True)
class RecipeDescent:
    """A recipe's network at its initial weights, ready to be trained, and the images to measure it on."""

    descent: Descent  # its loss is cross-entropy, its model in training mode
    batch: tuple[Tensor, Tensor]  # images (n, channels, height, width), labels (n,): the data of a full-batch descent
    full_batch: bool  # whether every step uses all the training images, and always the same
    batch_size: int | None  # images of a step; None for all
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
        seed: decides the order of batches, the augmentation and the dropout, where there are any.
        measured: how many of the first training images, never augmented, are in `batch`; None for all. A full-batch
            descent always has all.
        device: where it trains; the CPU by default.
        root: folder of the fetched data sets; the cache by default.

    Raises:
        RecipeError, ValueError: as `prepare` does.
    """
    task = prepare(recipe, device=device, root=root)
    full_batch = recipe.batch_size is None and not recipe.data.augment
    batch = task.fixed_batch(None if full_batch else measured)
    start = recipe_stepper(recipe, task, dropout_seed=seed)
    data = batch if full_batch else task.batches(seed)
    descent = Descent(start.model, start.loss, data, start.optimizer, schedule=start.schedule)
    has_schedule = bool(recipe.schedule.milestones) or isinstance(start.schedule, LambdaLR)
    return RecipeDescent(descent, batch, full_batch, recipe.batch_size, has_schedule)
