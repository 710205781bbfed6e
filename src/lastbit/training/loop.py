"""The one loop that steps networks: studies of recipes, twins and descents all train through a `Stepper`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.lr_scheduler import LRScheduler, MultiStepLR

from lastbit.noise import Noise, perturb
from lastbit.optimizers.family import build_optimizer
from lastbit.training.network import build_model
from lastbit.training.recipe import Recipe, ScheduleSettings
from lastbit.training.task import Task

Loss = Callable[[Any, Any], Tensor]
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
        """Leave the gradient of a batch with the weights, and return its loss."""
        inputs, targets = batch if self.noise is None else self.noise.arrange(batch, self.step)
        self.optimizer.zero_grad()
        loss = self.loss(self.model(inputs), targets)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.detach()

    def update(self) -> None:
        """Update the weights with the gradient that `gradient` left."""
        self.optimizer.step()
        self.step += 1
        if self.schedule is not None:
            self.schedule.step()

    def go_on_from(self, step: int) -> None:
        """Take the schedule to a step whose weights and optimizer state are loaded already."""
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
    """A recipe's network at its initial weights, with its loss, its optimizer, disturbed by a noise, and its schedule.

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
