"""The charts of twins: their distance with its jumps, activations that flip, and the map of amplification."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lastbit.report.charts.axes import Axis
from lastbit.report.charts.curves import cut
from lastbit.report.charts.figure import Figure
from lastbit.report.charts.heat_map import Factors, heat_map
from lastbit.report.charts.line import line_chart
from lastbit.report.numbers import scientific, thin

_MOST_POINTS = 2000
_MOST_COLUMNS = 160  # of the map
_ROW = 17  # pixels of a tensor
_LEAST_DECADES = 0.5  # of the colour scale each way, so that rounding does not look like growth
_MOST_DECADES = 2.0
_STEPS = Axis("update step", name="step", counts=True, format=",")


def distance_figure(twins: Sequence[Mapping[str, Any]]) -> Figure:
    """Relative L2 distance of each pair after each step.

    Args:
        twins: pairs as `growth.json` holds them.
    """
    note = (
        "Relative L2 distance of all weights, after each update, from those of the twin that differs in the last bit "
        "of its updates only. A vertical line marks a jump: one step that multiplies the distance tenfold or more "
        "beyond the growth around it."
    )
    if not any(value for pair in twins for value in pair["relative_l2"]):
        return Figure("distance", "The twins stay bit-identical", note)
    chart = line_chart(
        [cut(pair["noise"], *_points(pair["step"], pair["relative_l2"])) for pair in twins],
        x=_STEPS,
        y=Axis("‖w − w′‖ / ‖w′‖", name="distance", log=True, format=".1e"),
        jumps=[jump["step"] for pair in twins for jump in pair["growth"]["jumps"]],
    )
    return Figure("distance", _title(twins), note, chart)


def _title(twins: Sequence[Mapping[str, Any]]) -> str:
    last = [pair["relative_l2"][-1] for pair in twins if pair["relative_l2"][-1] is not None]
    jumps = [jump for pair in twins for jump in pair["growth"]["jumps"]]
    end = f"to {scientific(max(last))} in {twins[0]['step'][-1]:,} steps" if last else "until a run diverges"
    if not jumps:
        return f"The last bit grows without a jump, {end}"
    largest = max(jumps, key=lambda jump: float(jump["factor"]))
    return f"The last bit leaps {largest['factor']:.0f}-fold at step {largest['step']:,} and grows {end}"


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
    chart = line_chart(
        [cut(pair["noise"], *_points(pair["step"], pair["flips"])) for pair in twins],
        x=_STEPS,
        y=Axis(f"flipped activations of {most:,}", name="flips", log=True, format=",d"),
    )
    first = min(step for pair in twins for step, count in zip(pair["step"], pair["flips"], strict=True) if count)
    return Figure("flips", f"The first of {most:,} activations flips at step {first:,}", note, chart)


def _points(steps: Sequence[int], values: Sequence[Any]) -> tuple[list[int], list[Any]]:
    kept = thin(range(len(steps)), _MOST_POINTS)
    return [steps[i] for i in kept], [values[i] for i in kept]


def amplification_figure(pair: Mapping[str, Any]) -> Figure:
    """‖δ‖ after each step over ‖δ‖ before it, tensor by tensor: where in the network and when errors are amplified.

    Args:
        pair: one pair of twins as `growth.json` holds it, with `step` and `norms`.
    """
    width = max(1, math.ceil(len(pair["step"]) / _MOST_COLUMNS))
    cells = list(_cells(pair["step"], pair["norms"], width))
    note = (
        "δ is the difference of a tensor's weights between the twins; the colour is ‖δ‖ after a step over ‖δ‖ before "
        "it, on a logarithmic scale around 1: orange grows, blue shrinks. Tensors are in the network's order, from "
        "input to output."
    )
    if width > 1:
        note += f" A cell holds {width} steps and shows the one farthest from 1."
    if not cells:
        return Figure("amplification", "There is no difference whose amplification could be drawn", note)
    tensors = list(pair["norms"])
    reach = min(_MOST_DECADES, max(_LEAST_DECADES, max(abs(cell["shown"]) for cell in cells)))
    chart = heat_map(
        cells,
        x=Axis("update step", counts=True, domain=(2, max(3, *(cell["right"] for cell in cells)))).fit([]),
        y=tensors,
        colour=Factors("‖δ‖ after / before a step", reach),
        tooltip={"row": "", "step": ",", "factor": ".3~g"},
        height=_ROW * len(tensors),
    )
    return Figure("amplification", _map_title(cells), note, chart)


def _cells(steps: Sequence[int], norms: Mapping[str, Sequence[float | None]], width: int) -> Iterator[dict[str, Any]]:
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
            shown = round(known[step], 3)
            cell = {"row": tensor, "left": first, "right": first + width, "step": step, "shown": shown}
            yield cell | {"factor": float(f"{10**shown:.3g}")}


def _decades(before: float | None, after: float | None) -> float | None:
    return math.log10(after / before) if before and after else None


def _map_title(cells: Sequence[Mapping[str, Any]]) -> str:
    top = max(cells, key=lambda cell: float(cell["shown"]))
    factor = 10 ** top["shown"]
    if factor < 2:
        return f"No tensor's difference doubles in any step; the largest factor is {factor:.2f}"
    calm = sum(abs(cell["shown"]) < math.log10(2) for cell in cells) / len(cells)
    return (
        f"{top['row']} amplifies its difference {factor:.0f}-fold at step {top['step']:,}; in {100 * calm:.0f} % of "
        "the map it changes less than twofold"
    )
