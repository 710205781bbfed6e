"""What Figure 3 draws: relative weight distance of two networks, and by learning rate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lastbit.report.charts.axes import Axis
from lastbit.report.charts.curves import cut, gather, last_rows
from lastbit.report.charts.figure import Figure
from lastbit.report.charts.line import line_chart
from lastbit.report.numbers import joined, scientific_range
from lastbit.report.study.weights import DISTANCE, RELL1, distance_chart

_POINTS = 4000  # of all networks


_ROUNDOFF = -24  # exponent of two of float32's


def networks_figure(networks: Sequence[Mapping[str, Any]]) -> Figure:
    """Figure 3: RelL1 of each network's twins over training.

    Args:
        networks: each with its `name`, and `rel_l1` at each `step` whose weights were kept.
    """
    rows = [
        {"network": network["name"], "step": step, "value": value}
        for network in networks
        for step, value in zip(network["step"], network["rel_l1"], strict=True)
    ]
    thinned = gather(rows, lambda row: {"network": row["network"]}, label="network", most_points=_POINTS)
    note = f"{RELL1} Each line compares a run of k = 3 with the one of k = 1, at one seed.{thinned.remark}"
    if not thinned.vary:
        return Figure("networks", "The weights of every network stay bit for bit the same", note)
    ends = scientific_range(row["value"] for row in last_rows(rows))
    title = f"RelL1 comes to {ends} in the longest of {len(networks)} trainings"
    return Figure("networks", title, note, distance_chart(thinned.curves, exponents={_ROUNDOFF}, columns=3))


def learning_rate_figure(rates: Sequence[Mapping[str, Any]]) -> Figure:
    """Figure 3: RelL1 of twins by learning rate, over learning rate × steps.

    Args:
        rates: each with its `lr`, `rel_l1` at each `step`, and the `growth` from the first quarter to the last.
    """
    curves = [
        cut(f"lr = {rate['lr']:.3g}", [rate["lr"] * step for step in rate["step"]], rate["rel_l1"]) for rate in rates
    ]
    note = (
        f"{RELL1} Twins of k = 3 and k = 1 without momentum at constant learning rates; on this axis all of them move "
        "about as far. The factors are from the first quarter of the way to the last, by their medians."
    )
    factors = joined(f"{rate['lr']:.3g} ×{_factor(rate['growth'])}" for rate in rates)
    chart = line_chart(curves, x=Axis("learning rate × update steps", name="lr × step"), y=DISTANCE, columns=5)
    return Figure("learning-rates", f"By learning rate RelL1 grows: {factors}", note, chart)


def _factor(growth: float | None) -> str:
    if growth is None:
        return "?"
    return f"{growth:,.0f}" if growth >= 10 else f"{growth:.1f}"
