"""The least possible perturbation: one weight, one unit in the last place, once."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from lastbit.noise.followed import Following, nothing
from lastbit.noise.last_place import has_neighbour, neighbour
from lastbit.noise.seeded import Seeded
from lastbit.noise.stream import stream
from lastbit.noise.weights import Groups, disturbable, real


@dataclass(frozen=True)
class Ulp(Seeded, Following):
    """One weight of the optimizer is moved to the next floating-point number, once, right after its first update.

    After the update and not before it: then the disturbed run differs in one number by exactly one unit, whatever the
    update was. Moved before, the unit could be rounded away by the update or blown up by cancellation. The seed decides
    which weight, every one equally likely, and whether up or down. Weights that are zero, subnormal or not finite are
    passed over (`lastbit.noise.last_place`); where there are no others, none moves.

    Attributes:
        seed: decides which weight and which way; None moves none.

    Raises:
        LastbitError: the seed is no whole number from 0 to 2**63 - 1.
    """

    kind = "ulp"
    off = "no ulp"

    def prepare(self, groups: Groups, step: int) -> Callable[[], None]:
        """Return what moves the one weight if this is the first step, and what does nothing otherwise."""
        if self.seed is None or step > 0:
            return nothing
        return partial(_move_one, disturbable(groups), stream(self.seed, step))


def _move_one(weights: list[Tensor], generator: torch.Generator) -> None:
    up = bool(torch.randint(2, (), generator=generator))
    counts = [int(has_neighbour(real(weight), up).sum()) for weight in weights]
    if not sum(counts):
        return
    place = int(torch.randint(sum(counts), (), generator=generator))
    for weight, count in zip(weights, counts, strict=True):
        if place < count:
            _move(real(weight), place, up)
            return
        place -= count


def _move(numbers: Tensor, place: int, up: bool) -> None:
    """Move the `place`-th of those that can move."""
    index = tuple(has_neighbour(numbers, up).nonzero()[place].tolist())
    numbers[index] = neighbour(numbers[index], up)
