"""The table that all formats end in: one row for each run, with its recipe, its seed and its value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True, eq=False)
class RunTable:
    """Runs that may be compared, and all that was assumed to make them so.

    Attributes:
        frame: one row for each run, and for each task of it: `recipe` (text), `seed` (whole numbers, or text where
            some are none; null where there is none), `task` (text, or null), `value` (finite), `file`, `row` (in the
            file, null where a file holds one run), `run` (its name, or null). Rows keep the order of the files.
        left_out: the rows that do not count, with the same columns and a `reason`; their `value` may be null or NaN.
        metric: the name of what is compared, in the unit of the file.
        by: the columns that make a recipe; empty where all runs are of one.
        settings: of each recipe, the values of these columns, and of those that differ with them.
        seed: the columns of the seed; empty where none tells it, so that runs of two recipes form no pairs.
        lower_is_better: whether less of the metric is better.
        notes: plain sentences: what was noticed, assumed and left out. The most important come first.
        examples: one row for each example of each run, where the files have them: `recipe`, `seed`, `task`, `example`,
            `cluster` (text, or null), `value`; None where they do not.
        is_direction_asked: whether a person said which is better; that goes before what names of tasks suggest.
    """

    frame: pl.DataFrame
    left_out: pl.DataFrame
    metric: str
    by: tuple[str, ...]
    settings: Mapping[str, Mapping[str, str]]
    seed: tuple[str, ...]
    lower_is_better: bool
    notes: tuple[str, ...]
    examples: pl.DataFrame | None = None
    is_direction_asked: bool = False

    @property
    def recipes(self) -> list[str]:
        """The recipes that have runs, in the order of the files."""
        return list(self.frame["recipe"].unique(maintain_order=True))

    @property
    def tasks(self) -> list[str]:
        """The tasks, in the order of the files; empty where there is one only and it has no name."""
        return list(self.frame["task"].drop_nulls().unique(maintain_order=True))

    def values(self, recipe: str, task: str | None = None) -> NDArray[np.float64]:
        """The values of a recipe's runs, shape (runs,); of all tasks one after the other unless one is named."""
        return self.rows(recipe, task)["value"].to_numpy()

    def by_seed(self, recipe: str, task: str | None = None) -> dict[int | str, float]:
        """The value of each seed of a recipe, for pairs: the mean where a seed ran more than once.

        Runs without a seed are in no pair.
        """
        return {seed: float(runs.mean()) for seed, runs in self.runs_by_seed(recipe, task).items()}

    def runs_by_seed(self, recipe: str, task: str | None = None) -> dict[int | str, NDArray[np.float64]]:
        """The values of the runs of each seed of a recipe, shapes (runs,); runs without a seed are left out."""
        rows = self.rows(recipe, task).drop_nulls("seed").select("seed", "value")
        parts = rows.group_by("seed", maintain_order=True).agg("value")
        return {seed: np.array(values, float) for seed, values in parts.iter_rows()}

    def rows(self, recipe: str, task: str | None = None) -> pl.DataFrame:
        """The rows of `frame` of a recipe; of all tasks unless one is named."""
        rows = self.frame.filter(self.frame["recipe"] == recipe)
        return rows if task is None else rows.filter(rows["task"] == task)
