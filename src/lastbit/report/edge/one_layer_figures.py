"""Normalised sharpness of the one-layer network by learning rate (figure 6)."""

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from lastbit.report.edge.normalised import EDGE, NORMALISED
from lastbit.report.figure import ROWS, Figure
from lastbit.report.look import colours, shapes
from lastbit.report.pde.lines import Curve, Lines
from lastbit.report.pde.training_figures import few_of_each

_FEW = 30  # steps in which swings can be told apart


def one_layer_figures(result: Mapping[str, Any]) -> list[Figure]:
    """The first steps of runs of each regime, and the range that each run comes to.

    Args:
        result: for each of `runs` its `lr`, `regime`, `normalised` sharpness before each update, and of its last
            quarter the `min`, `mean` and `max` under `late`.
    """
    return [_first_steps(result["runs"]), _ranges(result["runs"])]


def _first_steps(runs: Sequence[Mapping[str, Any]]) -> Figure:
    # Where it ends above 2 without a blow-up, at lr = 2/weight decay exactly, it is neither: left to the second figure.
    plain = [run for run in runs if run["regime"] != "restrained" or run["late"]["min"] < EDGE.value]
    curves = [
        Curve(f"lr = {run['lr']:g}, {run['regime']}", range(_FEW), run["normalised"][:_FEW])
        for run in few_of_each(plain)
    ]
    lines = Lines(curves, "update step", NORMALISED, log_y=False, columns=3, level=EDGE)
    note = (
        "The sharpness is the largest eigenvalue of the loss’s Hessian, weight decay included. Drawn are the first "
        f"{_FEW} steps; the title’s range is that of the last quarter of each restrained run."
    )
    return Figure("figure6-sharpness", _swings(plain), note, lines.chart(), lines.rows)


def _swings(runs: Sequence[Mapping[str, Any]]) -> str:
    late = [run["late"] for run in runs if run["regime"] == "restrained"]
    if not late:
        return "No run is restrained"
    low, high = min(each["min"] for each in late), max(each["max"] for each in late)
    return f"Restrained, normalised sharpness goes back and forth across 2, from {low:.2g} to {high:.2g}"


def _ranges(runs: Sequence[Mapping[str, Any]]) -> Figure:
    rows = [{"lr": f"{run['lr']:g}", "regime": run["regime"], **run["late"]} for run in runs]
    stable = [run["lr"] for run in runs if run["regime"] == "stable"]
    title = (
        f"Training converges up to lr {max(stable):g}, and only there does the sharpness settle below 2"
        if stable
        else "Training converges at no learning rate"
    )
    note = (
        "From the smallest to the largest normalised sharpness in the last quarter of each run; the mark is its mean."
    )
    return Figure("figure6-range", title, note, _range_chart(rows), rows)


def _range_chart(rows: Sequence[Mapping[str, Any]]) -> alt.LayerChart:
    names = list(dict.fromkeys(row["regime"] for row in rows))
    legend = alt.Legend(title=None, orient="top")
    marks = alt.Shape("regime:N", scale=alt.Scale(domain=names, range=shapes(len(names))), legend=legend)
    base = alt.Chart(ROWS).encode(
        x=alt.X("lr:N", sort=[row["lr"] for row in rows], axis=alt.Axis(title="learning rate", labelAngle=0)),
        color=alt.Color("regime:N", scale=colours(names), legend=legend),
        tooltip=["lr:N", "regime:N", "min:Q", "mean:Q", "max:Q"],
    )
    y = alt.Y("min:Q", axis=alt.Axis(title=NORMALISED))
    return alt.LayerChart(
        layer=[
            *EDGE.layers(),
            base.mark_bar(size=12, opacity=0.6).encode(y=y, y2="max:Q"),
            base.mark_point(filled=True, size=90, opacity=1).encode(y="mean:Q", shape=marks),
        ]
    )
