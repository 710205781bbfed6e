"""Differences between two ways to compute the same thing, against a tolerance (theorems 5.1, 5.3, 5.5, 5.7)."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import altair as alt

from lastbit.report.figure import ROWS, AnyChart, Figure
from lastbit.report.log_axis import decades, power_axis
from lastbit.report.look import colours, shapes
from lastbit.report.numbers import joined, scientific

_ROW = 26  # pixels of a case
_MARGIN = 20


def agreement_figure(
    rows: Sequence[Mapping[str, Any]], *, name: str, title: str, note: str, tolerances: Mapping[str, float]
) -> Figure:
    """A mark for each difference, a case to a row, and a rule at each tolerance.

    Args:
        rows: `case`, `kind` and `error` of each; an error of 0 is drawn at the foot of the axis.
        name: fit for a file name.
        title: the finding, such as one that ends in `agreement`.
        note: how to read it.
        tolerances: largest error allowed, by kind.
    """
    cases = len({row["case"] for row in rows})
    drawn = _chart(rows, tolerances)
    return Figure(name, title, note, drawn, rows, height=_ROW * cases + _MARGIN)


def agreement(rows: Sequence[Mapping[str, Any]], tolerances: Mapping[str, float]) -> str:
    """The largest difference of each kind in words, or how many are too large; arguments as for `agreement_figure`."""
    if over := sum(row["error"] > tolerances[row["kind"]] for row in rows):
        return f"{over} of {len(rows)} differences are too large"
    return f"at most {_worst(rows, tolerances)} apart"


def _worst(rows: Sequence[Mapping[str, Any]], kinds: Iterable[str]) -> str:
    found = {kind: max((row["error"] for row in rows if row["kind"] == kind), default=None) for kind in kinds}
    said = {kind: scientific(error) for kind, error in found.items() if error is not None}
    return joined(f"{error} ({kind})" for kind, error in said.items()) if len(said) > 1 else next(iter(said.values()))


def _chart(rows: Sequence[Mapping[str, Any]], tolerances: Mapping[str, float]) -> AnyChart:
    axis = decades([*(row["error"] for row in rows), *tolerances.values()])
    kinds = list(tolerances)
    legend = alt.Legend(title=None, orient="top") if len(kinds) > 1 else None
    colour = alt.Color("kind:N", scale=colours(kinds), legend=legend)
    x = alt.X("at:Q", scale=axis.scale(), axis=power_axis(axis, "relative difference (log scale)", horizontal=True))
    cases = list(dict.fromkeys(row["case"] for row in rows))
    marks = (
        alt.Chart(ROWS)
        .transform_calculate(at=axis.position("error"))
        .mark_point(filled=True, size=80, opacity=1)
        .encode(
            x=x,
            y=alt.Y("case:N", sort=cases, axis=alt.Axis(title=None, labelLimit=200, grid=True)),
            color=colour,
            shape=alt.Shape("kind:N", scale=alt.Scale(domain=kinds, range=shapes(len(kinds))), legend=legend),
            tooltip=["case:N", "kind:N", alt.Tooltip("error:Q", format=".2e")],
        )
    )
    allowed = [{"error": value, "kind": kind} for kind, value in tolerances.items()]
    rules = (
        alt.Chart(alt.InlineData(values=allowed))
        .transform_calculate(at=axis.position("error"))
        .mark_rule(strokeWidth=2, strokeDash=[5, 4])
        .encode(x=x, color=colour)
    )
    return alt.LayerChart(layer=[rules, marks])
