"""RelL1 over training, drawn: what the charts of one study and of several have in common."""

from typing import Any

import altair as alt

from lastbit.report.curves import Curves
from lastbit.report.figure import ROWS, AnyChart
from lastbit.report.log_axis import LogAxis, count_axis, decades, power_axis, steps
from lastbit.report.look import MUTED, colours

RELL1 = (
    "RelL1 is the mean relative difference of two runs’ weights, 2 · mean |w − w′| / (|w| + |w′|): 0 for equal, 2 for "
    "opposite weights."
)


def compared(
    curves: Curves,
    *,
    roundoff_exponents: set[int],
    colour: str,
    names: list[str],
    legend_columns: int,
    detail: list[str],
) -> alt.LayerChart:
    """Curves told apart by colour, over the roundoff of their arithmetic.

    Args:
        curves: at least one value of which is not zero.
        roundoff_exponents: exponents of two of the unit roundoffs.
        colour: the field that decides the colour.
        names: values of that field, in the order of the legend.
        legend_columns: names beside each other.
        detail: fields that tell the curves apart.
    """
    x, y = axes(curves, roundoff_exponents)
    legend = alt.Legend(title=None, orient="top", columns=legend_columns)
    encoding = alt.Color(f"{colour}:N", scale=colours(names), legend=legend)
    drawn = lines(points(x, y), name="pointed_at", detail=detail, color=encoding)
    return alt.LayerChart(layer=[*_roundoff_lines(roundoff_exponents, x), *drawn])


def axes(curves: Curves, roundoff_exponents: set[int]) -> tuple[LogAxis, LogAxis]:
    """The axes of steps and of RelL1, the latter with room for the roundoff lines."""
    return steps(curves.steps), decades([*curves.values, *(2.0**exponent for exponent in roundoff_exponents)])


def has_curves(curves: Curves) -> bool:
    """Whether there is a value that is not zero, so that a logarithmic axis has something to show."""
    return any(value > 0 for value in curves.values)


def points(x: LogAxis, y: LogAxis) -> alt.Chart:
    """The rows of `Curves`, one for each point, with its positions `at_step` and `at_value`."""
    return (
        alt.Chart(ROWS)
        .transform_flatten(["step", "value"])
        .transform_calculate(at_step=x.position("step"), at_value=y.position("value"))
        .encode(
            x=alt.X("at_step:Q", scale=x.scale(), axis=count_axis(x, "update step (log scale)")),
            y=alt.Y("at_value:Q", scale=y.scale(), axis=power_axis(y, "RelL1 (log scale)")),
        )
    )


def lines(base: alt.Chart, *, name: str, detail: list[str], **encodings: Any) -> list[AnyChart]:
    """Lines with a point under the pointer, and the rest faded while one is pointed at.

    Args:
        base: of `points`.
        name: of the selection, distinct within the page's chart.
        detail: fields that tell the lines apart.
        **encodings: colour and the like.
    """
    hover = alt.selection_point(
        name=name, fields=detail, nearest=True, on="pointerover", clear="pointerout", empty=True
    )
    drawn = base.encode(detail=[f"{field}:N" for field in detail], **encodings)
    return [
        drawn.mark_line().encode(opacity=alt.when(hover).then(alt.value(0.9)).otherwise(alt.value(0.15))),
        drawn.mark_point(filled=True, size=26)
        .encode(
            opacity=alt.when(hover).then(alt.value(0.9)).otherwise(alt.value(0.1)),
            tooltip=alt.TooltipValue(alt.ExprRef(_tooltip(detail))),
        )
        .add_params(hover),
    ]


def _tooltip(detail: list[str]) -> str:
    """Vega expression for what the tooltip of a point says.

    Vega-Lite's own says `undefined` for every text of the nearest point: what lies under the pointer is a cell around
    the point, and the point's row is the datum of the cell's datum.
    """
    row = "(datum.datum || datum)"
    fields = [f"'{field}': {row}.{field}" for field in detail]
    numbers = [f"'step': format({row}.step, ',')", f"'RelL1': format({row}.value, '.1e')"]
    return f"{{{', '.join([*fields, *numbers])}}}"


def _roundoff_lines(roundoff_exponents: set[int], x: LogAxis) -> list[AnyChart]:
    """Dashed lines at the largest relative error of one rounding, with their values beside them."""
    rows = [
        {"roundoff": 2.0**exponent, "text": f"one rounding: 2^{exponent}"} for exponent in sorted(roundoff_exponents)
    ]
    if not rows:
        return []
    base = alt.Chart(alt.InlineData(values=rows)).encode(y="roundoff:Q")
    text = base.mark_text(align="right", baseline="bottom", dx=-2, dy=-3, color=MUTED)
    return [
        base.mark_rule(strokeDash=[5, 4], color=MUTED),
        text.encode(text="text:N", x=alt.datum(x.top)),
    ]
