"""How many predictions differ between the runs of a study, as a table."""

from typing import Any

from lastbit.report.numbers import MISSING, capital, points
from lastbit.report.study.naming import metric_of, source_of
from lastbit.report.study.sources import is_designed
from lastbit.report.study.stored import StudyJson
from lastbit.report.table import Table


def churn_table(study: StudyJson) -> Table:
    """The churn between noises beside that between seeds; without rows where no predictions were stored.

    Where several sources vary, pairs of combinations share seeds, and only that between noises is known.
    """
    noise, seed = _churns(study)
    columns = ["two runs differ in", "mean churn (%)", "largest (%)", "pairs"]
    if noise is None and seed is None:
        alone = is_designed(study) and not study["design"]["repeated"]
        few = "Too few finished runs kept their test predictions."
        why = "No run was repeated with another last bit alone." if alone else few
        return Table("churn", "Churn is not known", columns, [], why)
    pairs = [(f"{source_of(study).subject} only", noise)]
    if not is_designed(study):
        pairs.append((metric_of(study).cause, seed))
    rows = [
        [label, points(churn["mean"]), points(churn["largest"]), str(churn["pairs"])]
        if churn is not None
        else [label, MISSING, MISSING, "0"]
        for label, churn in pairs
    ]
    note = (
        "Churn is the share of test examples, in percent, to which two trained networks give different labels. "
        "Networks of equal accuracy can disagree on many examples: churn shows it, accuracy does not."
    )
    return Table("churn", _churn_title(study), columns, rows, note)


def _churns(study: StudyJson) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    """Between noises and between seeds; None where it is not known, and for seeds that are combinations of several."""
    return study["churn"]["noise"], None if is_designed(study) else study["churn"]["seed"]


def _churn_title(study: StudyJson) -> str:
    (noise, seed), metric = _churns(study), metric_of(study)
    if noise is None:
        mean = MISSING if seed is None else points(seed["mean"])
        return f"{metric.capital_order} changes {mean} % of the predictions"
    order = f", {metric.order} {points(seed['mean'])} %" if seed is not None else ""
    return f"{capital(source_of(study).subject)} changes {points(noise['mean'])} % of the predictions{order}"
