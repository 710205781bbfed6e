"""What a series of sharpness has beside it: batch sharpness with gradient noise, and critical sharpness."""

from collections.abc import Mapping, Sequence
from typing import Any

from lastbit.report.charts.axes import Axis
from lastbit.report.charts.curves import Curve, Level
from lastbit.report.charts.figure import Figure
from lastbit.report.charts.line import line_chart
from lastbit.report.numbers import MISSING, capital, scientific, significant, thin
from lastbit.report.sharpness.stored import Measured, SeriesJson
from lastbit.report.table import Table

_EDGE = 2.0
_MOST_LOSSES, _NARROW = 4000, 3.0  # points of a loss; ratio up to which a logarithmic axis would have no labels
_MEANS = ("noise", "signal_to_noise", "interaction", "largest")
_COLUMNS = (
    "step",
    "batch\nsharpness",
    "95 %\ninterval",
    "normalised\n(2: edge)",
    "gradient\nnoise",
    "signal\nto noise",
    "interaction-\naware",
    "largest of\nH_B",
)
TERMINAL_COLUMNS = 6  # that there is room for


def batch_figure(series: SeriesJson, x: Axis) -> Figure:
    """Batch sharpness against the edge of small batches, and the sharpness against that of full ones.

    Args:
        series: with batch sharpness.
        x: the axis of steps.
    """
    rows, name = batch_rows(series), "batch-sharpness"
    shown = [row for row in rows if row["batch"]["normalised"] is not None and row["normalised"] is not None]
    if not shown:
        return Figure(name, "Batch sharpness is not known against an edge", batch_method(series))
    steps = [row["step"] for row in shown]
    scaled = [[_scaled(row, field) for row in shown] for field in ("sharpness", "lower", "upper")]
    whole = all(value is not None for values in scaled for value in values)
    band = (_known(scaled[1]), _known(scaled[2])) if whole else None
    curves = [
        Curve("batch sharpness, against small batches' edge", steps, scaled[0], band=band),
        Curve("sharpness, against full batches' edge", steps, [row["normalised"] for row in shown]),
    ]
    level = Level(_EDGE, "edge: 2")
    lowest = min(value for curve in curves for _, value in curve.points())
    y = Axis("normalised sharpness", name="value", from_zero=lowest >= 0)
    chart = line_chart(curves, x=x, y=y, levels=[level], marks="points", columns=1)
    return Figure(name, batch_finding(shown[-1]), batch_method(series), chart)


def batch_finding(row: Measured) -> str:
    """Where a measurement's batch sharpness stands, in words."""
    batch = row["batch"]
    known = batch["normalised"] is not None
    value = significant(batch["normalised"] if known else batch["sharpness"], 3)
    ends = [_scaled(row, end) if known else batch[end] for end in ("lower", "upper")]
    between = "" if None in ends else f" ({significant(ends[0], 3)} to {significant(ends[1], 3)})"
    where = ", where 2 is the edge of small batches" if known else ""
    return f"At step {row['step']:,} batch sharpness is {value}{between}{where}"


def batch_method(series: SeriesJson) -> str:
    """What batch sharpness is, and which quantity stands at which edge."""
    batch = batch_rows(series)[-1]["batch"]
    note = f" {capital(batch['note'])}." if batch["note"] else ""
    edge = series.get("small_batch_edge")
    small = f" The edge of small batches is {edge}, that of full ones {series['edge']}." if edge else ""
    return (
        f"Batch sharpness is the mean of g′H g / |g|², gradient g and Hessian H of a batch, over {batch['batches']:,} "
        f"batches, {batch['samples']:,} of the images measured on in each, with a 95 % interval. With small batches "
        "it is what comes up to an edge; with full ones it is the sharpness, the largest eigenvalue of the Hessian of "
        f"all the images.{small}{note}"
    )


def batch_rows(series: SeriesJson) -> list[Measured]:
    """The rows with batch sharpness."""
    return [row for row in series["rows"] if row.get("batch")]


def batch_table(series: SeriesJson, *, columns: int = len(_COLUMNS)) -> Table:
    """Every measurement of batches, with what was measured beside batch sharpness in the later columns."""
    rows = [_batch_cells(row["step"], row["batch"])[:columns] for row in batch_rows(series)]
    return Table("batches", "", list(_COLUMNS[:columns]), rows, align="r" * columns)


