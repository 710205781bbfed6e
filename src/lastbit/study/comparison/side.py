"""One side of a comparison: a recipe's runs of one metric."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from lastbit.statistics.spread import Table
from lastbit.study.controls import Controls
from lastbit.study.fingerprint import Fingerprint
from lastbit.study.grid import Grid
from lastbit.study.metric import Metric


@dataclass(frozen=True)
class Side:
    """A recipe's runs of one metric."""

    name: str
    values: Table  # (noises, seeds); NaN for a run that counts in no average
    noises: tuple[str, ...]
    seeds: tuple[int, ...]  # positions, for plain numbers
    lost: tuple[str, ...]  # the runs that count in no average, and why
    study: "Origin | None" = None  # None for plain numbers
    has_seeds: bool = False  # whether `seeds` are those of a study or of a dictionary, and no positions
    doubt: str = ""  # what is said of its seeds before any number

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
