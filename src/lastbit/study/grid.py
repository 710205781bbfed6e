"""A study's stored trials in their table: a row for each noise, a column for each seed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import median
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch

from lastbit.execution.numerics import Fingerprint
from lastbit.noise import Noise
from lastbit.noise.noise import setting_names
from lastbit.statistics.examples import Correctness
from lastbit.statistics.spread import Table, spread
from lastbit.study.recorder import STEP
from lastbit.study.stored_trial import FAILED, StoredTrial
from lastbit.study.trial import Failure

if TYPE_CHECKING:
    import polars as pl

_Cell = TypeVar("_Cell")
# The columns of any trial's row, whatever its noise: a metric with such a name stands under `metrics` alone.
_COLUMNS = frozenset({"id", "seed", "noise", "noise_seed", "status", "diverged_at", "failure", "metrics"})


@dataclass(frozen=True)
class Grid:
    """Stored trials by place; an unfinished one is absent."""

    noises: tuple[Noise, ...]  # the first is the one the others are compared with
    seeds: tuple[int, ...]
    stored: Mapping[tuple[int, int], StoredTrial]  # (index of the noise, index of the seed) -> trial
    ids: Mapping[tuple[int, int], str]  # the same places -> trial id, for all trials
    failed: Mapping[tuple[int, int], Failure] = field(default_factory=dict)  # those that failed when last tried

    def values(self, metric: str) -> Table:
        """Final values of a metric, shape (noises, seeds); NaN for a diverged or unfinished trial."""
        table = np.full((len(self.noises), len(self.seeds)), np.nan)
        for place, trial in self.stored.items():
            value = trial.final(metric)
            table[place] = np.nan if value is None else value
        return table

    def metrics(self) -> list[str]:
        """Names of everything that a trial logged, in order."""
        names = dict.fromkeys(name for trial in self.stored.values() for row in trial.metrics for name in row)
        return [name for name in names if name != STEP]

    def examples(self) -> int | None:
        """Size of the test set, by the first stored predictions; None where there are none."""
        sizes = (labels.numel() for trial in self.stored.values() if (labels := trial.predictions()) is not None)
        return next(sizes, None)

    def correctness(self) -> Correctness | None:
        """Which finished run is right on which test example.

        None where no finished run stored both predictions and true labels, or where test sets differ.
        """
        finished = {place: trial for place, trial in self.stored.items() if trial.diverged_at is None}
        targets = {place: labels for place, trial in finished.items() if (labels := trial.targets()) is not None}
        if not targets:
            return None
        first = next(iter(targets.values()))
        if len(first) == 0 or not all(torch.equal(first, other) for other in targets.values()):
            return None
        right = np.full((len(self.noises), len(self.seeds), len(first)), np.nan)
        for place in targets:
            labels = finished[place].predictions()
            right[place] = 100.0 * (labels == first).numpy() if labels is not None else np.nan
        return Correctness(first.numpy(), right)

    def gradient_fluctuation(self) -> float | None:
        """The median of the gradient's relative fluctuation over the epochs of the unperturbed trials (footnote 5)."""
        unperturbed = [trial for (noise, _), trial in self.stored.items() if noise == 0]
        values = [row.get("gradient_fluctuation") for trial in unperturbed for row in trial.metrics]
        present = [value for value in values if value is not None]
        return median(present) if present else None

    def fingerprints(self) -> list[Fingerprint]:
        """The distinct fingerprints of the trials; one, where all ran on the same machine and libraries."""
        prints = [trial.fingerprint for trial in self.stored.values()]
        return [fingerprint for i, fingerprint in enumerate(prints) if fingerprint not in prints[:i]]

    @property
    def source(self) -> str:
        """What the runs of a seed differ in: `last-bit noise`, `summation order`."""
        disturbing = [noise for noise in self.noises if not noise.is_exact] or self.noises[:1]
        return " and ".join(dict.fromkeys(noise.source for noise in disturbing))

    def doubts(self) -> Iterator[str]:
        """Why trials may not have started alike, each with the trial's label."""
        for (noise, seed), trial in sorted(self.stored.items()):
            yield from (f"seed {self.seeds[seed]}, {self.noises[noise].label} {doubt}" for doubt in trial.doubts)

    def by_numerics(self) -> dict[str | None, list[int]]:
        """The seeds of each kind of numerics by its bit fingerprint, which is None where none was taken."""
        groups: dict[str | None, list[int]] = {}
        for j, seed in enumerate(self.seeds):
            if trials := self.at_seed(j):
                groups.setdefault(next(iter(trials.values())).bit_fingerprint, []).append(seed)
        return groups

    def at_seed(self, seed: int) -> dict[int, StoredTrial]:
        """The stored trials at the seed of this index, by the index of their noise, ascending."""
        return {i: self.stored[i, seed] for i in range(len(self.noises)) if (i, seed) in self.stored}

    def with_seeds(self, seeds: Sequence[int]) -> Grid:
        """The part of the table that belongs to some of the seeds.

        Args:
            seeds: indices, ascending.
        """
        new = {j: position for position, j in enumerate(seeds)}
        return replace(
            self,
            seeds=tuple(self.seeds[j] for j in seeds),
            stored=_at_seeds(self.stored, new),
            ids=_at_seeds(self.ids, new),
            failed=_at_seeds(self.failed, new),
        )

    def rows(self, metric: str) -> Iterator[dict[str, Any]]:
        """A row for each trial that ended, seed by seed.

        Args:
            metric: the study's own, which every row has.
        """
        columns = _COLUMNS | setting_names()
        for i, j in sorted({**self.stored, **self.failed}, key=lambda place: (place[1], place[0])):
            trial, failed = self.stored.get((i, j)), self.failed.get((i, j))
            metrics = _final_metrics(trial, metric)
            yield {
                **{name: value for name, value in metrics.items() if name not in columns},  # as before format 3
                "id": self.ids[i, j],
                "seed": self.seeds[j],
                **noise_columns(self.noises[i]),
                "status": FAILED if trial is None else trial.status,
                "diverged_at": None if trial is None else trial.diverged_at,
                "failure": None if failed is None else failed.as_json(),
                "metrics": metrics,
            }

    def frame(self, metric: str) -> pl.DataFrame:
        """The paper's Table 1: rows k, columns seeds, then STD (ddof 1) of each row; last a row of the columns' STD."""
        import polars as pl  # only here: it takes half a second that no worker needs

        values = self.values(metric)
        columns = {
            f"seed {seed}": np.append(column, _std(column)) for seed, column in zip(self.seeds, values.T, strict=True)
        }
        stds = np.array([*map(_std, values), np.nan])
        labels = [*(noise.label for noise in self.noises), "STD"]
        return pl.DataFrame({"noise": labels, **columns, "STD": stds}, nan_to_null=True)


def noise_columns(noise: Noise) -> dict[str, Any]:
    """A noise in a row whose `seed` is that of the batch order, so that the noise's seed is called `noise_seed`."""
    settings = {"noise_seed" if name == "seed" else name: value for name, value in noise.as_json().items()}
    return {"noise": noise.label, **settings}


def _final_metrics(trial: StoredTrial | None, metric: str) -> dict[str, Any]:
    """The last value of each metric by name; the study's own is there even without a value."""
    rows = [] if trial is None else trial.metrics
    last = {name: value for row in rows for name, value in row.items() if name != STEP}
    own = {metric: None if trial is None else trial.final(metric)} if metric else {}
    return {**last, **own}


def _at_seeds(cells: Mapping[tuple[int, int], _Cell], new: Mapping[int, int]) -> dict[tuple[int, int], _Cell]:
    return {(i, new[j]): cell for (i, j), cell in cells.items() if j in new}


def _std(values: Table) -> float:
    estimate = spread(values)
    return np.nan if estimate is None else estimate.std
