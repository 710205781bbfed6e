"""The paper's Table 1: a row for each noise, a column for each seed, the spreads of both at the edges."""

from dataclasses import dataclass
from typing import Any

from lastbit.report.metric import Metric, metric_of
from lastbit.report.numbers import MISSING
from lastbit.report.source import source_of
from lastbit.report.stored import Row, Study, trials_by_place
from lastbit.report.trials_table import FINISHED, outcome


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
    """Lay out the metric of a study's runs, by custom their test accuracies."""
    trials, seeds, std, metric = trials_by_place(study), study["seeds"], study["std"], metric_of(study)
    rows = [
        (
            noise,
            [cell(trials.get((noise, seed)), metric) for seed in seeds],
            _deviation(std["seed"]["per_noise"].get(noise), metric),
        )
        for noise in study["noises"]
    ]
    per_seed = [_deviation(std["noise"]["per_seed"].get(str(seed)), metric) for seed in seeds]
    return AccuracyTable(
        seeds=[str(seed) for seed in seeds],
        rows=rows,
        per_seed=per_seed,
        pooled=_pooled(std, metric, source_of(study).name),
        title=_title(study, metric),
        note=_note(std, metric),
    )


def cell(trial: Row | None, metric: Metric) -> str:
    """What a trial came to: its value, the step where it diverged, or how it failed."""
    if trial is None:
        return "not finished"
    how = outcome(trial)
    return metric.value(metric.of(trial)) if how == FINISHED else how


def _deviation(found: dict[str, Any] | None, metric: Metric) -> Deviation:
    if found is None:
        return Deviation(MISSING, "too few runs")
    return Deviation(metric.spread(found["std"]), metric.interval(found))


def _pooled(std: dict[str, Any], metric: Metric, source: str) -> list[Pooled]:
    labels = {"noise": f"{source}, over all seeds", "seed": f"{metric.order}, over all noises"}
    return [
        Pooled(label, _deviation(found, metric), f"{found['dof']:.1f}".removesuffix(".0") if found else MISSING)
        for source, label in labels.items()
        for found in [std[source]["pooled"]]
    ]


def _title(study: Study, metric: Metric) -> str:
    found = [value for trial in study["trials"] if (value := metric.of(trial)) is not None]
    if not found:
        return f"No run has a value of {metric.label}"
    low, high = metric.value(min(found)), metric.value(max(found))
    return f"The runs’ {metric.label} lies between {low} and {high}{metric.sign}"


def _note(std: dict[str, Any], metric: Metric) -> str:
    unit, points = (" in percent", " in percentage points") if metric.is_percentage else ("", "")
    return (
        f"{metric.capital}{unit} at the end of training. A row has one noise, a column one {metric.seed}. "
        f"STD is the standard deviation{points} (ddof {std['ddof']}), below it its {std['interval']} interval."
    )
