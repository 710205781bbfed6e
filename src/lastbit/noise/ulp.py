"""The least possible perturbation: one weight, one unit in the last place, once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from lastbit.noise.noise import nothing
from lastbit.noise.seeded import Seeded, stream

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from lastbit.optimizers.weights import Groups


@dataclass(frozen=True)
class Ulp(Seeded):
    """One weight of the optimizer is moved to the next floating-point number, once, right after its first update.

    The move comes after the update, so that the disturbed run differs in one number by exactly one unit, whatever the
    update was. Before it, the update could round the unit away or cancellation could magnify it. The seed decides which
    weight moves, all being equally likely, and whether it moves up or down. Weights that are zero, subnormal or not
    finite are passed over (`lastbit.optimizers.weights`); if there are no others, none moves. Of weights that are split
    over processes (`DTensor`) all shards are equally likely, and then all weights of that shard.

    Attributes:
        seed: decides which weight and which way; None moves none.

    Raises:
        LastbitError: the seed is no whole number from 0 to 2**63 - 1.
    """

    kind = "ulp"
    off = "no ulp"
    help = "one weight by one ulp, once"
    difference = "one unit in the last place of one weight, once"
    explanation = (
        "<p>The noise (ulp #1, #2, …) is the least there is: after the first update one weight, drawn by its number, "
        "is moved to the next floating-point number, and then training goes on undisturbed. “no ulp” is ordinary "
        "training.</p>"
    )

    def prepare(self, groups: Groups, step: int) -> Callable[[], None]:
        """Return what moves the weight if this is the first step, and what does nothing otherwise."""
        if self.seed is None or step > 0:
            return nothing
        from lastbit.optimizers.weights import disturbable_shards

        shards, generator = disturbable_shards(groups), stream(self.seed, step)
        return partial(_move_one, _drawn(shards, generator), generator)


def _drawn(shards: dict[tuple[int, int], list[Tensor]], generator: Generator) -> list[Tensor]:
    """The weights among which one moves: all, or one shard's, which other processes do not have."""
    import torch

    count = max((count for _, count in shards), default=1)
    number = int(torch.randint(count, (), generator=generator)) if count > 1 else 0
    return shards.get((number, count), [])


def _move_one(weights: list[Tensor], generator: Generator) -> None:
    import torch

    from lastbit.optimizers.weights import has_neighbour, neighbour, real

    up = bool(torch.randint(2, (), generator=generator))
    counts = [int(has_neighbour(real(weight), up).sum()) for weight in weights]
    if not sum(counts):
        return
    place = int(torch.randint(sum(counts), (), generator=generator))
    for weight, count in zip(weights, counts, strict=True):
        if place < count:
            numbers = real(weight)
            index = tuple(has_neighbour(numbers, up).nonzero()[place].tolist())
            numbers[index] = neighbour(numbers[index], up)
            return
        place -= count
