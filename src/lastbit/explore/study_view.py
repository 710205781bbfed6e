"""A stored study, and any two of its trials against each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

from lastbit.divergence import churn, rel_l1
from lastbit.errors import LastbitError
from lastbit.explore.drawing import Drawing, drawn
from lastbit.report.charts import Axis, Curve, Figure, line_chart
from lastbit.report.numbers import MISSING, scientific
from lastbit.report.study.spread import accuracy_figure
from lastbit.report.study.stored import as_stored
from lastbit.report.study.weights import DISTANCE, rel_l1_figure
from lastbit.storage.directories import RESULTS, STUDY, TRIALS
from lastbit.storage.limits import reachable
from lastbit.study.check import verify_study
from lastbit.study.grid import Grid
from lastbit.study.open_study import open_study
from lastbit.study.results import FORMAT
from lastbit.study.store import Store
from lastbit.study.stored_trial import StoredTrial

_HEIGHT = 200
_MOST_POINTS = 4000  # of a chart of all trials
_DEPTH = 3  # directories below a folder in which studies are looked for
_MOST_STUDIES = 200  # listed of a folder


@dataclass(frozen=True)
class ShownStudy:
    """A study read from its directory."""

    results: Mapping[str, Any]  # as `results.json` holds them
    trials: Mapping[str, StoredTrial]  # the finished ones, by seed and noise in words


@dataclass(frozen=True)
class Reading:
    """What reading a directory gave."""

    study: ShownStudy | None
    complaint: str = ""  # why there is no study

    @property
    def trials(self) -> list[str]:
        """The names of its finished trials."""
        return [] if self.study is None else list(self.study.trials)


@dataclass(frozen=True)
class Pair:
    """Two trials against each other."""

    names: tuple[str, str]
    identical: bool  # every metric, weight and prediction, bit for bit
    values: dict[str, tuple[float | None, float | None]]  # last value of each number that both logged
    churn: float | None  # percent of predictions that differ; None where they were not stored
    distance: list[tuple[int, float]]  # step, RelL1 of the weights then; empty where they cannot be compared


def studies_in(place: str) -> list[str]:
    """The studies in a folder and up to three levels below it, by their path from it; none where it is a study.

    Args:
        place: the folder.
    """
    folder = Path(place.strip()).expanduser()
    if not place.strip() or "\0" in place or not _is_directory(folder) or (folder / STUDY).exists():
        return []
    found: list[str] = []
    waiting = [(folder, 0)]
    while waiting and len(found) < _MOST_STUDIES:
        directory, depth = waiting.pop()
        if (directory / STUDY).is_file():
            found.append(directory.relative_to(folder).as_posix())
        elif depth < _DEPTH:
            waiting += [(below, depth + 1) for below in _directories(directory)]
    return sorted(found)


def _is_directory(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # too long to be a path, or past what may be looked into; `read` says so
        return False


def _directories(parent: Path) -> list[Path]:
    """Those that can be looked into; links are left out, for they may lead in a circle."""
    try:
        return [path for path in parent.iterdir() if path.is_dir() and not path.is_symlink()]
    except OSError:
        return []


def read(place: str) -> Reading:
    """A study's directory, or one line on why it is none; nothing for an empty place."""
    try:
        return Reading(load_study(place) if place.strip() else None)
    except LastbitError as error:
        return Reading(None, str(error))


def study_directory(place: str) -> Path:
    """The directory of a study, whose files are not read yet.

    Raises:
        LastbitError: there is no directory, or it holds no study.
    """
    directory = Path(place.strip()).expanduser()
    if not reachable(directory).is_dir():
        raise LastbitError(f"there is no directory {directory}")
    if not any((directory / name).exists() for name in (STUDY, TRIALS)):
        raise LastbitError(f"{directory} holds no study: give a study's directory, or a folder of studies")
    return directory


