"""torch's optimizer and schedule from a recipe's settings."""

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.optim.lr_scheduler import MultiStepLR

from lastbit.training.recipe import OptimizerSettings, ScheduleSettings


def build_optimizer(settings: OptimizerSettings, parameters: Iterable[Tensor]) -> torch.optim.Optimizer:
    """Return torch's SGD, Adam or AdamW with these settings."""
    if settings.name == "sgd":
        return torch.optim.SGD(
            parameters,
            lr=settings.lr,
            momentum=settings.momentum,
            dampening=settings.dampening,
            weight_decay=settings.weight_decay,
            nesterov=settings.nesterov,
        )
    kind = torch.optim.Adam if settings.name == "adam" else torch.optim.AdamW
    return kind(parameters, lr=settings.lr, betas=settings.betas, eps=settings.eps, weight_decay=settings.weight_decay)


def build_schedule(
    settings: ScheduleSettings, optimizer: torch.optim.Optimizer, *, steps_per_epoch: int = 1
) -> MultiStepLR:
    """Return the step schedule, to be stepped once an epoch, or `steps_per_epoch` times."""
    milestones = [milestone * steps_per_epoch for milestone in settings.milestones]
    return MultiStepLR(optimizer, milestones, gamma=settings.factor)