def _batch_cells(step: int, batch: Mapping[str, Any]) -> list[str]:
    ends = batch["lower"], batch["upper"]
    between = MISSING if None in ends else f"{significant(ends[0], 3)} – {significant(ends[1], 3)}"
    means = [significant(batch[name]["value"], 3) for name in _MEANS]
    return [f"{step:,}", significant(batch["sharpness"]), between, significant(batch["normalised"]), *means]


def _scaled(row: Measured, field: str) -> float | None:
    batch = row["batch"]
    return None if batch[field] is None or not batch["edge"] else _EDGE * batch[field] / batch["edge"]


def _known(values: Sequence[float | None]) -> list[float]:
    return [value for value in values if value is not None]


def critical_rows(series: SeriesJson) -> list[Measured]:
    """The rows with critical sharpness."""
    return [row for row in series["rows"] if row.get("critical")]


def critical_figure(series: SeriesJson, x: Axis) -> Figure:
    """How many times as long each update could have been before it raised the loss.

    Args:
        series: with critical sharpness.
        x: the axis of steps.
    """
    name, rows = "critical", critical_rows(series)
    note = (
        "The search goes along the optimizer’s own last update, by at most 6 forward passes on the images measured "
        "on. The band lies between the longest update that did not raise the loss and the shortest that did. A factor "
        "above 1 is of that update, and no promise for those to come; past the edge of stability it hovers around 1."
    )
    shown = [row for row in rows if row["critical"]["multiple"]]
    if not shown:
        return Figure(name, "No update gave a critical sharpness", note)
    found = [row["critical"] for row in shown]
    closed = all(row["lower"] and row["upper"] for row in found)
    band = ([row["lower"] for row in found], [row["upper"] for row in found]) if closed else None
    curve = Curve("times the update", [row["step"] for row in shown], [row["multiple"] for row in found], band=band)
    y = Axis("factor by which the rate may rise", name="factor", log=True)
    chart = line_chart([curve], x=x, y=y, levels=[Level(1.0, "as it is: 1")], marks="points")
    return Figure(name, critical_finding(rows[-1]), note, chart)


def critical_finding(row: Measured) -> str:
    """What a row says of the learning rate, in words."""
    return f"At step {row['step']:,}, {row['critical']['advice']}"


def central_rows(series: SeriesJson) -> list[Measured]:
    """The rows with the central flow."""
    return [row for row in series["rows"] if row.get("central")]


def central_figure(series: SeriesJson, x: Axis) -> Figure:
    """The loss of descent, and the average that the central flow predicts of it.

    Args:
        series: with the central flow.
        x: the axis of steps.
    """
    name, rows = "central-flow", central_rows(series)
    shown = [row for row in rows if row["central"]["predicted_loss"] is not None]
    note = (
        "The central flow is the path that descent follows on average: the gradient flow below the edge, and beyond it "
        "one held at the edge by the average force of an oscillation. Its predicted loss includes that of the "
        "oscillation. Descent comes to it only once its own oscillation has grown, and may oscillate in bursts."
    )
    if not shown:
        return Figure(name, "The central flow could not be followed", note)
    losses, steps = series["losses"], [row["step"] for row in shown]
    kept = thin(range(len(losses)), _MOST_LOSSES)
    curves = [
        Curve("descent", kept, [losses[step] for step in kept]),
        Curve("central flow, predicted average", steps, [row["central"]["predicted_loss"] for row in shown]),
        Curve("central flow, at its own weights", steps, [row["central"]["loss"] for row in shown]),
    ]
    values = [value for curve in curves for _, value in curve.points()]
    y = Axis("training loss", name="loss", log=min(values) > 0 and max(values) > _NARROW * min(values))
    return Figure(name, central_finding(shown[-1]), note, line_chart(curves, x=x, y=y, columns=1))


def central_finding(row: Measured) -> str:
    """What a row says of the central flow, in words."""
    central = row["central"]
    if central["predicted_loss"] is None:
        return f"The central flow could not be followed up to step {row['step']:,}"
    where = f"at {significant(central['normalised'], 3)} of 2"
    swings = f"with an oscillation of variance {scientific(central['variance'])}" if central["variance"] else "at rest"
    return (
        f"At step {row['step']:,} the central flow predicts a loss of {significant(central['predicted_loss'], 3)} "
        f"(descent: {significant(row['loss'], 3)}), {where}, {swings}, {scientific(central['relative_l2'])} of the "
        "weights’ norm away"
    )
