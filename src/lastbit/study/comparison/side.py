"""One side of a comparison: a recipe's runs, from a study or as plain numbers."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from lastbit.errors import LastbitError
from lastbit.study.controls import Controls
from lastbit.study.fingerprint import Fingerprint
from lastbit.study.grid import Grid
from lastbit.study.metric import TEST_ACCURACY, Metric
from lastbit.study.reopen import reopen
from lastbit.study.results import Results
from lastbit.study.spread import Table
from lastbit.study.study import Study

Runs = str | Path | Study | Results | ArrayLike  # what can be compared


@dataclass(frozen=True)
class Side:
    """A recipe's runs of one metric."""

    name: str
    values: Table  # (noises, seeds); NaN for a run that counts in no average
    noises: tuple[str, ...]
    seeds: tuple[int, ...]  # positions, for plain numbers
    lost: tuple[str, ...]  # the runs that count in no average, and why
    study: "Origin | None" = None  # None for plain numbers

    @property
    def finished(self) -> list[int]:
        """Indices of the seeds with a finished run."""
        return [int(j) for j in np.flatnonzero(~np.isnan(self.values).all(0))]

    def seed_means(self) -> dict[int, float]:
        """Mean over the noises by seed, for seeds with a finished run."""
        return {self.seeds[j]: float(np.nanmean(self.values[:, j])) for j in self.finished}

    def at_seed(self, seed: int) -> Table:
        """The finished runs at a seed, shape (runs,)."""
        column = self.values[:, self.seeds.index(seed)]
        return column[~np.isnan(column)]


@dataclass(frozen=True)
class Origin:
    """The study behind a side."""

    grid: Grid
    controls: Controls | None
    settings: Mapping[str, Any]
    fingerprints: list[Fingerprint]
    metric: Metric  # that is compared


def sides(a: Runs, b: Runs, metric: str | None) -> tuple[Side, Side]:
    """Read both sides.

    Args:
        a: runs.
        b: the other runs.
        metric: a name given to `log`; None for the studies' own.

    Raises:
        LastbitError: one is no study, has no such metric, is about another, or is neither a study nor numbers.
    """
    one, other = _read(a, metric, "a"), _read(b, metric, "b")
    if one.study is not None and other.study is not None and one.study.metric.name != other.study.metric.name:
        both = sorted(metrics_of(one.study.grid) & metrics_of(other.study.grid))
        raise LastbitError(
            f"{one.name} is about {one.study.metric.name!r} and {other.name} about {other.study.metric.name!r}: name a "
            f"metric that both logged ({', '.join(both) or 'there is none'})"
        )
    if one.name != other.name:
        return one, other
    by_place = [_place(runs) for runs in (a, b)]
    names = by_place if len(set(by_place)) == 2 else [f"{one.name} (a)", f"{other.name} (b)"]
    return replace(one, name=names[0]), replace(other, name=names[1])


def _read(runs: Runs, metric: str | None, name: str) -> Side:
    if isinstance(runs, str | Path):
        runs = reopen(Path(runs))
    if isinstance(runs, Study):
        grid = runs.grid()
        return _of_study(runs.name, _origin(runs, grid, runs.controls(), _kinds(grid), metric))
    if isinstance(runs, Results):
        return _of_study(runs.name, _origin(runs, runs.grid, runs.controls, runs.fingerprints, metric))
    return _of_numbers(runs, name)


def _origin(
    runs: Study | Results, grid: Grid, controls: Controls | None, kinds: list[Fingerprint], metric: str | None
) -> Origin:
    asked = runs.metric if metric in (None, runs.metric.name) else Metric(str(metric), str(metric))
    # Test accuracy is a percentage by custom, also in a study that is about something else.
    known = TEST_ACCURACY if asked.name == TEST_ACCURACY.name else asked
    return Origin(grid, controls, runs.settings, kinds, known)


def _of_study(name: str, origin: Origin) -> Side:
    grid, metric = origin.grid, origin.metric.name
    if metric not in metrics_of(grid):
        logged = ", ".join(sorted(metrics_of(grid)))
        known = f"it has {logged}" if logged else "no finished run of it logged one"
        raise LastbitError(f"the study {name} has no metric {metric!r}: {known}")
    values = grid.values(metric)
    values[~np.isfinite(values)] = np.nan
    noises = tuple(noise.label for noise in grid.noises)
    return Side(name, values, noises, grid.seeds, tuple(_lost(grid, values, metric)), origin)


def metrics_of(grid: Grid) -> set[str]:
    """Names of everything logged by any trial."""
    return {name for trial in grid.stored.values() for row in trial.metrics for name in row} - {"step"}


def _lost(grid: Grid, values: Table, metric: str) -> list[str]:
    places = [(i, j) for j in range(len(grid.seeds)) for i in range(len(grid.noises)) if np.isnan(values[i, j])]
    return [f"seed {grid.seeds[j]}, {grid.noises[i].label} ({_fate(grid, (i, j), metric)})" for i, j in places]


def _fate(grid: Grid, place: tuple[int, int], metric: str) -> str:
    trial = grid.stored.get(place)
    if trial is None:
        return "not finished" if place not in grid.failed else grid.failed[place].outcome
    return f"no finite {metric}" if trial.diverged_at is None else f"diverged at step {trial.diverged_at}"


def _of_numbers(numbers: ArrayLike, name: str) -> Side:
    try:
        table = np.atleast_2d(np.array(numbers, dtype=float))
    except (TypeError, ValueError):
        raise LastbitError(
            f"{name} is neither a study nor numbers: give a study's directory, its results, the final metrics of its "
            f"runs, or a table of them (noises, seeds); got {type(numbers).__name__}"
        ) from None
    if table.ndim > 2 or table.size == 0:
        raise LastbitError(f"{name} has shape {np.shape(numbers)}: give at least two runs, (seeds,) or (noises, seeds)")
    lost = [
        f"run {j + 1}" + (f" of noise {i + 1}" if len(table) > 1 else "") + f" ({table[i, j]})"
        for i, j in np.argwhere(~np.isfinite(table))
    ]
    values = np.where(np.isfinite(table), table, np.nan)
    noises = tuple(str(i + 1) for i in range(len(table)))
    return Side(name, values, noises, tuple(range(1, table.shape[1] + 1)), tuple(lost))


def _kinds(grid: Grid) -> list[Fingerprint]:
    found: list[Fingerprint] = []
    for trial in grid.stored.values():
        if trial.fingerprint not in found:
            found.append(trial.fingerprint)
    return found


def _place(runs: Runs) -> str:
    if isinstance(runs, Study):
        return runs.store.root.name
    return Path(runs).resolve().name if isinstance(runs, str | Path) else ""
