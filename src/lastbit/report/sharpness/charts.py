"""The charts of a series of sharpness."""

from collections.abc import Mapping, Sequence
from typing import Any

from lastbit.report.charts.axes import Axis
from lastbit.report.charts.curves import Curve, Level
from lastbit.report.charts.figure import Chart, Figure
from lastbit.report.charts.line import line_chart
from lastbit.report.numbers import scientific, significant, thin
from lastbit.report.sharpness.beside import (
    batch_figure,
    batch_rows,
    central_figure,
    central_rows,
    critical_figure,
    critical_rows,
)
from lastbit.report.sharpness.stored import SeriesJson, diverged_at, measured

EDGE = 2.0  # of the normalised sharpness: the edge of stability
EDGE_LEVEL = Level(EDGE, "edge: 2")
_MOST_LOSSES = 4000  # points of the loss: about 12 bytes each
_FAR_BEYOND = 20.0  # normalised sharpness from which on a linear axis would hide the edge
_NARROW = 3.0  # ratio of losses up to which a logarithmic axis would have no labels


def sharpness_figures(series: SeriesJson) -> list[Figure]:
    """The charts in the order of reading; what is asked for beside the sharpness where it was measured."""
    figures = [_normalised(series)]
    if batch_rows(series):
        figures.append(batch_figure(series, _steps(series)))
    if critical_rows(series):
        figures.append(critical_figure(series, _steps(series)))
    if central_rows(series):
        figures.append(central_figure(series, _steps(series)))
    figures.append(_losses(series))
    if series["layers"]:
        figures.append(_layers(series))
    if series["flow"]:
        figures.append(_flow(series))
    return figures


def _normalised(series: SeriesJson) -> Figure:
    rows, name = measured(series), "normalised-sharpness"
    if not rows:
        return Figure(name, str(series["finding"]), "No measurement gave a finite number.")
    steps = [row["step"] for row in rows]
    scaled = [[EDGE * value / row["edge"] for value in row["values"]] for row in rows]
    names = ["largest eigenvalue", *(f"eigenvalue {place}" for place in range(2, len(scaled[0]) + 1))]
    ended = diverged_at(series) is not None
    curves = [
        Curve(label, steps, [values[place] for values in scaled], ended=ended) for place, label in enumerate(names)
    ]
    note = (
        f"Normalised sharpness is 2 · sharpness / edge, with the edge {series['edge']}: below the dashed line the "
        f"linearised step is stable. {_schedule(series)}{_cross(series)}"
    )
    return Figure(name, _sharpness_title(rows), note, _against_edge(series, curves))


def _sharpness_title(rows: Sequence[Mapping[str, Any]]) -> str:
    top, last = max(rows, key=lambda row: float(row["normalised"])), rows[-1]
    most = f"The normalised sharpness is largest at step {top['step']:,}, {significant(top['normalised'], 3)}"
    return most if top is last else f"{most}, and {significant(last['normalised'], 3)} at step {last['step']:,}"


def _against_edge(series: SeriesJson, curves: Sequence[Curve]) -> Chart:
    values = [value for curve in curves for _, value in curve.points()]
    far = min(values) > 0 and max(values) > _FAR_BEYOND
    return line_chart(
        curves,
        x=_steps(series),
        y=Axis("normalised sharpness", name="value", log=far, from_zero=min(values) >= 0),
        levels=[EDGE_LEVEL],
        marks="points",
        columns=2,
    )


def _losses(series: SeriesJson) -> Figure:
    losses, name = series["losses"], "loss"
    kept = thin(range(len(losses)), _MOST_LOSSES)
    label = "every step" if series["full_batch"] else "each step’s batch"
    ended = diverged_at(series) is not None
    curves = [Curve(label, kept, [losses[step] for step in kept], ended=ended)]
    if not series["full_batch"]:
        rows = series["rows"]
        images = f"the {series['measured_images']:,} images measured on"
        curves.append(Curve(images, [row["step"] for row in rows], [row["loss"] for row in rows], ended=ended))
    values = [value for curve in curves for _, value in curve.points()]
    if not values:
        return Figure(name, "The loss was never finite", "There is nothing to draw.")
    is_log = min(values) > 0 and max(values) > _NARROW * min(values)
    chart = line_chart(curves, x=_steps(series), y=Axis("training loss", name="loss", log=is_log), columns=2)
    return Figure(name, _loss_title(series), _loss_note(series, len(kept)), chart)


