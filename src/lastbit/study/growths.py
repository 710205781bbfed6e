"""How each pair of a study's trials parts: the growth of RelL1 over the snapshots both kept."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import Any

from lastbit.divergence import Growth, growth, leapt_most
from lastbit.study.distances import Distance


@dataclass(frozen=True)
class PairGrowth:
    """Growth of the distance between a trial and the unperturbed one of its seed."""

    noise: int  # index of the noise
    seed: int  # index of the seed
    growth: Growth  # of RelL1; where not every step was kept, a jump lies somewhere between two snapshots
    layers: tuple[str | None, ...]  # for each jump, the tensor whose RelL1 leapt by the largest factor

    def as_json(self) -> dict[str, Any]:
        """Segments, jumps with their tensors, and saturation as plain JSON."""
        jumps = [{**asdict(jump), "layer": layer} for jump, layer in zip(self.growth.jumps, self.layers, strict=True)]
        return self.growth.as_json() | {"jumps": jumps}


def pair_growths(distances: Sequence[Distance]) -> list[PairGrowth]:
    """Growth of each pair of trials.

    Args:
        distances: of all pairs at all steps, as `weight_distances` gives them.
    """
    ordered = sorted(distances, key=lambda distance: (distance.noise, distance.seed, distance.step))
    return [_pair(noise, seed, list(series)) for (noise, seed), series in groupby(ordered, lambda d: (d.noise, d.seed))]


def _pair(noise: int, seed: int, series: Sequence[Distance]) -> PairGrowth:
    found = growth([distance.rel_l1.value for distance in series], [distance.step for distance in series])
    tensors = {distance.step: distance.rel_l1.tensors for distance in series}
    layers = tuple(leapt_most(tensors[jump.before], tensors[jump.step]) for jump in found.jumps)
    return PairGrowth(noise, seed, found, layers)
