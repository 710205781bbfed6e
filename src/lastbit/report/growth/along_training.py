"""RelL1 and accuracy along trainings: of several networks, by learning rate, and step by step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lastbit.report.curves import gather, last_rows
from lastbit.report.figure import Figure
from lastbit.report.numbers import joined, scientific, scientific_range
from lastbit.report.pde.lines import Level, Lines, cut
from lastbit.report.rel_l1_curves import RELL1, compared, has_curves

_POINTS = 4000  # of all networks
_ROUNDOFF = -24  # exponent of two of float32's
_HORIZON = 1e-2


def networks_figure(networks: Sequence[Mapping[str, Any]]) -> Figure:
    """RelL1 of each network's twins over training.

    Args:
        networks: each with its `name`, and `rel_l1` at each `step` whose weights were kept.
    """
    rows = [
        {"network": each["name"], "step": step, "value": value}
        for each in networks
        for step, value in zip(each["step"], each["rel_l1"], strict=True)
    ]
    names = [each["name"] for each in networks]
    curves = gather(rows, lambda row: {"network": row["network"]}, most_points=_POINTS)
    note = f"{RELL1} Each line compares a run of k = 3 with the one of k = 1, at one seed.{curves.remark}"
    if not has_curves(curves):
        return Figure("networks", "The weights of every network stay bit for bit the same", note)
    ends = scientific_range(row["value"] for row in last_rows(rows))
    title = f"RelL1 comes to {ends} in the longest of {len(names)} trainings"
    chart = compared(
        curves, roundoff_exponents={_ROUNDOFF}, colour="network", names=names, legend_columns=3, detail=["network"]
    )
    return Figure("networks", title, note, chart, curves.rows)


def learning_rate_figure(rates: Sequence[Mapping[str, Any]]) -> Figure:
    """RelL1 of twins by learning rate, over learning rate × steps.

    Args:
        rates: each with its `lr`, `rel_l1` at each `step`, and the `growth` from the first quarter to the last.
    """
    curves = [
        cut(f"lr = {each['lr']:.3g}", [each["lr"] * step for step in each["step"]], each["rel_l1"]) for each in rates
    ]
    lines = Lines(curves, "learning rate × update steps", "RelL1 (log scale)", columns=5)
    note = (
        f"{RELL1} Twins of k = 3 and k = 1 without momentum at constant learning rates; on this axis all of them move "
        "about as far. The factors are from the first quarter of the way to the last, by their medians."
    )
    said = joined(f"{each['lr']:.3g} ×{_factor(each['growth'])}" for each in rates)
    return Figure("learning-rates", f"By learning rate RelL1 grows: {said}", note, lines.chart(), lines.rows)


def _factor(growth: float | None) -> str:
    if growth is None:
        return "?"
    return f"{growth:,.0f}" if growth >= 10 else f"{growth:.1f}"


def learning_figure(result: Mapping[str, Any]) -> Figure:
    """Test accuracy over one training.

    Args:
        result: its `lr`, and `test_accuracy` in percent at each `step`.
    """
    accuracy = result["test_accuracy"]
    lines = Lines(
        [cut(f"lr = {result['lr']:.3g}", result["step"], accuracy)], "update step", "test accuracy (%)", log_y=False
    )
    title = f"At lr = {result['lr']:.3g} test accuracy goes from {accuracy[0]:.1f} to {accuracy[-1]:.1f} %"
    return Figure("learning", title, "After every epoch; one run, k = 1.", lines.chart(), lines.rows)


def step_by_step_figure(pair: Mapping[str, Any], horizon: int | None) -> Figure:
    """RelL1 of twins after every step.

    Args:
        pair: with `rel_l1` after each `step`.
        horizon: the step at which it passes the level.
    """
    lines = Lines(
        [cut(pair["noise"], pair["step"], pair["rel_l1"])],
        "update step",
        "RelL1 (log scale)",
        level=Level(_HORIZON, f"horizon {scientific(_HORIZON)}"),
    )
    first, last = ((pair["rel_l1"][i] or 0.0) for i in (0, -1))
    passed = f"passes {scientific(_HORIZON)} at step {horizon:,}" if horizon is not None else "does not pass the level"
    title = f"RelL1 is {scientific(first)} after one step, {passed} and ends at {scientific(last)}"
    return Figure("step-by-step", title, f"{RELL1} k = 3 against k = 1, one seed.", lines.chart(), lines.rows)
