"""Churn: on how many test examples two runs disagree."""

from dataclasses import dataclass

from lastbit.report.metric import metric_of
from lastbit.report.numbers import MISSING, points
from lastbit.report.source import capital, source_of
from lastbit.report.stored import Study


@dataclass(frozen=True)
class ChurnTable:
    """The table as it is shown; without rows where no predictions were stored."""

    title: str
    rows: list[tuple[str, str, str, str]]  # which pairs of runs differ in, mean, largest, number of pairs
    note: str


def churn_table(study: Study) -> ChurnTable:
    """Compare the churn between noises with that between seeds."""
    noise, seed = study["churn"]["noise"], study["churn"]["seed"]
    if noise is None and seed is None:
        return ChurnTable("Churn is not known", [], "Too few finished runs kept their test predictions.")
    rows = [
        (label, points(found["mean"]), points(found["largest"]), str(found["pairs"]))
        if found is not None
        else (label, MISSING, MISSING, "0")
        for label, found in ((f"{source_of(study).subject} only", noise), (metric_of(study).order, seed))
    ]
    note = (
        "Churn is the share of test examples, in percent, to which two trained networks give different labels. "
        "Networks of equal accuracy can disagree on many examples: churn shows it, accuracy does not."
    )
    return ChurnTable(_title(study), rows, note)


def _title(study: Study) -> str:
    noise, seed, metric = study["churn"]["noise"], study["churn"]["seed"], metric_of(study)
    if noise is None:
        return f"{metric.capital_order} changes {points(seed['mean'])} % of the predictions"
    order = f", {metric.order} {points(seed['mean'])} %" if seed is not None else ""
    return f"{capital(source_of(study).subject)} changes {points(noise['mean'])} % of the predictions{order}"