def _loss_title(series: SeriesJson) -> str:
    finite = [loss for loss in series["losses"] if loss is not None]
    course = f"The training loss goes from {significant(finite[0], 3)} to {significant(finite[-1], 3)}"
    steps = len(series["losses"]) - 1
    if not series["full_batch"] or not steps:
        return f"{course} in {steps:,} steps"
    return f"{course}, and rises in {series['rises']:,} of {steps:,} steps"


def _loss_note(series: SeriesJson, drawn: int) -> str:
    steps = len(series["losses"])
    thinned = f" Drawn are {drawn:,} of {steps:,} steps." if drawn < steps else ""
    if series["full_batch"]:
        how = "Cross-entropy of all training images before each update, without weight decay."
    else:
        how = (
            "Cross-entropy without weight decay: of the batch that each step is made of, and of the images measured on."
        )
    return f"{how}{thinned}{_cross(series)}"


def _layers(series: SeriesJson) -> Figure:
    rows, name = measured(series), "layers"
    if not rows:
        return Figure(name, "No layer could be measured", "No measurement gave a finite number.")
    steps, ended = [row["step"] for row in rows], diverged_at(series) is not None
    curves = [
        Curve(layer, steps, [_scaled(row["layers"][layer]["sharpness"], row["edge"]) for row in rows], ended=ended)
        for layer in rows[-1]["layers"]
    ]
    note = (
        "The largest eigenvalue of each layer’s own block of the Hessian, all other weights held fixed, in units of "
        "the same edge. No block’s can exceed that of the whole network, which also couples layers."
    )
    return Figure(name, _layers_title(rows[-1]), note, _against_edge(series, curves))


def _layers_title(row: Mapping[str, Any]) -> str:
    layers = {name: _scaled(layer["sharpness"], row["edge"]) for name, layer in row["layers"].items()}
    known = {name: value for name, value in layers.items() if value is not None}
    if not known:
        return f"No layer gave a finite sharpness at step {row['step']:,}"
    sharpest = max(known, key=lambda name: known[name])
    return (
        f"At step {row['step']:,} the sharpest layer is {sharpest}, at {significant(known[sharpest], 3)} of the whole "
        f"network’s {significant(row['normalised'], 3)}"
    )


def _flow(series: SeriesJson) -> Figure:
    rows, name = [row for row in series["rows"] if "flow" in row], "flow"
    measures = {"relative L2, ‖θ − φ‖ / ‖φ‖": "relative_l2", "RelL1": "rel_l1"}
    known = [row for row in rows if row["flow"]["relative_l2"]]
    if not known:
        return Figure(name, "The distance to the gradient flow is not known", "No row but the first has one.")
    # At step 0 the two are the same, and zero has no logarithm.
    curves = [
        Curve(label, [row["step"] for row in rows], [row["flow"][field] or None for row in rows])
        for label, field in measures.items()
    ]
    last = known[-1]
    title = (
        f"After step {last['step']:,} the weights are {scientific(last['flow']['relative_l2'])} of their norm away "
        "from the gradient flow"
    )
    lost = "" if last is rows[-1] else f" The flow could not be followed beyond step {last['step']:,}."
    note = (
        "θ are the weights of gradient descent and φ those of the gradient flow at time lr · step, followed by an "
        f"adaptive Runge-Kutta method with a relative tolerance of {scientific(series['flow_rtol'])} a step; RelL1 is "
        f"2 · mean |θ − φ| / (|θ| + |φ|).{lost}"
    )
    y = Axis("distance to the gradient flow", name="distance", log=True)
    return Figure(name, title, note, line_chart(curves, x=_steps(series), y=y, marks="points", columns=2))


def _scaled(sharpness: float | None, edge: float) -> float | None:
    return None if sharpness is None else EDGE * sharpness / edge


def _is_log(series: SeriesJson) -> bool:
    return str(series["every"]).startswith("log")


def _steps(series: SeriesJson) -> Axis:
    return Axis("update step", name="step", log=_is_log(series), counts=True, format=",")


def _schedule(series: SeriesJson) -> str:
    if _is_log(series):
        return "Measured at steps evenly spaced in their logarithm."
    return "Measured at every step." if series["every"] == "1" else f"Measured every {series['every']} steps."


def _cross(series: SeriesJson) -> str:
    step = diverged_at(series)
    return "" if step is None else f" The cross is the last finite value: the loss of step {step:,} is not finite."
