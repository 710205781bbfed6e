"""The one loop that steps networks: studies of recipes, twins and descents all train through a `Stepper`."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, MultiStepLR

from lastbit.noise import Noise, perturb
from lastbit.optimizers.family import build_optimizer
from lastbit.remedies.average import STATISTICS
from lastbit.remedies.given import Treatment, remedies_from_json
from lastbit.remedies.remedy import Averaging, Setting
from lastbit.samples import Loss
from lastbit.training.models.dropout import draw_masks, dropouts_of
from lastbit.training.network import build_model
from lastbit.training.recipe import Recipe, ScheduleSettings
from lastbit.training.task import Task

Batch = tuple[Any, Any]  # inputs and targets


class Stepper:
    """A network in training, which steps in two halves: the gradient of a batch, then the update.

    Args:
        model: in the mode in which it is to be trained.
        loss: `loss(model(inputs), targets)`, a mean over samples.
        optimizer: of the model's parameters.
        schedule: stepped after every update.
        noise: arranges each batch; what it does to updates is in `optimizer` already.
        average: of the weights, evaluated in place of them.
        dropout_seed: decides the masks of a recipe's dropout.
    """

    def __init__(
        self,
        model: nn.Module,
        loss: Loss,
        optimizer: torch.optim.Optimizer,
        *,
        schedule: LRScheduler | None = None,
        noise: Noise | None = None,
        average: Averaging | None = None,
        dropout_seed: int = 0,
    ) -> None:
        self.model, self.loss, self.optimizer, self.schedule, self.noise = model, loss, optimizer, schedule, noise
        self.average = average
        self._dropouts, self._dropout_seed = dropouts_of(model), dropout_seed
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
        draw_masks(self._dropouts, seed=self._dropout_seed, step=self.step)
        self.optimizer.zero_grad()
        loss = self.loss(self.model(inputs), targets)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.detach()

    def update(self) -> None:
        """Update the weights with the stored gradient."""
        self.optimizer.step()
        if self.average is not None:
            self.average.update()
        self.step += 1
        if self.schedule is not None:
            self.schedule.step()

    @property
    def evaluated_model(self) -> nn.Module:
        """The model with the weights that are evaluated: a copy with their average, where there is one yet."""
        return self.model if self.average is None or not self.average.updates else self.average.averaged

    @contextmanager
    def evaluated(self, batches: Iterable[Batch]) -> Iterator[nn.Module]:
        """The model with the weights that are evaluated while the block runs; the training goes on as without it.

        Args:
            batches: of training inputs, from the first of which the statistics of batch norm for averaged weights are
                computed.
        """
        if self.average is None or not self.average.updates:
            yield self.model
            return
        with self.average.applied(islice(batches, STATISTICS)) as model:
            yield model

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


def recipe_stepper(recipe: Recipe, task: Task, noise: Noise | None = None, *, dropout_seed: int = 0) -> Stepper:
    """Return the stepper of a recipe: its network at initial weights, loss, optimizer, schedule, noise and remedies.

    Args:
        recipe: what is trained.
        task: its data.
        noise: on updates and batches; None for torch's own optimizer.
        dropout_seed: decides the masks of its dropout.

    Warns:
        UserWarning: a remedy finds nothing to change.
    """
    remedies = remedies_from_json(recipe.remedy)
    setting = _setting(recipe, task, remedies)
    model = setting.model
    optimizer = build_optimizer(recipe.optimizer, model.parameters())
    if noise is not None:
        optimizer = perturb(optimizer, noise)
    for remedy in remedies:
        optimizer = remedy.on_optimizer(optimizer, setting)
    return Stepper(
        model,
        setting.loss,
        optimizer,
        schedule=_schedule(recipe, optimizer, remedies, task.steps_per_epoch),
        noise=noise,
        average=next((average for remedy in remedies if (average := remedy.average(model)) is not None), None),
        dropout_seed=dropout_seed,
    )


def _setting(recipe: Recipe, task: Task, remedies: Treatment) -> Setting:
    """The model and the loss of a recipe, with what remedies make of them."""

    def network(seed: int) -> nn.Module:
        """The recipe's network, its first weights from a seed, as remedies change it."""
        model = initial_network(recipe.model_copy(update={"init_seed": seed}), task)
        for remedy in remedies:
            model = remedy.on_model(model)
        return model

    model = network(recipe.init_seed)
    setting = Setting(model, functional.cross_entropy, lambda: task.fixed_batch(task.batch_size), network)
    for remedy in remedies:
        setting = remedy.on_setting(setting)
    return setting


def _schedule(
    recipe: Recipe, optimizer: torch.optim.Optimizer, remedies: Treatment, steps_per_epoch: int
) -> LRScheduler:
    """The recipe's schedule with what remedies make of it."""
    changing = [remedy for remedy in remedies if remedy.acts_by("rate")]
    if not changing:
        return build_schedule(recipe.schedule, optimizer, steps_per_epoch=steps_per_epoch)
    milestones = [milestone * steps_per_epoch for milestone in recipe.schedule.milestones]

    def factor(step: int) -> float:
        """Of the learning rate, after so many updates."""
        value = recipe.schedule.factor ** bisect_right(milestones, step)
        for remedy in changing:
            value = remedy.rate(value, step, recipe.epochs * steps_per_epoch)
        return value

    return LambdaLR(optimizer, factor)


def build_schedule(
    settings: ScheduleSettings, optimizer: torch.optim.Optimizer, *, steps_per_epoch: int = 1
) -> MultiStepLR:
    """The step schedule, to be stepped once an epoch, or `steps_per_epoch` times."""
    milestones = [milestone * steps_per_epoch for milestone in settings.milestones]
    return MultiStepLR(optimizer, milestones, gamma=settings.factor)
