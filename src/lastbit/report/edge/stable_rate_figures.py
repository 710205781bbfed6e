"""The largest stable learning rate by depth, with weight decay (figure 9)."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import altair as alt

from lastbit.report.edge.normalised import EDGE, NORMALISED
from lastbit.report.figure import ROWS, Figure
from lastbit.report.look import colours
from lastbit.report.numbers import joined
from lastbit.report.pde.significant import significant
from lastbit.report.pde.table import Table

_NONE = "none found"


def stable_rate_figures(result: Mapping[str, Any]) -> list[Figure | Table]:
    """Where every descent ended, and the largest stable learning rate of each network.

    Args:
        result: for each of `searches` its `depth`, `seed`, `bracket` of the largest stable learning rate or None,
            `edge` expected from a stable descent, and for each of `runs` its `lr`, `regime` and `sharpness`.
    """
    return [_ends(result["searches"]), _table(result["searches"])]


def _ends(searches: Sequence[Mapping[str, Any]]) -> Figure:
    rows = list(_rows(searches))
    return Figure(
        "figure9-sharpness",
        _finding(searches),
        "Where each descent ended, by depth; a descent is stable when its updates die out or stop reversing. Below the "
        "edge the sharpness is that of the minimum, in proportion to the learning rate; beyond, it is that of wherever "
        "the oscillation was.",
        _chart(rows),
        rows,
    )


def _rows(searches: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    for search in searches:
        for run in search["runs"]:
            end = run["sharpness"]["normalised"][-1]
            if end is not None:
                regime = "stable" if run["regime"] == "stable" else "unstable"
                yield {"network": _layers(search["depth"]), "lr": run["lr"], "end": end, "descent": regime}


def _finding(searches: Sequence[Mapping[str, Any]]) -> str:
    by_depth = itertools.groupby(searches, lambda search: int(search["depth"]))
    found = {depth: [search["bracket"] for search in group if search["bracket"]] for depth, group in by_depth}
    said = joined(f"{_layers(depth)} up to lr {_span(brackets)}" for depth, brackets in found.items() if brackets)
    return f"Stable with weight decay: {said}"


def _span(brackets: Sequence[Sequence[float]]) -> str:
    ends = [significant(end, 3) for end in (min(b[0] for b in brackets), max(b[0] for b in brackets))]
    return ends[0] if ends[0] == ends[1] else f"{ends[0]} to {ends[1]}"


def _layers(depth: int) -> str:
    return f"{depth} layer" + ("s" if depth > 1 else "")


def _chart(rows: Sequence[Mapping[str, Any]]) -> alt.LayerChart:
    names, rates = list(dict.fromkeys(row["network"] for row in rows)), [row["lr"] for row in rows]
    shapes = alt.Scale(domain=["stable", "unstable"], range=["circle", "cross"])
    scale = alt.Scale(type="log", domain=[0.8 * min(rates), 1.25 * max(rates)], nice=False)
    points = (
        alt.Chart(ROWS)
        .mark_point(filled=True, size=90, opacity=0.8)
        .encode(
            x=alt.X("lr:Q", scale=scale, axis=alt.Axis(title="learning rate (log scale)", grid=False)),
            y=alt.Y("end:Q", axis=alt.Axis(title=f"{NORMALISED} at the end")),
            color=alt.Color("network:N", scale=colours(names), legend=alt.Legend(title=None, orient="top")),
            shape=alt.Shape("descent:N", scale=shapes, legend=alt.Legend(title=None, orient="top")),
            tooltip=["network:N", "descent:N", "lr:Q", "end:Q"],
        )
    )
    return alt.LayerChart(layer=[*EDGE.layers(), points])


def _table(searches: Sequence[Mapping[str, Any]]) -> Table:
    found = [search for search in searches if search["bracket"] is not None]
    return Table(
        "figure9-rates",
        f"2/λ and the largest stable learning rate, found in {len(found)} of {len(searches)} searches",
        "λ is the sharpness, weight decay included, at which the largest stable learning rate of a coarse sweep ended; "
        f"the largest stable learning rate is then found by bisection. The edge is at {EDGE.value:g}.",
        ["layers", "initial kernels", "2/λ", "stable at", "unstable at"],
        [_cells(search) for search in searches],
    )


def _cells(search: Mapping[str, Any]) -> list[str]:
    found = [_NONE] * 3
    if search["bracket"] is not None:
        found = [significant(value) for value in (search["edge"], *search["bracket"])]
    return [str(search["depth"]), f"seed {search['seed']}", *found]
