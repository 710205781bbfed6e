"""A lower learning rate: what costs nothing, and what every other remedy has to be compared with."""

from __future__ import annotations

from dataclasses import dataclass

from torch.optim import Optimizer

from lastbit.remedies.rates import step_with
from lastbit.remedies.remedy import Remedy, positive


@dataclass(frozen=True)
class RateRemedy(Remedy):
    """The recipe's learning rate, and that of its whole schedule, multiplied by a factor.

    On a quadratic loss a step multiplies a difference of weights along an eigenvector of the Hessian by 1 - lr c, c the
    eigenvalue: at half the rate a difference that grew, where lr c is above 2, may shrink.

    Attributes:
        factor: of the learning rate.

    Raises:
        LastbitError: the factor is not positive and finite.
    """

    factor: float = 0.5

    name = "lr"
    main = "factor"
    help = "the learning rate times a factor"
    changes = "the learning rate"
    source = "Sun et al. 2022, arXiv 2206.02001, section 7"

    def __post_init__(self) -> None:
        positive(self.name, "factor", self.factor)

    def rate(self, scheduled: float, step: int, steps: int) -> float:
        """The factor times the scheduled one."""
        return scheduled * self.factor

    def on_made(self, optimizer: Optimizer) -> None:
        """The optimizer steps with the factor on the rate that its script has set; the script sees its own rate."""
        step_with(optimizer, lambda step: self.rate(1.0, step, 0))