def load_study(place: str) -> ShownStudy:
    """Read a study's directory.

    Raises:
        LastbitError: it is none, or is damaged; the message names it.
    """
    directory = study_directory(place)
    try:
        verify_study(directory)
        study = open_study(directory)
        grid = study.grid()
        results = _stored_results(directory) or study.results().as_json()
        return ShownStudy(as_stored([results])[0], _named(grid))
    except OSError as error:
        raise LastbitError(f"{error.filename or directory}: {error.strerror}") from None


def _stored_results(directory: Path) -> dict[str, Any] | None:
    """Those of a finished study; None where there are none, or they are of an older format."""
    stored = Store(directory).stored_results() if (directory / RESULTS).is_file() else {}
    return stored if stored.get("format") == FORMAT else None


def _named(grid: Grid) -> dict[str, StoredTrial]:
    places = sorted(grid.stored, key=lambda place: (place[1], place[0]))
    return {f"seed {grid.seeds[j]}, {grid.noises[i].label}": grid.stored[i, j] for i, j in places}


def study_drawings(study: ShownStudy) -> list[Drawing]:
    """The report's charts of all trials: how far their weights part, and where they end."""
    return [
        drawn(rel_l1_figure(study.results, most_points=_MOST_POINTS)),
        drawn(accuracy_figure(study.results)),
    ]


def compare_trials(study: ShownStudy, one: str, other: str) -> Pair:
    """Hold two of a study's trials against each other.

    Raises:
        LastbitError: a file of theirs is damaged; the message names it.
    """
    first, second = study.trials[one], study.trials[other]
    return Pair(
        (one, other),
        first.digest == second.digest,
        _values(first, second),
        _churn(first, second),
        _distance(first, second),
    )


def _values(first: StoredTrial, second: StoredTrial) -> dict[str, tuple[float | None, float | None]]:
    names = [list(dict.fromkeys(name for row in trial.metrics for name in row)) for trial in (first, second)]
    shared = [name for name in names[0] if name in names[1] and name not in ("step", "epoch")]
    return {name: (first.final(name), second.final(name)) for name in shared}


def _churn(first: StoredTrial, second: StoredTrial) -> float | None:
    labels, others = first.predictions(), second.predictions()
    if labels is None or others is None or labels.shape != others.shape:
        return None
    return 100.0 * churn(labels, others)


def _distance(first: StoredTrial, second: StoredTrial) -> list[tuple[int, float]]:
    steps = sorted(set(first.weight_steps()) & set(second.weight_steps()))
    if not steps or first.weight_shapes(steps[0]) != second.weight_shapes(steps[0]):
        return []
    found = [(step, rel_l1(first.weights(step), second.weights(step)).value) for step in steps]
    return [(step, value) for step, value in found if isfinite(value)]


def pair_rows(pair: Pair) -> list[tuple[str, str, str, str]]:
    """The last values of both trials and their difference, in words."""
    rows = [
        (name, _shown(a), _shown(b), MISSING if a is None or b is None else f"{b - a:+.4g}")
        for name, (a, b) in pair.values.items()
    ]
    return rows if pair.churn is None else [*rows, ("churn in percent", "", "", f"{pair.churn:.3g}")]


def pair_drawing(pair: Pair) -> Drawing:
    """RelL1 between the weights of both trials over the steps that both kept."""
    note = "RelL1 is 0 for equal and 2 for opposite weights; the foot of the axis is 0."
    if pair.identical:
        return Drawing("pair", "Both trials are bit for bit the same", note)
    if not any(value > 0 for _, value in pair.distance):
        reason = "the weights are the same, bit for bit" if pair.distance else "no weights of one step to compare"
        return Drawing("pair", f"No distance to draw: {reason}", note)
    step, last = pair.distance[-1]
    curve = Curve("RelL1", [step for step, _ in pair.distance], [value for _, value in pair.distance])
    steps = Axis("update step", name="step", counts=True, format=",")
    chart = line_chart([curve], x=steps, y=DISTANCE, marks="points", height=_HEIGHT)
    return drawn(Figure("pair", f"RelL1 is {scientific(last)} after step {step:,}", note, chart))


def _shown(value: float | None) -> str:
    return MISSING if value is None else f"{value:.6g}"
