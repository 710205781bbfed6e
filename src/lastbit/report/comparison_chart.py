"""RelL1 of several studies in one chart."""

from collections.abc import Hashable, Sequence

import altair as alt

from lastbit.report.curves import Curves, gather, last_rows
from lastbit.report.figure import Figure
from lastbit.report.numbers import joined, scientific
from lastbit.report.rel_l1_curves import RELL1, compared, has_curves
from lastbit.report.source import capital, source_of_all
from lastbit.report.stored import Row, Study, distinct_names, noise_label, roundoff_exponent

NAME = "comparison"
_FEW = 3  # so many studies a title can name
_SHORT = 16  # characters of a name that leave room for another beside it on a telephone


def comparison_figure(studies: Sequence[Study], *, most_points: int) -> Figure:
    """How far the last bit comes in each study, side by side.

    Args:
        studies: stored results.
        most_points: that are drawn; beyond, steps are thinned.
    """
    names, source = distinct_names(studies), source_of_all(studies)
    rows = [{**row, "study": name} for name, study in zip(names, studies, strict=True) for row in study["rel_l1"]]
    curves = gather(rows, _curve_name, most_points=most_points)
    note = (
        f"{RELL1} Each line is one pair of runs that differ only in {source.difference}; the title names each study’s "
        f"farthest pair.{curves.remark}"
    )
    if not has_curves(curves):
        return Figure(NAME, "No study has weights that differ", note)
    return Figure(NAME, _title(names, rows, capital(source.subject)), note, _draw(studies, names, curves), curves.rows)


def _curve_name(row: Row) -> dict[str, Hashable]:
    return {"study": row["study"], "noise": noise_label(row), "seed": row["seed"]}


def _title(names: Sequence[str], rows: Sequence[Row], subject: str) -> str:
    finals = {name: last_rows(row for row in rows if row["study"] == name) for name in names}
    largest = {name: max(row["value"] for row in found) for name, found in finals.items() if found}
    falling = sorted(largest, key=lambda name: -largest[name])
    said = [f"{scientific(largest[name])} in {name}" for name in falling]
    if len(said) <= _FEW:
        return f"{subject} comes to a RelL1 of {joined(said)} by the last step"
    return f"{subject} comes to a RelL1 of between {said[-1]} and {said[0]} by the last step"


def _draw(studies: Sequence[Study], names: list[str], curves: Curves) -> alt.LayerChart:
    return compared(
        curves,
        roundoff_exponents={found for study in studies if (found := roundoff_exponent(study)) is not None},
        colour="study",
        names=names,
        legend_columns=3 if max(map(len, names)) <= _SHORT else 1,
        detail=["study", "noise", "seed"],
    )
