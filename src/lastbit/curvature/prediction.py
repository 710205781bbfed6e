"""Foretelling the next eigenvectors from those of the last measurements."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lastbit.curvature.recycled import Recycled

MEMORY = 5  # measurements that the longest rule and its trial need


@dataclass(frozen=True)
class Rule:
    """The eigenvectors of `lag` measurements ago, as they were or moved on by their last change over that time."""

    lag: int
    linear: bool

    @property
    def reach(self) -> int:
        """Measurements it looks back on."""
        return 2 * self.lag if self.linear else self.lag

    def vector(self, history: Sequence[Recycled], index: int) -> Tensor:
        """The next unit eigenvector of that index."""
        vector = history[-self.lag].vectors[index]
        if not self.linear:
            return vector
        earlier = history[-2 * self.lag].vectors[index]
        moved = 2 * vector - torch.sign(torch.dot(vector, earlier)) * earlier
        unit: Tensor = moved / torch.linalg.vector_norm(moved)
        return unit


# Near its edge gradient descent jumps from side to side of a valley and the Hessian with it, so that every second one
# is alike; elsewhere it glides.
RULES = tuple(Rule(lag, linear) for lag in (1, 2) for linear in (False, True))


def best_rule(history: Sequence[Recycled]) -> Rule:
    """The rule that would have foretold the first eigenvector of the last measurement best; costs no product."""
    past, last = history[:-1], history[-1].vectors[0]
    usable = [rule for rule in RULES if rule.reach <= len(past)]
    overlap = {rule: abs(float(torch.dot(rule.vector(past, 0), last))) for rule in usable}
    return max(usable, key=lambda rule: overlap[rule], default=RULES[0])
