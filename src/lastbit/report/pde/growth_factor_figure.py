"""Predicted and measured growth of the linear PDE on both sides of its bounds (theorems 5.4, 5.6)."""

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from lastbit.report.figure import ROWS, AnyChart, Figure
from lastbit.report.look import MUTED, colours, shapes


def growth_factor_figure(cases: Sequence[Mapping[str, Any]], *, name: str, title: str) -> Figure:
    """Lines for the predicted amplification factor, marks for the measured one, over the place between the bounds.

    Args:
        cases: `name`, and for each of `runs` its `position` between the lower bound (0) and the upper one (1), and the
            `predicted` and the `measured` factor.
        name: fit for a file name.
        title: the finding.
    """
    rows = [
        {"case": case["name"], **{field: run[field] for field in ("position", "predicted", "measured", "regime")}}
        for case in cases
        for run in case["runs"]
    ]
    note = (
        "Lines: the largest |A| of the theory. Marks: the factor by which the updates of a simulation grow in a step. "
        "The linear PDE is stable below the dashed line; weight decays between the bounds lie between 0 and 1."
    )
    return Figure(name, title, note, _chart(rows), rows)


def _chart(rows: Sequence[Mapping[str, Any]]) -> AnyChart:
    names = list(dict.fromkeys(row["case"] for row in rows))
    legend = alt.Legend(title=None, orient="top", columns=2, labelLimit=400)
    base = alt.Chart(ROWS).encode(
        x=alt.X("position:Q", axis=alt.Axis(title="weight decay: 0 at the lower bound, 1 at the upper", grid=False)),
        color=alt.Color("case:N", scale=colours(names), legend=legend),
    )
    one = alt.Chart(alt.InlineData(values=[{"one": 1.0}]))
    return alt.LayerChart(
        layer=[
            one.mark_rule(color=MUTED, strokeWidth=2, strokeDash=[5, 4]).encode(y="one:Q"),
            base.mark_line(strokeWidth=1.6).encode(
                y=alt.Y("predicted:Q", axis=alt.Axis(title="growth of updates in a step"))
            ),
            base.mark_point(filled=True, size=70, opacity=1).encode(
                y="measured:Q",
                shape=alt.Shape("case:N", scale=alt.Scale(domain=names, range=shapes(len(names))), legend=legend),
                tooltip=["case:N", "regime:N", "position:Q", "predicted:Q", "measured:Q"],
            ),
        ]
    )
