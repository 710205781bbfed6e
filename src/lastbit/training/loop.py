"""The one loop that steps networks: studies of recipes, twins and descents all train through a `Stepper`.

A `Descent` is a training that is looked at between two steps.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.lr_scheduler import LRScheduler, MultiStepLR

from lastbit.noise import Noise, perturb
from lastbit.optimizers.family import build_optimizer
from lastbit.samples import Loss
from lastbit.training.network import build_model
from lastbit.training.recipe import Recipe, ScheduleSettings
from lastbit.training.task import Task, prepare

Batch = tuple[Any, Any]  # inputs and targets


class Stepper:
    """A network in training, which steps in two halves: the gradient of a batch, then the update.

    Args:
        model: in the mode in which it is to be trained.
        loss: `loss(model(inputs), targets)`, a mean over samples.
        optimizer: of the model's parameters.
        schedule: stepped after every update.
        noise: arranges each batch; what it does to updates is in `optimizer` already.
    """

    def __init__(
        self,
        model: nn.Module,
        loss: Loss,
        optimizer: torch.optim.Optimizer,
        *,
        schedule: LRScheduler | None = None,
        noise: Noise | None = None,
    ) -> None:
        self.model, self.loss, self.optimizer, self.schedule, self.noise = model, loss, optimizer, schedule, noise
        self.step = 0  # updates so far

    @property
    def lr(self) -> float:
        """The learning rate of the next update."""
        return float(self.optimizer.param_groups[0]["lr"])

    def take(self, batch: Batch) -> Tensor:
        """Take one step on a batch of inputs and targets, and return its loss before the step."""
        loss = self.gradient(batch)
        self.update()
        return loss

    def gradient(self, batch: Batch) -> Tensor:
        """Store the gradient of a batch in the weights' `.grad`, and return its loss."""
        inputs, targets = batch if self.noise is None else self.noise.arrange(batch, self.step)
        self.optimizer.zero_grad()
        loss = self.loss(self.model(inputs), targets)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.detach()

    def update(self) -> None:
        """Update the weights with the stored gradient."""
        self.optimizer.step()
        self.step += 1
        if self.schedule is not None:
            self.schedule.step()

    def go_on_from(self, step: int) -> None:
        """Set the schedule to a step whose weights and optimizer state are already loaded."""
        self.step = step
        if self.schedule is not None:
            self.schedule.last_epoch = step


def initial_network(recipe: Recipe, task: Task) -> nn.Module:
    """Return the network of a recipe for the images of its task, on their device, in training mode."""
    model = build_model(
        recipe.model, shape=task.shape, classes=task.classes, seed=recipe.init_seed, dtype=recipe.torch_dtype
    )
    # With channels last in memory, a step of one thread takes 0.6 to 0.7 times as long (oneDNN's convolutions).
    placed: nn.Module = model.to(task.mean.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return placed


def recipe_stepper(recipe: Recipe, task: Task, noise: Noise | None = None) -> Stepper:
    """Return the stepper of a recipe: its network at initial weights, loss, optimizer, with a noise, and schedule.

    Args:
        recipe: what is trained.
        task: its data.
        noise: on updates and batches; None for torch's own optimizer.
    """
    model = initial_network(recipe, task)
    optimizer = build_optimizer(recipe.optimizer, model.parameters())
    if noise is not None:
        optimizer = perturb(optimizer, noise)
    schedule = build_schedule(recipe.schedule, optimizer, steps_per_epoch=task.steps_per_epoch)
    return Stepper(model, functional.cross_entropy, optimizer, schedule=schedule, noise=noise)


def build_schedule(
    settings: ScheduleSettings, optimizer: torch.optim.Optimizer, *, steps_per_epoch: int = 1
) -> MultiStepLR:
    """The step schedule, to be stepped once an epoch, or `steps_per_epoch` times."""
    milestones = [milestone * steps_per_epoch for milestone in settings.milestones]
    return MultiStepLR(optimizer, milestones, gamma=settings.factor)


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
    start = recipe_stepper(recipe, task)
    data = batch if full_batch else task.batches(seed)
    descent = Descent(start.model, start.loss, data, start.optimizer, schedule=start.schedule)
    return RecipeDescent(descent, batch, full_batch, bool(recipe.schedule.milestones))
