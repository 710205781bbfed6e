"""The charts and tables of a study that items show: accuracies, spreads, churn, least detectable gains."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from lastbit.paper.item import Drawing
from lastbit.report.study.gain import gain_figure
from lastbit.report.study.spread import accuracy_figure, spread_figure, variance_figure
from lastbit.report.study.stored import StudyJson
from lastbit.report.study.tables import accuracy_table, churn_table


def study_drawings(study: StudyJson, parts: Sequence[str], *, what: str = "") -> list[Drawing]:
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
    return [replace(drawing, name=f"{stem}-{drawing.name}", title=f"{what}: {drawing.title}") for drawing in made]


def _accuracies(study: StudyJson) -> Drawing:
    note = (
        "Test accuracy in percent at the end of training. STD is the standard deviation in points (ddof 1), with its "
        "95 % interval below it; of so few runs it is known to a factor of two or so."
    )
    return replace(accuracy_table(study), note=note)


_MAKERS: Mapping[str, Callable[[StudyJson], Drawing]] = {
    "accuracies": _accuracies,
    "accuracy": accuracy_figure,
    "spread": spread_figure,
    "variance": variance_figure,
    "churn": churn_table,
    "gain": gain_figure,
}
