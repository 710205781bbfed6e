"""The amplification map: which tensor's difference grew at which step."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from lastbit.report.figure import ROWS, Figure

_MOST_COLUMNS = 160
_ROW = 17  # pixels of a tensor
_LEAST_DECADES = 0.5  # of the colour scale each way, so that rounding does not look like growth
_MOST_DECADES = 2.0


def amplification_figure(pair: Mapping[str, Any]) -> Figure:
    """‖δ‖ after each step over ‖δ‖ before it, tensor by tensor: where in the network and when errors are amplified.

    Args:
        pair: one pair of twins as `growth.json` holds it, with `step` and `norms`.
    """
    cells = list(_cells(pair["step"], pair["norms"]))
    width = _width(len(pair["step"]))
    note = (
        "δ is the difference of a tensor's weights between the twins; the colour is ‖δ‖ after a step over ‖δ‖ before "
        "it, on a logarithmic scale around 1: orange grows, blue shrinks. Tensors are in the network's order, from "
        "input to output."
    )
    if width > 1:
        note += f" A cell holds {width} steps and shows the one farthest from 1."
    if not cells:
        return Figure("amplification", "There is no difference whose amplification could be drawn", note)
    return Figure(
        "amplification",
        _title(cells),
        note,
        _draw(cells, list(pair["norms"]), width),
        cells,
        height=_ROW * len(pair["norms"]),
    )


def _cells(steps: Sequence[int], norms: Mapping[str, Sequence[float | None]]) -> list[dict[str, Any]]:
    width, cells = _width(len(steps)), []
    for tensor, values in norms.items():
        ratios = {
            step: _decades(before, after) for step, before, after in zip(steps[1:], values, values[1:], strict=False)
        }
        known = {step: ratio for step, ratio in ratios.items() if ratio is not None}
        inside: dict[int, list[int]] = {}  # first step of a cell -> those steps of it that are known
        for step in known:
            inside.setdefault(step - (step - steps[0] - 1) % width, []).append(step)
        for first, within in inside.items():
            step = max(within, key=lambda step: abs(known[step]))
            cells.append({"tensor": tensor, "first": first, "step": step, "decades": round(known[step], 3)})
    return cells


def _width(steps: int) -> int:
    return max(1, math.ceil(steps / _MOST_COLUMNS))


def _decades(before: float | None, after: float | None) -> float | None:
    return math.log10(after / before) if before and after else None


def _title(cells: Sequence[Mapping[str, Any]]) -> str:
    top = max(cells, key=lambda cell: float(cell["decades"]))
    factor = 10 ** top["decades"]
    if factor < 2:
        return f"No tensor's difference doubles in any step; the largest factor is {factor:.2f}"
    calm = sum(abs(cell["decades"]) < math.log10(2) for cell in cells) / len(cells)
    return (
        f"{top['tensor']} amplifies its difference {factor:.0f}-fold at step {top['step']:,}; in {100 * calm:.0f} % of "
        "the map it changes less than twofold"
    )


def _draw(cells: Sequence[Mapping[str, Any]], tensors: list[str], width: int) -> alt.Chart:
    reach = min(_MOST_DECADES, max(_LEAST_DECADES, max(abs(cell["decades"]) for cell in cells)))
    last = max(cell["first"] for cell in cells) + width
    legend = alt.Legend(
        title="‖δ‖ after / before a step",
        orient="top",
        gradientLength=240,
        format=".2~f",
        labelExpr=_FACTOR,
        tickCount=5,
    )
    chart: alt.Chart = (
        alt.Chart(ROWS)
        .transform_calculate(end=f"datum.first + {width}", factor="pow(10, datum.decades)")
        .mark_rect(strokeWidth=0)
        .encode(
            x=alt.X(
                "first:Q",
                scale=alt.Scale(domain=[2, max(last, 3)], nice=False),
                axis=alt.Axis(title="update step", grid=False, tickCount=10),
            ),
            x2="end:Q",
            y=alt.Y("tensor:N", sort=tensors, axis=alt.Axis(title=None, grid=False, labelLimit=150)),
            color=alt.Color(
                "decades:Q", scale=alt.Scale(scheme="blueorange", domain=[-reach, reach], clamp=True), legend=legend
            ),
            tooltip=["tensor:N", alt.Tooltip("step:Q", format=","), alt.Tooltip("factor:Q", format=".3~g")],
        )
    )
    return chart


# A factor as people write it: 10, 1, 1/10.
_FACTOR = "(datum.value < -1e-9 ? '1/' : '') + format(pow(10, abs(datum.value)), '.2~r')"
