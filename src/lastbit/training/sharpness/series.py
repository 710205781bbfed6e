"""Sharpness along a recipe's training: measured, stored row by row, and continued where it stopped.

series.json          what is trained and measured
rows.jsonl           one line for each row, appended and synced
state.safetensors    where the training is, at the last row or the one before
sharpness.json       the series with its losses and its finding, written when its last step is reached
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter, ValidationError
from torch import nn

from lastbit.curvature import EDGE, SharpnessRow, edge_test
from lastbit.errors import LastbitError
from lastbit.optimizers import edge_of_stability
from lastbit.schedules import Schedule, every, log_spaced
from lastbit.storage.directories import Kind
from lastbit.storage.files import to_json
from lastbit.storage.run_directory import RunDirectory
from lastbit.training.descent import DescentPoint, RecipeDescent, prepare_descent
from lastbit.training.gradient_flow import RTOL
from lastbit.training.recipe import Recipe
from lastbit.training.sharpness.checkpoint import resume, write_descent
from lastbit.training.sharpness.measurement import Measurement

FORMAT = 2  # 1 had no checksums
RESULTS, _ROWS, _STATE = "sharpness.json", "rows.jsonl", "state.safetensors"
_BATCH_NORM = nn.modules.batchnorm._BatchNorm
_ADDED = ("critical", "batch_sharpness", "central_flow")  # options that series of before do not name
_READER = TypeAdapter(SharpnessRow)


@dataclass(frozen=True)
class Series:
    """What is trained, and what is measured when. The number of steps is not part of it, so that a series can grow."""

    recipe: Recipe
    every: str = "10"  # steps from one measurement to the next, or as `parse_every` has it
    k: int = 1  # largest eigenvalues
    layers: bool = False  # each linear and convolutional layer too
    flow: bool = False  # the distance to the gradient flow too
    central_flow: bool = False  # the central flow too
    critical: bool = False  # how much longer each measured point's last update could have been
    batch_sharpness: bool = False  # the curvature of batches along their own gradients
    seed: int = 1  # of the order of batches
    images: int = 1000  # the first so many training images are measured on, where training is not full-batch
    device: str = "cpu"
    root: Path | None = None  # folder of the fetched data sets; None for the cache

    def description(self) -> dict[str, Any]:
        """What identifies the series, as plain JSON."""
        options = {name: getattr(self, name) for name in ("every", "k", "layers", "flow", "seed", "images")}
        options |= {name: True for name in _ADDED if getattr(self, name)}
        device = torch.device(self.device).type
        return {"format": FORMAT, "recipe": self.recipe.model_dump(mode="json"), **options, "device": device}

    @contextmanager
    def open(self, directory: str | Path, *, steps: int) -> Iterator[OpenSeries]:
        """Prepare everything, claim the directory, and read what is stored; nothing is trained or measured yet.

        Args:
            directory: empty, new, or of this series; no other process can use it while the block runs.
            steps: updates in all.

        Raises:
            LastbitError: the directory is something else's or in use, the data are not here, or a setting is out of
                range.
        """
        schedule = parse_every(self.every)
        if steps < 1:
            raise LastbitError(f"steps = {steps}: write a number of updates from 1")
        if self.images < 1:
            raise LastbitError(f"images = {self.images}: write a number of training images from 1")
        device = torch.device(self.device)
        prepared = prepare_descent(self.recipe, seed=self.seed, measured=self.images, device=device, root=self.root)
        beside = {name: getattr(self, name) for name in _ADDED}
        measurement = Measurement(prepared, k=self.k, layers=self.layers, flow=self.flow, **beside)
        store = RunDirectory(directory, Kind.SHARPNESS)
        with store.claimed(self.description()):
            rows = {row.step or 0: row for row in _rows(store)}
            resume(store.root / _STATE, prepared.descent, measurement)
            yield OpenSeries(self, steps, schedule, prepared, measurement, store, rows)


@dataclass(frozen=True)
class OpenSeries:
    """A series in its directory, ready to go on from the last stored row."""

    series: Series
    steps: int
    schedule: Schedule
    prepared: RecipeDescent
    measurement: Measurement
    store: RunDirectory
    rows: dict[int, SharpnessRow]  # those stored, by their step

    def run(self, *, on_point: Callable[[DescentPoint], None]) -> dict[str, Any]:
        """Train, measure what is due and not stored yet, and return the series as it is stored.

        Each row is on disk before the training goes on.

        Args:
            on_point: called at every point of the training, after it was measured where that was due.
        """
        descent, rows = self.prepared.descent, dict(self.rows)
        self._look_ahead(descent.step)
        for point in descent.points(self.steps):
            if self._is_due(point) and point.step not in rows:
                rows[point.step] = self.measurement.row(point)
                self.store.append(_ROWS, _as_stored(rows[point.step]))
                write_descent(self.store.root / _STATE, descent, self.measurement)
            self._look_ahead(point.step)
            on_point(point)
        content = self._content([row for step, row in sorted(rows.items()) if step <= self.steps])
        self.store.write(RESULTS, content)
        plain: dict[str, Any] = json.loads(to_json(content))
        return plain

    def _is_due(self, point: DescentPoint) -> bool:
        return point.diverged or self._is_measured(point.step)

    def _is_measured(self, step: int) -> bool:
        """The steps that the schedule names, the first (1 for an adaptive optimizer) and the last."""
        first = self.measurement.first_step
        return step in (first, self.steps) or (step > first and self.schedule(step))

    def _look_ahead(self, step: int) -> None:
        """Prepare, at a step, for a measurement at the next one."""
        if self._is_measured(step + 1) and step + 1 <= self.steps:
            self.measurement.before_update()

    def _content(self, rows: list[SharpnessRow]) -> dict[str, Any]:
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
            "edge": edge_of_stability(descent.optimizer)[0].source,
            "small_batch_edge": edge_of_stability(descent.optimizer, batch="small")[0].source,
            "rows": list(map(_as_stored, rows)),
            "losses": losses,
            "rises": sum(after > before for before, after in pairwise(losses)),
            "finding": series_finding(rows),
            "stands": edge_test(rows).sentence() if self.series.batch_sharpness else None,
            "numerics": {"torch": torch.__version__, "threads": torch.get_num_threads()},
        }


def _as_stored(row: SharpnessRow) -> dict[str, Any]:
    """A row without its wall time, so that the same measurement is the same bytes."""
    return {
        name: {inner: kept for inner, kept in value.items() if inner != "seconds"} if isinstance(value, dict) else value
        for name, value in row.as_dict().items()
        if name != "seconds"
    }


def _rows(store: RunDirectory) -> Iterator[SharpnessRow]:
    """The stored rows; null stands for what is not finite.

    Raises:
        LastbitError: a line is no row with its step.
    """
    for stored in store.rows(_ROWS):
        try:
            row = _READER.validate_python(_with_nan(stored))
        except ValidationError:
            row = None
        if row is None or row.step is None:
            raise LastbitError(f"{store.root / _ROWS} holds something else than measurements: it was altered")
        yield row


def _with_nan(stored: Any) -> Any:
    if isinstance(stored, Mapping):
        return {name: _with_nan(value) for name, value in stored.items()}
    if isinstance(stored, list):
        return tuple(map(_with_nan, stored))
    return math.nan if stored is None else stored


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


def series_finding(rows: Sequence[SharpnessRow]) -> str:
    """Say where the sharpness reaches the edge and where it stays then, normalised = 2 · sharpness / edge ≥ 2.

    That the edge is reached is certain, up to rounding, since a Rayleigh quotient is never above the largest
    eigenvalue. That the sharpness stays below is judged by `upper`, which holds unless an eigenvalue was missed (see
    `SharpnessRow`).

    Args:
        rows: by ascending step.
    """
    measured = [row for row in rows if math.isfinite(row.normalised)]
    course = _course(measured) if measured else "Nothing could be measured"
    end = rows[-1] if rows else None
    return f"{course}; training diverges at step {end.step:,}" if end and end.diverged else course


def _course(rows: Sequence[SharpnessRow]) -> str:
    beyond = [index for index, row in enumerate(rows) if row.normalised >= EDGE]
    if not beyond:
        top = max(rows, key=lambda row: row.normalised)
        where = f"at most {top.normalised:.3g}, at step {top.step:,}, where 2 is the edge"
        if any(row.upper >= row.edge for row in rows):
            return f"Sharpness comes up to the edge, within its error bound: {where}"
        return f"Sharpness stays below the edge: {where}"
    first = rows[beyond[0]]
    at = f"at step {first.step:,}"
    start = f"Sharpness is beyond the edge {at}" if beyond[0] == 0 else f"Sharpness reaches the edge {at}"
    later = [row.normalised for row in rows[beyond[0] + 1 :]]
    if not later:
        return f"{start}, at {first.normalised:.3g} where 2 is the edge"
    if len(later) == 1:
        return f"{start}, and is at {later[0]:.3g} at the end, where 2 is the edge"
    return f"{start} and then moves between {min(later):.3g} and {max(later):.3g}, where 2 is the edge"
