"""How far the trials of a study are from each other: in weights along the way, in predictions at the end."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations, groupby
from statistics import fmean, median
from typing import Any

from lastbit.divergence import Growth, RelL1, churn, growth, leapt_most, rel_l1
from lastbit.divergence.distances import check_comparable
from lastbit.errors import LastbitError
from lastbit.study.grid import Grid, noise_columns

_Place = tuple[int, int]  # index of the noise, index of the seed


@dataclass(frozen=True)
class Distance:
    """RelL1 between a trial and the unperturbed one of its seed, after so many steps."""

    noise: int  # index of the noise
    seed: int  # index of the seed
    step: int
    rel_l1: RelL1


@dataclass(frozen=True)
class PairGrowth:
    """Growth of the distance between a trial and the unperturbed one of its seed."""

    noise: int  # index of the noise
    seed: int  # index of the seed
    growth: Growth  # of RelL1; where not every step was kept, a jump lies somewhere between two snapshots
    layers: tuple[str | None, ...]  # for each jump, the tensor whose RelL1 grew by the largest factor

    def as_json(self) -> dict[str, Any]:
        """Segments, jumps with their tensors, and saturation as plain JSON."""
        jumps = [{**asdict(jump), "layer": layer} for jump, layer in zip(self.growth.jumps, self.layers, strict=True)]
        return self.growth.as_json() | {"jumps": jumps}


@dataclass(frozen=True)
class Churn:
    """Percent of test predictions on which pairs of trials differ."""

    mean: float
    largest: float
    pairs: int


def weight_distances(grid: Grid) -> tuple[list[Distance], list[str]]:
    """RelL1 to the first noise of the same seed, for every other noise, at each step whose weights both kept.

    Returns:
        The distances, and a line for each pair of trials whose weights have different names or shapes.
    """
    distances: list[Distance] = []
    incomparable = []
    for noise, seed in sorted(grid.stored):
        if noise == 0 or (0, seed) not in grid.stored:
            continue
        try:
            distances += list(_pair_distances(grid, (noise, seed)))
        except _IncomparableError as error:
            labels = f"{grid.noises[noise].label} and {grid.noises[0].label}"
            incomparable.append(f"seed {grid.seeds[seed]}, {labels}: {error}")
    return distances, incomparable


class _IncomparableError(Exception):
    """Weights of other names or shapes, which is no damage of a file."""


def _pair_distances(grid: Grid, place: _Place) -> Iterator[Distance]:
    trial, baseline = grid.stored[place], grid.stored[0, place[1]]
    kept = set(baseline.weight_steps())
    for step in trial.weight_steps():
        if step in kept:
            weights, others = trial.weights(step), baseline.weights(step)
            try:
                check_comparable(weights, others)
            except LastbitError as error:
                raise _IncomparableError(error) from None
            yield Distance(*place, step, rel_l1(weights, others))


def pair_growths(distances: Sequence[Distance]) -> list[PairGrowth]:
    """Growth of each pair of trials.

    Args:
        distances: of all pairs at all steps, as `weight_distances` gives them.
    """
    ordered = sorted(distances, key=lambda distance: (distance.noise, distance.seed, distance.step))
    return [_growth(*place, list(series)) for place, series in groupby(ordered, lambda d: (d.noise, d.seed))]


def _growth(noise: int, seed: int, series: Sequence[Distance]) -> PairGrowth:
    fitted = growth([distance.rel_l1.value for distance in series], [distance.step for distance in series])
    tensors = {distance.step: distance.rel_l1.tensors for distance in series}
    layers = tuple(leapt_most(tensors[jump.before], tensors[jump.step]) for jump in fitted.jumps)
    return PairGrowth(noise, seed, fitted, layers)


def _any_pair(one: int, other: int) -> bool:
    """Whether runs of these two are compared: always."""
    return True


def prediction_churn(grid: Grid, *, axis: int, among: Callable[[int, int], bool] = _any_pair) -> Churn | None:
    """Churn over pairs of trials that differ in one thing; None without two such trials with predictions.

    Args:
        grid: the stored trials.
        axis: `OVER_NOISES` for noises of one seed, `OVER_SEEDS` for seeds of one noise.
        among: whether runs at two indices along the axis are compared; by default all are.
    """
    stored = {place: trial.predictions() for place, trial in grid.stored.items()}
    labels = {place: predictions for place, predictions in stored.items() if predictions is not None}
    shares = [
        100 * churn(labels[first], labels[second])
        for first, second in combinations(sorted(labels), 2)
        if first[1 - axis] == second[1 - axis]
        and among(first[axis], second[axis])
        and labels[first].shape == labels[second].shape
        and labels[first].numel()
    ]
    return Churn(fmean(shares), max(shares), len(shares)) if shares else None


def distances_json(grid: Grid, distances: Sequence[Distance]) -> dict[str, Any]:
    """Distances, their medians by layer and their growth as the results of a study hold them, in rows."""
    layers: dict[tuple[str, int], list[float]] = {}
    for distance in distances:
        for layer, value in distance.rel_l1.tensors.items():
            layers.setdefault((layer, distance.step), []).append(value)
    return {
        "rel_l1": [
            {**_place(grid, distance), "step": distance.step, "value": distance.rel_l1.value} for distance in distances
        ],
        "rel_l1_layers": [
            {"layer": layer, "step": step, "value": median(values)} for (layer, step), values in layers.items()
        ],
        "growth": [{**_place(grid, pair), **pair.as_json()} for pair in pair_growths(distances)],
    }


def _place(grid: Grid, pair: Distance | PairGrowth) -> dict[str, Any]:
    return {**noise_columns(grid.noises[pair.noise]), "seed": grid.seeds[pair.seed]}
