"""Training step by step, for whoever wants to look between two steps."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LRScheduler

Loss = Callable[[Any, Any], Tensor]
Batch = tuple[Any, Any]  # inputs and targets


@dataclass(frozen=True)
class Point:
    """Where a training is before its next update."""

    step: int  # updates so far
    loss: float  # at the weights of this step, of the batch of the next update, without weight decay
    diverged: bool  # the loss is not finite, and this the last point


class Descent:
    """A training as a series of points, at each of which the weights can be looked at.

    With one batch as data and plain SGD it is gradient descent, θ ← θ − lr (∇L(θ) + wd·θ), the forward Euler
    discretisation of the gradient flow. The weights are the model's own; whoever looks leaves them and their `.grad`,
    which the next update takes, as they are.

    Args:
        model: in the mode in which it is to be trained.
        loss: `loss(model(inputs), targets)`, a mean over samples.
        data: one (inputs, targets) tuple, which every step uses, or an iterable of them, of which each step uses the
            next.
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
        self.model, self.loss, self.optimizer, self.schedule = model, loss, optimizer, schedule
        self.losses: list[float] = []  # of every point so far
        self._batches = repeat(data) if isinstance(data, tuple) else iter(data)

    @property
    def step(self) -> int:
        """Updates so far."""
        return max(len(self.losses) - 1, 0)

    @property
    def diverged(self) -> bool:
        """Whether the last loss is not finite."""
        return bool(self.losses) and not math.isfinite(self.losses[-1])

    def points(self, steps: int) -> Iterator[Point]:
        """Train to `steps` updates in all; yield the point before each of them, and the one after the last.

        While a point is in hand the weights are those of its step. A loss that is not finite ends the series with a
        point that says so. A later call with more steps goes on with the next point.
        """
        while not self.diverged and (not self.losses or self.step < steps):
            if self.losses:
                self._update()
            self.losses.append(self._evaluate())
            yield Point(self.step, self.losses[-1], self.diverged)

    def take_up(self, losses: Sequence[float], rate: float) -> None:
        """Go on from a point of an earlier training of the same settings.

        The model and the optimizer must hold again what they held while that point was in hand, gradients included.

        Args:
            losses: of every point up to it.
            rate: the learning rate then.
        """
        self.losses = list(losses)
        for _ in losses:
            next(self._batches)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        if self.schedule is not None:
            self.schedule.last_epoch = self.step

    def _evaluate(self) -> float:
        inputs, targets = next(self._batches)
        self.optimizer.zero_grad()
        loss = self.loss(self.model(inputs), targets)
        loss.backward()  # type: ignore[no-untyped-call]
        return float(loss.detach())

    def _update(self) -> None:
        self.optimizer.step()
        if self.schedule is not None:
            self.schedule.step()
