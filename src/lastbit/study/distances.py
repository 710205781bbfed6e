"""How far the trials of a study are from each other: in weights along the way, in predictions at the end."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean, median

from lastbit.divergence import RelL1, check_shapes, churn, rel_l1
from lastbit.errors import LastbitError
from lastbit.study.grid import Grid


@dataclass(frozen=True)
class Distance:
    """RelL1 between a trial and the unperturbed one of its seed, after so many steps."""

    noise: int  # index of the noise
    seed: int  # index of the seed
    step: int
    rel_l1: RelL1


@dataclass(frozen=True)
class Churn:
    """Percent of test predictions on which pairs of trials differ."""

    mean: float
    largest: float
    pairs: int


def weight_distances(grid: Grid) -> list[Distance]:
    """RelL1 to the first noise of the same seed, for every other noise, at each step whose weights both kept.

    Pairs of which `incomparable` speaks are left out.
    """
    return [
        Distance(i, j, step, rel_l1(trial.weights(step), grid.stored[0, j].weights(step)))
        for (i, j), trial in sorted(grid.stored.items())
        if i > 0 and (0, j) in grid.stored and _complaint(grid, (i, j)) is None
        for step in _common_steps(grid, (i, j))
    ]


def incomparable(grid: Grid) -> list[str]:
    """The trials whose weights have other names or shapes than those of their seed's first noise, and in what."""
    places = [(i, j) for i, j in sorted(grid.stored) if i > 0 and (0, j) in grid.stored]
    return [
        f"seed {grid.seeds[j]}, {grid.noises[i].label} and {grid.noises[0].label}: {complaint}"
        for i, j in places
        if (complaint := _complaint(grid, (i, j))) is not None
    ]


def _common_steps(grid: Grid, place: tuple[int, int]) -> list[int]:
    other = set(grid.stored[0, place[1]].weight_steps())
    return [step for step in grid.stored[place].weight_steps() if step in other]


def _complaint(grid: Grid, place: tuple[int, int]) -> str | None:
    """Why a trial's weights cannot be compared with those of the first noise; None where they can, or are not there."""
    trial, other = grid.stored[place], grid.stored[0, place[1]]
    for step in _common_steps(grid, place):
        shapes = trial.weight_shapes(step), other.weight_shapes(step)  # a damaged file is no matter of shapes
        try:
            check_shapes(*shapes)
        except LastbitError as error:
            return str(error)
    return None


def layer_medians(distances: list[Distance]) -> dict[tuple[str, int], float]:
    """Median RelL1 over pairs of trials, by (name of the weight tensor, step)."""
    by_place: dict[tuple[str, int], list[float]] = {}
    for distance in distances:
        for layer, value in distance.rel_l1.tensors.items():
            by_place.setdefault((layer, distance.step), []).append(value)
    return {place: median(values) for place, values in by_place.items()}


def noise_churn(grid: Grid) -> Churn | None:
    """Churn between noises of one seed; None without two such trials with predictions."""
    return _churn(
        grid,
        [((i, s), (j, s)) for s in range(len(grid.seeds)) for i, j in combinations(range(len(grid.noises)), 2)],
    )


def seed_churn(grid: Grid) -> Churn | None:
    """Churn between seeds of one noise; None without two such trials with predictions."""
    return _churn(
        grid,
        [((n, i), (n, j)) for n in range(len(grid.noises)) for i, j in combinations(range(len(grid.seeds)), 2)],
    )


_Place = tuple[int, int]


def _churn(grid: Grid, pairs: list[tuple[_Place, _Place]]) -> Churn | None:
    shares = list(_shares(grid, pairs))
    return Churn(fmean(shares), max(shares), len(shares)) if shares else None


def _shares(grid: Grid, pairs: list[tuple[_Place, _Place]]) -> Iterator[float]:
    labels = {place: trial.predictions() for place, trial in grid.stored.items()}
    for one, other in pairs:
        first, second = labels.get(one), labels.get(other)
        if first is not None and second is not None and first.shape == second.shape and first.numel():
            yield 100 * churn(first, second)
