"""What linearised training predicts of the distance between twins: what is stored of it, and its chart."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from lastbit.report.charts.axes import Axis
from lastbit.report.charts.curves import cut
from lastbit.report.charts.figure import Figure
from lastbit.report.charts.line import line_chart
from lastbit.report.numbers import scientific, significant, thin
from lastbit.report.shape import Count, NonNegative, Shape

_MOST_POINTS = 2000
_NOTE = (
    "The twins’ distance as measured, and as linearised training predicts it: the difference of the weights goes "
    "through the derivative of each step (for gradient descent I − lr H, with H the Hessian of the loss on the step’s "
    "batch), and the rounding of each step is added. The third line is what becomes of the first difference "
    "alone; what the second has more comes of the rounding of later steps. A vertical line marks the step at which "
    "prediction and twins part by half of the distance: from there on the difference is no longer linear."
)


class PartingShape(Shape):
    """The step at which twins leave the prediction."""

    step: Count
    gap: NonNegative | None
    tensor: str
    flips_by_module: dict[str, Count]


class LinearisedShape(Shape):
    """The prediction for one pair."""

    predicted: list[NonNegative | None]
    amplified: list[NonNegative | None]
    amplification: NonNegative | None
    gap: list[NonNegative | None]
    parting: PartingShape | None


def predicted_figure(pair: Mapping[str, Any]) -> Figure:
    """Measured and predicted relative L2 distance after each step, and where they part.

    Args:
        pair: one pair of twins as `growth.json` holds it, with `linearised`.
    """
    linear, steps = pair["linearised"], pair["step"]
    name = "predicted-" + re.sub(r"\W", "", pair["noise"])
    if not any(pair["relative_l2"]):
        return Figure(name, "There is no distance to predict: the twins stay bit-identical", _NOTE)
    kept = thin(range(len(steps)), _MOST_POINTS)

    def chosen(values: Sequence[Any]) -> list[Any]:
        """Those that are drawn."""
        return [values[place] for place in kept]

    parting = linear["parting"]
    chart = line_chart(
        [
            cut("measured", chosen(steps), chosen(pair["relative_l2"])),
            cut("predicted by linearised training", chosen(steps), chosen(linear["predicted"])),
            cut("the first difference alone", chosen(steps), chosen(linear["amplified"])),
        ],
        x=Axis("update step", name="step", counts=True, format=","),
        y=Axis("‖w − w′‖ / ‖w′‖", name="distance", log=True, format=".1e"),
        jumps=[] if parting is None else [parting["step"]],
    )
    return Figure(name, f"{_title(linear)} ({pair['noise']})", _NOTE, chart)


def _title(linear: Mapping[str, Any]) -> str:
    parting = linear["parting"]
    if parting is None:
        gap = max(value for value in linear["gap"] if value is not None)
        fold = significant(linear["amplification"], 2)
        predicts = f"Linearised training predicts every distance to {scientific(gap)} of it"
        return f"{predicts}, and amplifies the first {fold}-fold"
    flips = sum(parting["flips_by_module"].values())
    cause = (
        f"where {flips:,} activations flip"
        if flips > 1
        else "where one activation flips"
        if flips
        else "without a flip"
    )
    return f"Twins leave the prediction at step {parting['step']:,}, {cause}, most in {parting['tensor']}"
