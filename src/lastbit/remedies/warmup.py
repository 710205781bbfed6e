"""A learning rate that rises from zero over the first updates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from torch.optim import Optimizer

from lastbit.remedies.rates import step_with
from lastbit.remedies.remedy import Remedy, counted


@dataclass(frozen=True)
class WarmupRemedy(Remedy):
    """The learning rate grows linearly over the first updates: at the t-th, from 0, it is (t + 1) / updates of its own.

    Differences grow fastest where the loss is most curved, which is mostly at the beginning.

    Attributes:
        updates: after which the rate is the recipe's own.

    Raises:
        LastbitError: `updates` is no whole number from 1.
    """

    updates: int = 100

    name = "warmup"
    main = "updates"
    help = "the learning rate rises linearly over the first updates"
    changes = "the learning rate"
    source = "Goyal et al. 2017, arXiv 1706.02677, section 2.2"

    def __post_init__(self) -> None:
        counted(self.name, "updates", self.updates)

    @classmethod
    def usual(cls, steps: int) -> Self:
        """Over a twentieth of the training."""
        return cls(updates=max(1, round(steps / 20)))

    def rate(self, scheduled: float, step: int, steps: int) -> float:
        """The scheduled factor times min(1, (step + 1) / updates)."""
        return scheduled * min(1.0, (step + 1) / self.updates)

    def on_made(self, optimizer: Optimizer) -> None:
        """The optimizer steps with the factor on the rate that its script has set; the script sees its own rate."""
        step_with(optimizer, lambda step: self.rate(1.0, step, 0))
