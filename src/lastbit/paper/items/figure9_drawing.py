"""What Figure 9 draws: the largest stable learning rates, as a chart and as a table."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lastbit.curvature import EDGE
from lastbit.paper.items.descents import NORMALISED, layers
from lastbit.report.charts.axes import Axis
from lastbit.report.charts.curves import Curve
from lastbit.report.charts.figure import Chart, Figure
from lastbit.report.charts.line import line_chart
from lastbit.report.numbers import joined, significant
from lastbit.report.sharpness.charts import EDGE_LEVEL
from lastbit.report.table import Table


def stable_rate_figures(result: Mapping[str, Any]) -> list[Figure | Table]:
    """Figure 9: where every descent ended, by depth, and the largest stable learning rate of each network.

    Args:
        result: for each of `searches` its `depth`, `seed`, `bracket` of the largest stable learning rate or None,
            `edge` expected from a stable descent, and for each of `runs` its `lr`, `regime` and `sharpness`.
    """
    searches = result["searches"]
    note = (
        "Where each descent ended, by depth; a descent is stable when its updates die out or stop reversing. Below the "
        "edge the sharpness is that of the minimum, in proportion to the learning rate; beyond, it is that of wherever "
        "the oscillation was."
    )
    return [Figure("figure9-sharpness", _stable_finding(searches), note, _ends(searches)), _rates_table(searches)]


def _ends(searches: Sequence[Mapping[str, Any]]) -> Chart:
    curves = list(_end_points(searches))
    rates = [lr for curve in curves for lr in curve.x]
    return line_chart(
        curves,
        x=Axis("learning rate", name="lr", log=True, domain=(0.8 * min(rates), 1.25 * max(rates))),
        y=Axis(f"{NORMALISED.title} at the end", name=NORMALISED.name),
        levels=[EDGE_LEVEL],
        columns=3,
    )


def _end_points(searches: Sequence[Mapping[str, Any]]) -> Iterator[Curve]:
    """Points of the descents of each depth and outcome."""
    points: dict[str, list[tuple[float, float]]] = {}
    for search in searches:
        for run in search["runs"]:
            outcome = "stable" if run["regime"] == "stable" else "unstable"
            end = run["sharpness"]["normalised"][-1]
            if end is not None:
                points.setdefault(f"{layers(search['depth'])}, {outcome}", []).append((run["lr"], end))
    for label, ends in points.items():
        yield Curve(label, [lr for lr, _ in ends], [end for _, end in ends], style="points")


def _stable_finding(searches: Sequence[Mapping[str, Any]]) -> str:
    by_depth = itertools.groupby(searches, lambda search: int(search["depth"]))
    known = {depth: [search["bracket"] for search in group if search["bracket"]] for depth, group in by_depth}
    rates = joined(f"{layers(depth)} up to lr {_ends_of(brackets)}" for depth, brackets in known.items() if brackets)
    return f"Stable with weight decay: {rates}"


def _ends_of(brackets: Sequence[Sequence[float]]) -> str:
    ends = [significant(end, 3) for end in (min(b[0] for b in brackets), max(b[0] for b in brackets))]
    return ends[0] if ends[0] == ends[1] else f"{ends[0]} to {ends[1]}"


def _rates_table(searches: Sequence[Mapping[str, Any]]) -> Table:
    known = [search for search in searches if search["bracket"] is not None]
    return Table(
        "figure9-rates",
        f"2/λ and the largest stable learning rate, found in {len(known)} of {len(searches)} searches",
        ["layers", "initial kernels", "2/λ", "stable at", "unstable at"],
        [_rate_cells(search) for search in searches],
        "λ is the sharpness, weight decay included, at which the largest stable learning rate of a coarse sweep ended; "
        f"the largest stable learning rate is then found by bisection. The edge is at {EDGE:g}.",
        align="llrrr",
    )


def _rate_cells(search: Mapping[str, Any]) -> list[str]:
    rates = ["none found"] * 3
    if search["bracket"] is not None:
        rates = [significant(value) for value in (search["edge"], *search["bracket"])]
    return [str(search["depth"]), f"seed {search['seed']}", *rates]
