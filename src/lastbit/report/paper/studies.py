"""Charts and tables of studies: Tables 1 and 4 to 8."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

from lastbit.report.charts.figure import Figure
from lastbit.report.numbers import MISSING, points, scientific, thin
from lastbit.report.study.gain import gain_figure
from lastbit.report.study.naming import metric_of
from lastbit.report.study.spread import accuracy_figure, spread_figure, variance_figure
from lastbit.report.study.stored import Study
from lastbit.report.study.tables import accuracy_table, churn_table
from lastbit.report.table import Table

Drawing: TypeAlias = Figure | Table


def study_drawings(study: Study, parts: Sequence[str], *, what: str = "") -> list[Drawing]:
    """Charts and tables of a study, as Tables 1, 6, 7 and 8 show them, in this order.

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
    note = (
        "Test accuracy in percent at the end of training. STD is the standard deviation in points (ddof 1), with its "
        "95 % interval below it; of so few runs it is known to a factor of two or so."
    )
    return replace(accuracy_table(study), note=note)


_MAKERS: Mapping[str, Callable[[Study], Drawing]] = {
    "accuracies": _accuracies,
    "accuracy": accuracy_figure,
    "spread": spread_figure,
    "variance": variance_figure,
    "churn": churn_table,
    "gain": gain_figure,
}


def gradient_errors(float32: Study, float64: Study, perturbation: Mapping[str, float]) -> Table:
    """Table 1, right: how large what perturbs an update is, and what it does to test accuracy.

    Args:
        float32: results of the study in this number format.
        float64: and in this one.
        perturbation: the largest relative one of an update, by number format.
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
    return Table("gradient-errors", title, ["perturbation", "relative error", "STD of test accuracy"], rows, note)


def _std(study: Study, source: str) -> str:
    pooled: dict[str, Any] | None = study["std"][source]["pooled"]
    metric = metric_of(study)
    return MISSING if pooled is None else f"{metric.spread(pooled['std'])} ({metric.interval(pooled)})"


_DIGITS = 8  # of a digest that are shown
_DIGEST_NOTE = (
    "Test accuracy in percent. The digest begins a SHA-256 of every metric, stored weight and prediction of a run: "
    "equal digests mean runs that agree in every bit."
)


def repeats_table(trials: Sequence[Mapping[str, Any]]) -> Table:
    """Table 4: accuracy over training of the same training, made several times.

    Args:
        trials: each with `epoch`, `test_accuracy` at each, and the `digest` of its bits.
    """
    kept = thin(range(len(trials[0]["epoch"])), 8)
    kinds = len({trial["digest"] for trial in trials})
    rows = [
        [f"trial {number}", *(points(trial["test_accuracy"][i]) for i in kept), trial["digest"][:_DIGITS]]
        for number, trial in enumerate(trials, start=1)
    ]
    columns = ["", *(f"epoch {trials[0]['epoch'][i]}" for i in kept), "digest"]
    bits = "the same bits" if kinds == 1 else f"{kinds} different sets of bits"
    title = f"The same training, made {len(trials)} times, gives {bits}"
    return Table("repeats", title, columns, rows, _DIGEST_NOTE)


def controls_table(runs: Sequence[Mapping[str, Any]]) -> Table:
    """Table 5: accuracy and digest for each k and trial.

    Args:
        runs: each with `k`, `trial`, `test_accuracy` and `digest`.
    """
    ks = list(dict.fromkeys(run["k"] for run in runs))
    trials = list(dict.fromkeys(run["trial"] for run in runs))
    by_place = {(run["k"], run["trial"]): run for run in runs}
    rows = [[f"k = {k}", *(_digest(by_place[k, trial]) for trial in trials)] for k in ks]
    kinds = len({run["digest"] for run in runs})
    title = f"{len(runs)} runs with k = {min(ks)} to {max(ks)} end in {kinds} different sets of bits"
    return Table("controls", title, ["", *(f"trial {trial}" for trial in trials)], rows, _DIGEST_NOTE)


def _digest(run: Mapping[str, Any]) -> str:
    return f"{points(run['test_accuracy'])} ({run['digest'][:_DIGITS]})"
