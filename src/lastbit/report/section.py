"""A study as the page shows it: everything in words and in order, nothing left to decide."""

from collections.abc import Sequence
from dataclasses import dataclass

from lastbit.differing import differing_fields
from lastbit.report.account import Standing, cuts, standings, what_was_done
from lastbit.report.accuracy_table import AccuracyTable, accuracy_table
from lastbit.report.churn_table import ChurnTable, churn_table
from lastbit.report.figure import Figure
from lastbit.report.figures import study_figures
from lastbit.report.gradient_table import GradientTable, gradient_table
from lastbit.report.growth.growth_table import GrowthTable, growth_table
from lastbit.report.metric import Metric, metric_of
from lastbit.report.numbers import plain
from lastbit.report.settings_table import facts, flat_settings
from lastbit.report.stored import Study, distinct_names
from lastbit.report.trials_table import TrialRow, trial_rows


@dataclass(frozen=True)
class Section:
    """A study's part of the page."""

    anchor: str
    name: str
    description: str
    verdict: str
    metric: Metric
    standings: list[Standing]
    done: str
    facts: list[tuple[str, str]]
    cuts: str
    table: AccuracyTable
    gradient: GradientTable
    churn: ChurnTable
    growth: GrowthTable
    figures: dict[str, Figure]  # by name
    trials: list[TrialRow]
    settings: list[tuple[str, str]]
    fingerprints: list[list[tuple[str, str]]]
    arithmetic_differs: list[tuple[str, list[str]]]  # fields of the fingerprints, and the value in each


def sections(studies: Sequence[Study]) -> list[Section]:
    """One section for each study, distinctly named."""
    names = distinct_names(studies)
    return [
        _section(study, name=name, anchor=f"study-{number}", studies=len(studies))
        for number, (name, study) in enumerate(zip(names, studies, strict=True), start=1)
    ]


def _section(study: Study, *, name: str, anchor: str, studies: int) -> Section:
    return Section(
        anchor=anchor,
        name=name,
        description=str(study["settings"].get("description") or "").rstrip("."),
        verdict=str(study["verdict"]),
        metric=metric_of(study),
        standings=standings(study),
        done=what_was_done(study),
        facts=facts(study),
        cuts=cuts(study),
        table=accuracy_table(study),
        gradient=gradient_table(study),
        churn=churn_table(study),
        growth=growth_table(study),
        figures={figure.name: figure for figure in study_figures(study, studies=studies)},
        trials=trial_rows(study),
        settings=flat_settings(study["settings"]),
        fingerprints=[flat_settings(fingerprint) for fingerprint in study["fingerprints"]],
        arithmetic_differs=[
            (field, [plain(value) for value in values])
            for field, values in differing_fields(study["fingerprints"]).items()
        ],
    )
