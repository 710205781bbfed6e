"""Sharpness along a recipe's training: measured, stored as it comes, and taken up again where it stopped."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import nn

from lastbit.curvature import edge
from lastbit.errors import LastbitError
from lastbit.schedules import Schedule, every, log_spaced
from lastbit.storage.files import to_json
from lastbit.training.data.errors import first_line
from lastbit.training.descent import Descent, Point, RecipeDescent, prepare_descent
from lastbit.training.gradient_flow import RTOL
from lastbit.training.recipe import Recipe
from lastbit.training.sharpness import row as measured
from lastbit.training.sharpness.checkpoint import Tensors, checkpoint, resume
from lastbit.training.sharpness.finding import finding
from lastbit.training.sharpness.measurement import Measurement
from lastbit.training.sharpness.store import SeriesStore

FORMAT = 1
Row = dict[str, Any]  # of `sharpness.row.Row`, as plain JSON
_BATCH_NORM = nn.modules.batchnorm._BatchNorm


@dataclass(frozen=True)
class Series:
    """What is trained, and what is measured when. The number of steps is no part of it: a series can grow."""

    recipe: Recipe
    every: str = "10"  # steps from one measurement to the next, or as `parse_every` has it
    k: int = 1  # largest eigenvalues
    layers: bool = False  # each linear and convolutional layer too
    flow: bool = False  # the distance to the gradient flow too
    seed: int = 1  # of the order of batches
    images: int = 1000  # the first so many training images are measured on, where training is not full-batch
    device: str = "cpu"
    root: Path | None = None  # folder of the fetched data sets; None for the cache

    def description(self) -> dict[str, Any]:
        """What identifies the series, as plain JSON."""
        return {
            "format": FORMAT,
            "recipe": self.recipe.model_dump(mode="json"),
            "every": self.every,
            "k": self.k,
            "layers": self.layers,
            "flow": self.flow,
            "seed": self.seed,
            "images": self.images,
            "device": torch.device(self.device).type,
        }

    def open(self, directory: Path, *, steps: int) -> OpenSeries:
        """Prepare everything, and take up what is stored; nothing is trained or measured yet.

        Args:
            directory: empty, new, or of this series.
            steps: updates in all.

        Raises:
            LastbitError: the directory is something else's, the data are not here, or a setting is out of range.
        """
        schedule = parse_every(self.every)
        if steps < 1:
            raise LastbitError(f"steps = {steps}: write a number of updates from 1")
        if self.images < 1:
            raise LastbitError(f"images = {self.images}: write a number of training images from 1")
        device = torch.device(self.device)
        prepared = prepare_descent(self.recipe, seed=self.seed, measured=self.images, device=device, root=self.root)
        measurement = Measurement(prepared, k=self.k, layers=self.layers, flow=self.flow)
        store = SeriesStore(directory)
        store.claim(self.description())
        rows, state = store.rows(), store.state()
        if state is not None:
            _resume(state, prepared.descent, measurement, directory)
        return OpenSeries(self, steps, schedule, prepared, measurement, store, rows)


def _resume(state: Tensors, descent: Descent, measurement: Measurement, directory: Path) -> None:
    try:
        resume(state, descent, measurement)
    except (LookupError, RuntimeError, ValueError, TypeError) as error:
        raise LastbitError(
            f"{directory} holds the state of another training ({first_line(error)}): it was altered; delete it and "
            "give the command again"
        ) from error


@dataclass(frozen=True)
class OpenSeries:
    """A series in its directory, ready to go on from the last stored row."""

    series: Series
    steps: int
    schedule: Schedule
    prepared: RecipeDescent
    measurement: Measurement
    store: SeriesStore
    rows: dict[int, Row]  # those stored, by their step

    def run(self, *, on_point: Callable[[Point], None]) -> dict[str, Any]:
        """Train, measure what is due and not stored yet, and return the whole series.

        Each row is on disk before the training goes on.

        Args:
            on_point: called at every point of the training, after it was measured where that was due.
        """
        store, descent, rows = self.store, self.prepared.descent, dict(self.rows)
        for point in descent.points(self.steps):
            if self._is_due(point) and point.step not in rows:
                rows[point.step] = plain(self.measurement.row(point))
                store.append(rows[point.step])
                store.save_state(checkpoint(descent, self.measurement))
            on_point(point)
        content = self._content([row for step, row in sorted(rows.items()) if step <= self.steps])
        store.finish(content)
        return content

    def _is_due(self, point: Point) -> bool:
        """What the schedule says, and the first and the last point, for an adaptive optimizer but step 0."""
        first, step = self.measurement.first_step, point.step
        return point.diverged or step in (first, self.steps) or (step > first and self.schedule(step))

    def _content(self, rows: list[Row]) -> dict[str, Any]:
        descent = self.prepared.descent
        losses = descent.losses[: self.steps + 1]
        modules = list(descent.model.modules())
        return {
            **self.series.description(),
            "steps": self.steps,
            "measured_images": len(self.prepared.batch[1]),
            "full_batch": self.prepared.full_batch,
            "batch_norm": any(isinstance(module, _BATCH_NORM) for module in modules),
            "parameters": sum(parameter.numel() for parameter in descent.model.parameters()),
            "flow_rtol": RTOL if self.series.flow else None,
            "edge": edge(descent.optimizer)[0].source,
            "rows": rows,
            "losses": losses,
            "rises": sum(after > before for before, after in pairwise(losses)),
            "finding": finding(rows),
            "arithmetic": {"torch": torch.__version__, "threads": torch.get_num_threads()},
        }


def plain(row: measured.Row) -> Row:
    """A row as it is once stored: None for what is not finite."""
    stored: Row = json.loads(to_json(row.as_json()))
    return stored


def parse_every(text: str) -> Schedule:
    """The schedule that a text names: `10` for every tenth step, `log` or `log:5` for ten or five steps a decade.

    Raises:
        LastbitError: it names none.
    """
    kind, colon, number = text.partition(":")
    if kind.isdecimal() and not colon and int(kind) > 0:
        return every(int(kind))
    if kind == "log" and (not colon or (number.isdecimal() and int(number) > 0)):
        return log_spaced(int(number)) if colon else log_spaced()
    raise LastbitError(
        f"every = {text!r}: write a number of steps such as 10, or log, or log:5 for five steps a decade"
    )
