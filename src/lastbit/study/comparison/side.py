"""One side of a comparison: a recipe's runs of one metric, from a study or from plain numbers."""

from collections.abc import Iterable, Mapping, Sized
from dataclasses import dataclass
from math import nan
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from lastbit.errors import LastbitError
from lastbit.execution.numerics import Fingerprint
from lastbit.runs.numbers import LARGEST
from lastbit.statistics.spread import Table
from lastbit.study.controls import Controls
from lastbit.study.grid import Grid
from lastbit.study.metric import Metric

_MISSING = frozenset({"", "-", "–", "n/a", "na", "none", "null", "nan"})


@dataclass(frozen=True)
class ComparedStudy:
    """The study behind a side."""

    grid: Grid
    controls: Controls | None
    settings: Mapping[str, Any]
    fingerprints: list[Fingerprint]
    metric: Metric  # that is compared


@dataclass(frozen=True)
class Side:
    """A recipe's runs of one metric."""

    name: str
    values: Table  # (noises, seeds); NaN for a run that counts in no average
    noises: tuple[str, ...]
    seeds: tuple[int, ...]  # positions, for plain numbers
    lost: tuple[str, ...]  # the runs that count in no average, and why
    study: ComparedStudy | None = None  # None for plain numbers
    has_seeds: bool = False  # whether `seeds` are those of a study or of a dictionary, and no positions
    doubt: str = ""  # a warning about its seeds, to be read before any number

    @property
    def runs(self) -> int:
        """How many runs count."""
        return int(np.sum(~np.isnan(self.values)))

    @property
    def finished(self) -> list[int]:
        """Indices of the seeds with a finished run."""
        return [int(j) for j in np.flatnonzero(~np.isnan(self.values).all(0))]

    def seed_means(self) -> dict[int, float]:
        """Mean over the noises by seed, for seeds with a finished run."""
        return {self.seeds[j]: float(np.nanmean(self.values[:, j])) for j in self.finished}

    def repeats(self) -> dict[int, Table]:
        """The finished runs of each seed that has one, shapes (runs,)."""
        return {self.seeds[j]: self.at_seed(self.seeds[j]) for j in self.finished}

    def at_seed(self, seed: int) -> Table:
        """The finished runs at a seed, shape (runs,)."""
        column = self.values[:, self.seeds.index(seed)]
        return column[~np.isnan(column)]

    def runs_at(self, seeds: Iterable[int]) -> int:
        """How many runs count that have one of these seeds."""
        return sum(len(self.at_seed(seed)) for seed in seeds)

    def left_out(self, compared: Iterable[int]) -> list[str]:
        """The seeds that have runs but are not among the seeds that are compared."""
        return [f"{'seed' if self.has_seeds else 'run'} {seed}" for seed in self.seed_means() if seed not in compared]

    def as_json(self, mean: float, compared: tuple[int, ...]) -> dict[str, Any]:
        """As a comparison holds it.

        Args:
            mean: of the values that are tested.
            compared: the seeds behind these values.
        """
        means = self.seed_means()
        return {
            "name": self.name,
            "settings": None if self.study is None else dict(self.study.settings),
            "mean": mean,
            "seeds": list(means),
            "runs": self.runs,
            "compared_seeds": list(compared),
            "compared_runs": self.runs_at(compared),
            "left_out": self.left_out(compared),
            "lost": list(self.lost),
            "values": [
                {"seed": seed, "noise": noise, "value": float(self.values[i, j])}
                for j, seed in enumerate(self.seeds)
                for i, noise in enumerate(self.noises)
            ],
            "seed_means": [{"seed": seed, "value": value} for seed, value in means.items()],
        }


def side_of_numbers(numbers: ArrayLike, name: str) -> Side:
    """Read final metrics of shape (seeds,) or (noises, seeds), or a dictionary of them by seed.

    None, NaN, infinities, values beyond `LARGEST`, masked and empty ones are runs that count nowhere. A text may end
    in %.

    Args:
        numbers: the runs.
        name: of the recipe.

    Raises:
        LastbitError: they are no numbers, or have another shape.
    """
    if numbers is None:
        raise LastbitError(f"{name} is None: {_WANTED}")
    seeds: tuple[int, ...] | None = None
    if isinstance(numbers, Mapping):
        seeds, numbers = _by_seed(numbers, name)
    elif isinstance(numbers, Iterable) and not isinstance(numbers, Sized):
        numbers = list(numbers)
    table = _table(numbers, name)
    if table.ndim > 2 or table.size == 0:
        raise LastbitError(f"{name} has shape {np.shape(numbers)}: give at least two runs, (seeds,) or (noises, seeds)")
    places = seeds or tuple(range(1, table.shape[1] + 1))
    what = "seed" if seeds else "run"
    counts = np.abs(table) <= LARGEST
    lost = [
        f"{what} {places[j]}{f' of noise {i + 1}' if len(table) > 1 else ''} ({table[i, j]})"
        for i, j in np.argwhere(~counts)
    ]
    values = np.where(counts, table, np.nan)
    noises = tuple(str(i + 1) for i in range(len(table)))
    return Side(name, values, noises, places, tuple(lost), has_seeds=seeds is not None)


_WANTED = (
    "give a study's directory, its results, the final metrics of its runs, a table of them (noises, seeds), or "
    "{seed: metric}"
)


def _table(numbers: ArrayLike, name: str) -> Table:
    if isinstance(numbers, np.ma.MaskedArray):
        numbers = np.ma.filled(numbers.astype(float), nan)
    try:
        table = np.array(numbers)
        if table.dtype.kind in "USO":
            table = np.vectorize(_number, otypes=[float])(table) if table.size else table.astype(float)
        return np.atleast_2d(table.astype(float))
    except (TypeError, ValueError) as error:
        reason = f"; {error}" if isinstance(error, LastbitError) else ""
        raise LastbitError(
            f"{name} is neither a study nor numbers: {_WANTED}; got {type(numbers).__name__}{reason}"
        ) from None


def _number(value: object) -> float:
    if value is None:
        return nan
    if not isinstance(value, str):
        return float(value)  # type: ignore[arg-type]
    text = value.strip()
    if text.lower() in _MISSING:
        return nan
    try:
        return float(text.removesuffix("%"))
    except ValueError:
        raise LastbitError(f"{value!r} is no number") from None


def _by_seed(numbers: Mapping[object, object], name: str) -> tuple[tuple[int, ...], ArrayLike]:
    """Seeds and a table (noises, seeds) of a dictionary with a number, or as many for each, by seed."""
    columns = [list(v) if isinstance(v, Iterable) and not isinstance(v, str) else [v] for v in numbers.values()]
    if len({len(column) for column in columns}) > 1:
        raise LastbitError(
            f"{name} has different numbers of runs at its seeds: give each seed as many, None for a missing one"
        )
    try:
        seeds = tuple(int(str(seed)) for seed in numbers)
    except ValueError:
        raise LastbitError(
            f"{name} is a dictionary with the keys {', '.join(map(str, list(numbers)[:4]))}: its keys are seeds, whole "
            "numbers; for several metrics, give each one's numbers by themselves"
        ) from None
    return seeds, np.array(columns, dtype=object).T
