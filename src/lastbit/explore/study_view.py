"""A stored study, and any two of its trials against each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

from lastbit.divergence import churn, rel_l1
from lastbit.errors import LastbitError
from lastbit.report.charts import Axis, Curve, Figure, line_chart
from lastbit.report.numbers import MISSING, scientific, significant
from lastbit.report.study.spread import accuracy_figure
from lastbit.report.study.stored import as_stored
from lastbit.report.study.weights import DISTANCE, rel_l1_figure
from lastbit.storage.directories import RESULTS, STUDY, TRIALS
from lastbit.storage.limits import reachable
from lastbit.study.check import verify_study
from lastbit.study.grid import Grid
from lastbit.study.open_study import open_study
from lastbit.study.results import FORMAT
from lastbit.study.stored_study import StoredStudy
from lastbit.study.stored_trial import StoredTrial

_HEIGHT = 200
_MOST_POINTS = 4000  # of a chart of all trials
_DEPTH = 3  # levels below a folder that are searched for studies
_MOST_STUDIES = 200  # listed from one folder


@dataclass(frozen=True)
class ShownStudy:
    """A study read from its directory."""

    results: Mapping[str, Any]  # as `results.json` holds them
    trials: Mapping[str, StoredTrial]  # the finished ones, by seed and noise: `seed 1, k=3`


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
    """Two trials compared."""

    names: tuple[str, str]
    identical: bool  # whether every metric, weight and prediction is the same bit for bit
    values: dict[str, tuple[float | None, float | None]]  # last values of each metric that both logged
    churn: float | None  # percent of predictions that differ; None where they were not stored
    distance: list[tuple[int, float]]  # step, and RelL1 of the weights at it; empty if they cannot be compared


def studies_in(place: str) -> list[str]:
    """The paths of the studies in a folder and up to three levels below it; none if the folder is a study itself.

    Args:
        place: the folder.
    """
    folder = Path(place.strip()).expanduser()
    if not place.strip() or "\0" in place or not _is_directory(folder) or (folder / STUDY).exists():
        return []
    studies: list[str] = []
    waiting = [(folder, 0)]
    while waiting and len(studies) < _MOST_STUDIES:
        directory, depth = waiting.pop()
        if (directory / STUDY).is_file():
            studies.append(directory.relative_to(folder).as_posix())
        elif depth < _DEPTH:
            waiting += [(below, depth + 1) for below in _directories(directory)]
    return sorted(studies)


def _is_directory(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # the name is too long, or access is denied; `read` says so
        return False


def _directories(parent: Path) -> list[Path]:
    """The directories that can be read; links are left out, because they may form a circle."""
    try:
        return [path for path in parent.iterdir() if path.is_dir() and not path.is_symlink()]
    except OSError:
        return []


def read(place: str) -> Reading:
    """A study read from its directory, or one line on why it cannot be; neither for an empty place."""
    try:
        return Reading(load_study(place) if place.strip() else None)
    except LastbitError as error:
        return Reading(None, str(error))


def study_directory(place: str) -> Path:
    """The directory of a study; its files are not read yet.

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
    """Read a study's directory, once every file in it has matched its checksum.

    Raises:
        LastbitError: it holds no study, or a file is damaged; the message names it.
    """
    directory = study_directory(place)
    try:
        verify_study(directory)
        study = open_study(directory)
        return ShownStudy(as_stored([_results(study)])[0], _named(study.grid()))
    except OSError as error:
        raise LastbitError(f"{error.filename or directory}: {error.strerror}") from None


def _results(study: StoredStudy) -> Mapping[str, Any]:
    """The stored results, or computed ones if there are none yet or they have an older format."""
    if (study.store.root / RESULTS).is_file():
        stored = study.store.stored_results()
        if stored.get("format") == FORMAT:
            return stored
    return study.results().as_json()


def _named(grid: Grid) -> dict[str, StoredTrial]:
    places = sorted(grid.stored, key=lambda place: (place[1], place[0]))
    return {f"seed {grid.seeds[j]}, {grid.noises[i].label}": grid.stored[i, j] for i, j in places}


def study_figures(study: ShownStudy) -> list[Figure]:
    """The report's charts of all trials: the distance of their weights, and where they end."""
    return [rel_l1_figure(study.results, most_points=_MOST_POINTS), accuracy_figure(study.results)]


def compare_trials(study: ShownStudy, first: str, second: str) -> Pair:
    """Compare two of a study's trials, given by their names.

    Raises:
        LastbitError: a file of theirs is damaged; the message names it.
    """
    trials = study.trials[first], study.trials[second]
    identical = trials[0].digest == trials[1].digest
    return Pair((first, second), identical, _values(*trials), _churn(*trials), _distance(*trials))


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
    distances = [(step, rel_l1(first.weights(step), second.weights(step)).value) for step in steps]
    return [(step, value) for step, value in distances if isfinite(value)]


def pair_rows(pair: Pair) -> list[tuple[str, str, str, str]]:
    """The name of each metric, its last value in both trials, and the difference."""
    rows = [
        (name, significant(a, 6), significant(b, 6), MISSING if a is None or b is None else _signed(b - a))
        for name, (a, b) in pair.values.items()
    ]
    return rows if pair.churn is None else [*rows, ("churn in percent", "", "", significant(pair.churn, 3))]


def _signed(difference: float) -> str:
    return f"{'+' if difference > 0 else ''}{significant(difference)}"


def pair_figure(pair: Pair) -> Figure:
    """RelL1 between the weights of both trials, at the steps at which both kept them."""
    note = "RelL1 is 0 for equal and 2 for opposite weights; the foot of the axis is 0."
    if pair.identical:
        return Figure("pair", "Both trials are bit for bit the same", note)
    if not any(value > 0 for _, value in pair.distance):
        reason = "the weights are the same, bit for bit" if pair.distance else "no step has weights of both trials"
        return Figure("pair", f"No distance to draw: {reason}", note)
    step, last = pair.distance[-1]
    curve = Curve("RelL1", [step for step, _ in pair.distance], [value for _, value in pair.distance])
    steps = Axis("update step", name="step", counts=True, format=",")
    chart = line_chart([curve], x=steps, y=DISTANCE, marks="points", height=_HEIGHT)
    return Figure("pair", f"RelL1 is {scientific(last)} after step {step:,}", note, chart)
