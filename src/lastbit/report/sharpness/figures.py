"""The charts of a sharpness series."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lastbit.report.curves import thin
from lastbit.report.figure import Figure
from lastbit.report.numbers import scientific
from lastbit.report.pde.significant import significant
from lastbit.report.sharpness.over_steps import Curve, OverSteps
from lastbit.report.sharpness.stored import Series, diverged_at, measured

EDGE = 2.0
_MOST_LOSSES = 4000  # points of the loss: about 12 bytes each
_FAR_BEYOND = 20.0  # normalised sharpness from which on a linear axis would hide the edge
_NARROW = 3.0  # ratio of losses up to which a logarithmic axis would have no labels


def sharpness_figures(series: Series) -> list[Figure]:
    """The charts in the order of reading; layers and flow where they were measured."""
    figures = [_normalised(series), _losses(series)]
    if series["layers"]:
        figures.append(_layers(series))
    if series["flow"]:
        figures.append(_flow(series))
    return figures


def _normalised(series: Series) -> Figure:
    rows = measured(series)
    name = "normalised-sharpness"
    if not rows:
        return Figure(name, str(series["finding"]), "No measurement gave a finite number.")
    steps = [row["step"] for row in rows]
    scaled = [[EDGE * value / row["edge"] for value in row["values"]] for row in rows]
    names = ["largest eigenvalue", *(f"eigenvalue {place}" for place in range(2, len(scaled[0]) + 1))]
    curves = [Curve(label, steps, [values[place] for values in scaled]) for place, label in enumerate(names)]
    drawn = _against_edge(series, curves)
    note = (
        f"Normalised sharpness is 2 · sharpness / edge, with the edge {series['edge']}: below the dashed line the "
        f"linearised step is stable. {_schedule(series)}{_cross(series)}"
    )
    return Figure(name, _sharpness_title(rows), note, drawn.chart(), drawn.rows)


def _sharpness_title(rows: Sequence[Mapping[str, Any]]) -> str:
    top, last = max(rows, key=lambda row: float(row["normalised"])), rows[-1]
    most = f"The normalised sharpness is largest at step {top['step']:,}, {significant(top['normalised'], 3)}"
    return most if top is last else f"{most}, and {significant(last['normalised'], 3)} at step {last['step']:,}"


def _against_edge(series: Series, curves: Sequence[Curve]) -> OverSteps:
    values = [value for curve in curves for _, value in curve.points()]
    far = min(values) > 0 and max(values) > _FAR_BEYOND
    return OverSteps(
        curves,
        "normalised sharpness",
        log_y=far,
        log_x=_is_log(series),
        from_zero=min(values) >= 0,
        diverged=diverged_at(series) is not None,
        reference=EDGE,
        reference_text="edge of stability: 2",
    )


def _losses(series: Series) -> Figure:
    losses, name = series["losses"], "loss"
    kept = thin(range(len(losses)), _MOST_LOSSES)
    label = "every step" if series["full_batch"] else "each step’s batch"
    curves = [Curve(label, kept, [losses[step] for step in kept])]
    if not series["full_batch"]:
        rows = series["rows"]
        images = f"the {series['measured_images']:,} images measured on"
        curves.append(Curve(images, [row["step"] for row in rows], [row["loss"] for row in rows]))
    values = [value for curve in curves for _, value in curve.points()]
    if not values:
        return Figure(name, "The loss was never finite", "There is nothing to draw.")
    drawn = OverSteps(
        curves,
        "training loss",
        log_y=min(values) > 0 and max(values) > _NARROW * min(values),
        log_x=_is_log(series),
        mark_points=False,
        diverged=diverged_at(series) is not None,
    )
    return Figure(name, _loss_title(series), _loss_note(series, len(kept)), drawn.chart(), drawn.rows)


def _loss_title(series: Series) -> str:
    finite = [loss for loss in series["losses"] if loss is not None]
    course = f"The training loss goes from {significant(finite[0], 3)} to {significant(finite[-1], 3)}"
    steps = len(series["losses"]) - 1
    if not series["full_batch"] or not steps:
        return f"{course} in {steps:,} steps"
    return f"{course}, and rises in {series['rises']:,} of {steps:,} steps"


def _loss_note(series: Series, drawn: int) -> str:
    steps = len(series["losses"])
    thinned = f" Drawn are {drawn:,} of {steps:,} steps." if drawn < steps else ""
    if series["full_batch"]:
        how = "Cross-entropy of all training images before each update, without weight decay."
    else:
        how = (
            "Cross-entropy without weight decay: of the batch that each step is made of, and of the images measured on."
        )
    return f"{how}{thinned}{_cross(series)}"


def _layers(series: Series) -> Figure:
    rows, name = measured(series), "layers"
    if not rows:
        return Figure(name, "No layer could be measured", "No measurement gave a finite number.")
    layers = list(rows[-1]["layers"])
    steps = [row["step"] for row in rows]
    curves = [
        Curve(layer, steps, [_scaled(row["layers"][layer]["sharpness"], row["edge"]) for row in rows])
        for layer in layers
    ]
    drawn = _against_edge(series, curves)
    note = (
        "The largest eigenvalue of each layer’s own block of the Hessian, all other weights held fixed, in units of "
        "the same edge. No block’s can exceed that of the whole network, which also couples layers."
    )
    return Figure(name, _layers_title(rows[-1]), note, drawn.chart(), drawn.rows)


def _layers_title(row: Mapping[str, Any]) -> str:
    layers = {name: _scaled(found["sharpness"], row["edge"]) for name, found in row["layers"].items()}
    known = {name: value for name, value in layers.items() if value is not None}
    if not known:
        return f"No layer gave a finite sharpness at step {row['step']:,}"
    sharpest = max(known, key=lambda name: known[name])
    return (
        f"At step {row['step']:,} the sharpest layer is {sharpest}, at {significant(known[sharpest], 3)} of the whole "
        f"network’s {significant(row['normalised'], 3)}"
    )


def _flow(series: Series) -> Figure:
    rows, name = [row for row in series["rows"] if "flow" in row], "flow"
    steps = [row["step"] for row in rows]
    measures = {"relative L2, ‖θ − φ‖ / ‖φ‖": "relative_l2", "RelL1": "rel_l1"}
    curves = [
        # At step 0 the two are the same, and zero has no logarithm.
        Curve(label, steps, [row["flow"][field] or None for row in rows])
        for label, field in measures.items()
    ]
    known = [row for row in rows if row["flow"]["relative_l2"]]
    if not known:
        return Figure(name, "The distance to the gradient flow is not known", "No row but the first has one.")
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
    drawn = OverSteps(curves, "distance to the gradient flow", log_y=True, log_x=_is_log(series))
    return Figure(name, title, note, drawn.chart(), drawn.rows)


def _scaled(sharpness: float | None, edge: float) -> float | None:
    return None if sharpness is None else EDGE * sharpness / edge


def _is_log(series: Series) -> bool:
    return str(series["every"]).startswith("log")


def _schedule(series: Series) -> str:
    if _is_log(series):
        return "Measured at steps evenly spaced in their logarithm."
    return "Measured at every step." if series["every"] == "1" else f"Measured every {series['every']} steps."


def _cross(series: Series) -> str:
    step = diverged_at(series)
    return "" if step is None else f" The cross is the last finite value: the loss of step {step:,} is not finite."
