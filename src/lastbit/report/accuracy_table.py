"""The paper's Table 1: a row for each noise, a column for each seed, the spreads of both at the edges."""

from dataclasses import dataclass
from typing import Any

from lastbit.report.numbers import MISSING, accuracy, interval, points
from lastbit.report.stored import Row, Study, trials_by_place
from lastbit.report.trials_table import outcome


@dataclass(frozen=True)
class Deviation:
    """A standard deviation as it is shown."""

    std: str
    interval: str


@dataclass(frozen=True)
class Pooled:
    """A standard deviation over the whole table, as it is shown."""

    label: str
    deviation: Deviation
    dof: str  # degrees of freedom


@dataclass(frozen=True)
class AccuracyTable:
    """The table as it is shown."""

    seeds: list[str]
    rows: list[tuple[str, list[str], Deviation]]  # noise, a cell for each seed, spread over the seeds
    per_seed: list[Deviation]  # spread over the noises, one for each seed
    pooled: list[Pooled]
    title: str
    note: str


def accuracy_table(study: Study) -> AccuracyTable:
    """Lay out a study's test accuracies."""
    trials, seeds, std = trials_by_place(study), study["seeds"], study["std"]
    rows = [
        (noise, [cell(trials.get((noise, seed))) for seed in seeds], _deviation(std["seed"]["per_noise"].get(noise)))
        for noise in study["noises"]
    ]
    per_seed = [_deviation(std["noise"]["per_seed"].get(str(seed))) for seed in seeds]
    return AccuracyTable([str(seed) for seed in seeds], rows, per_seed, _pooled(std), _title(study), _note(std))


def cell(trial: Row | None) -> str:
    """What a trial came to: its accuracy, or the step where it diverged."""
    if trial is None:
        return "not finished"
    return accuracy(trial["test_accuracy"]) if trial["diverged_at"] is None else outcome(trial)


def _deviation(found: dict[str, Any] | None) -> Deviation:
    return Deviation(MISSING, "too few runs") if found is None else Deviation(points(found["std"]), interval(found))


def _pooled(std: dict[str, Any]) -> list[Pooled]:
    labels = {"noise": "last-bit noise, over all seeds", "seed": "batch order, over all noises"}
    return [
        Pooled(label, _deviation(found), f"{found['dof']:.1f}".removesuffix(".0") if found else MISSING)
        for source, label in labels.items()
        for found in [std[source]["pooled"]]
    ]


def _title(study: Study) -> str:
    found = [trial["test_accuracy"] for trial in study["trials"] if trial["test_accuracy"] is not None]
    if not found:
        return "No run has a test accuracy"
    return f"Test accuracies lie between {accuracy(min(found))} and {accuracy(max(found))} %"


def _note(std: dict[str, Any]) -> str:
    return (
        "Test accuracy in percent at the end of training. A row has one noise, a column one seed of the batch order. "
        f"STD is the standard deviation in percentage points (ddof {std['ddof']}), below it its {std['interval']} "
        "interval."
    )
