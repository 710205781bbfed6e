"""The distance between twins step by step, with its jumps."""

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from lastbit.report.curves import thin
from lastbit.report.figure import Figure
from lastbit.report.numbers import scientific
from lastbit.report.pde.lines import Lines, cut

_MOST_POINTS = 2000


def distance_figure(twins: Sequence[Mapping[str, Any]]) -> Figure:
    """Relative L2 distance of each pair after each step, on a logarithmic axis.

    Args:
        twins: pairs as `growth.json` holds them.
    """
    curves = [cut(pair["noise"], *_points(pair["step"], pair["relative_l2"])) for pair in twins]
    lines = Lines(curves, "update step", "‖w − w′‖ / ‖w′‖ (log scale)")
    note = (
        "Relative L2 distance of all weights, after each update, from those of the twin that differs in the last bit "
        "of its updates only. A vertical line marks a jump: one step that multiplies the distance tenfold or more "
        "beyond the growth around it."
    )
    if not any(value for pair in twins for value in pair["relative_l2"]):
        return Figure("distance", "The twins stay bit-identical", note)
    marks = [{"at": jump["step"]} for pair in twins for jump in pair["growth"]["jumps"]]
    chart = alt.LayerChart(layer=[lines.chart(), *_rules(marks)])
    return Figure("distance", _title(twins), note, chart, lines.rows)


def flips_figure(twins: Sequence[Mapping[str, Any]]) -> Figure:
    """Activations on different sides of a kink, step by step."""
    most = max(pair["activations"] for pair in twins)
    note = (
        "In how many places of a batch the twins' ReLU-like activations lie on different sides of their kink. There "
        "the gradient of one twin flows and the other's does not, however small the difference that made it so."
    )
    if most == 0:
        return Figure("flips", "The network has no activation with a kink, so none can flip", note)
    if not any(count for pair in twins for count in pair["flips"]):
        return Figure("flips", f"None of {most:,} activations a step ever lies on different sides of its kink", note)
    lines = Lines(
        [cut(pair["noise"], *_points(pair["step"], pair["flips"])) for pair in twins],
        "update step",
        f"flipped activations of {most:,} (log scale)",
    )
    first = min(step for pair in twins for step, count in zip(pair["step"], pair["flips"], strict=True) if count)
    title = f"The first of {most:,} activations flips at step {first:,}"
    return Figure("flips", title, note, lines.chart(), lines.rows)


def _points(steps: Sequence[int], values: Sequence[Any]) -> tuple[list[int], list[Any]]:
    kept = thin(range(len(steps)), _MOST_POINTS)
    return [steps[i] for i in kept], [values[i] for i in kept]


def _rules(marks: Sequence[Mapping[str, Any]]) -> list[alt.Chart]:
    if not marks:
        return []
    base = alt.Chart(alt.InlineData(values=list(marks)))
    return [base.mark_rule(strokeDash=[3, 3], color="#D55E00", strokeWidth=1.5).encode(x="at:Q")]


def _title(twins: Sequence[Mapping[str, Any]]) -> str:
    last = [pair["relative_l2"][-1] for pair in twins if pair["relative_l2"][-1] is not None]
    jumps = [jump for pair in twins for jump in pair["growth"]["jumps"]]
    end = f"to {scientific(max(last))} in {twins[0]['step'][-1]:,} steps" if last else "until a run diverges"
    if not jumps:
        return f"The last bit grows without a jump, {end}"
    largest = max(jumps, key=lambda jump: float(jump["factor"]))
    return f"The last bit leaps {largest['factor']:.0f}-fold at step {largest['step']:,} and grows {end}"
