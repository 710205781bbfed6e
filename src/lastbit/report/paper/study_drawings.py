"""The charts and tables of a study, as an item of the paper shows them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from lastbit.report.accuracy_chart import accuracy_figure
from lastbit.report.accuracy_table import accuracy_table
from lastbit.report.churn_table import churn_table
from lastbit.report.figure import Figure
from lastbit.report.gain_chart import gain_figure
from lastbit.report.metric import metric_of
from lastbit.report.numbers import MISSING, scientific
from lastbit.report.pde.table import Table
from lastbit.report.spread_chart import spread_figure
from lastbit.report.stored import Study
from lastbit.report.variance_chart import variance_figure

Drawing = Figure | Table


def study_drawings(study: Study, parts: Sequence[str], *, what: str = "") -> list[Drawing]:
    """The drawings of these names, in this order.

    Args:
        study: its results.
        parts: of `accuracies` (the table), `accuracy` (the chart), `spread`, `variance`, `churn`, `gain`.
        what: was trained, for items with several studies: it begins every title, and every name.
    """
    made = [_MAKERS[part](study) for part in parts]
    if not what:
        return made
    stem = what.lower().replace(" ", "-").replace(",", "")
    return [replace(each, name=f"{stem}-{each.name}", title=f"{what}: {each.title}") for each in made]


def _accuracies(study: Study) -> Table:
    found = accuracy_table(study)
    rows = [[noise, *cells, std.std] for noise, cells, std in found.rows]
    last = ["STD over k", *(std.std for std in found.per_seed), ""]
    note = (
        "Test accuracy in percent at the end of training. STD is the standard deviation in points (ddof 1); of so few "
        "runs it is known to a factor of two or so."
    )
    columns = ["", *(f"seed {seed}" for seed in found.seeds), "STD over seeds"]
    return Table("accuracies", found.title, note, columns, [*rows, last])


def _churn(study: Study) -> Table:
    found = churn_table(study)
    columns = ["runs that differ in", "mean churn (%)", "largest (%)", "pairs"]
    return Table("churn", found.title, found.note, columns, found.rows)


_MAKERS: Mapping[str, Callable[[Study], Drawing]] = {
    "accuracies": _accuracies,
    "accuracy": accuracy_figure,
    "spread": spread_figure,
    "variance": variance_figure,
    "churn": _churn,
    "gain": gain_figure,
}


def gradient_errors(float32: Study, float64: Study, perturbation: Mapping[str, float]) -> Table:
    """Table 1, right: how large what perturbs an update is, and what it does to test accuracy.

    Args:
        float32: results of the study in this arithmetic.
        float64: and in this one.
        perturbation: the largest relative one of an update, by arithmetic.
    """
    fluctuation = float32["gradient_fluctuation"]
    rows = [
        ["last bit, float32", scientific(perturbation["float32"]), _std(float32, "noise")],
        ["last bit, float64", scientific(perturbation["float64"]), _std(float64, "noise")],
        ["batch selection", MISSING if fluctuation is None else f"{fluctuation:.2f}", _std(float32, "seed")],
    ]
    title = f"What perturbs the updates, from {rows[1][1]} to {rows[2][1]}, and how far test accuracy moves"
    note = (
        "The largest relative difference of a perturbed update from the plain one; of batch selection the mean over "
        "all weights of |g − ḡ| / |ḡ|, with g one batch’s gradient and ḡ the mean of several. STD in points, pooled, "
        "with its 95 % interval."
    )
    return Table("gradient-errors", title, note, ["perturbation", "relative error", "STD of test accuracy"], rows)


def _std(study: Study, source: str) -> str:
    found: dict[str, Any] | None = study["std"][source]["pooled"]
    metric = metric_of(study)
    return MISSING if found is None else f"{metric.spread(found['std'])} ({metric.interval(found)})"
