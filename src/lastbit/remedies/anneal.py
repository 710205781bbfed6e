"""A learning rate that falls along a cosine, in place of the recipe's schedule."""

from __future__ import annotations

import math
from dataclasses import dataclass

from lastbit.errors import LastbitError
from lastbit.remedies.remedy import Remedy, is_number


@dataclass(frozen=True)
class AnnealRemedy(Remedy):
    """The learning rate falls from the recipe's to `to` of it, along half a cosine over the whole training.

    At step t of n it is to + (1 - to) (1 + cos(pi t / n)) / 2 of the recipe's first rate; the recipe's own steps of the
    rate are left out.

    Attributes:
        to: share of the rate at the end.

    Raises:
        LastbitError: `to` is outside [0, 1).
    """

    to: float = 0.0

    name = "anneal"
    main = "to"
    help = "the learning rate falls along a cosine, in place of the recipe's schedule"
    changes = "the learning rate"
    needs = "it follows the number of updates of the whole training, which a script does not tell before its end"
    source = "Loshchilov and Hutter 2017, arXiv 1608.03983"

    def __post_init__(self) -> None:
        if not is_number(self.to) or not 0 <= self.to < 1:
            raise LastbitError(f"anneal: to = {self.to!r}: write a share of the rate, from 0 and below 1")

    def rate(self, scheduled: float, step: int, steps: int) -> float:
        """The cosine's factor, whatever was scheduled."""
        return self.to + (1 - self.to) * (1 + math.cos(math.pi * min(1.0, step / max(1, steps)))) / 2
