"""Where the variance of one run's metric comes from: one bar, cut at its sources."""

from typing import Any

import altair as alt

from lastbit.report.figure import ROWS, Figure
from lastbit.report.look import colours
from lastbit.report.metric import Metric, metric_of
from lastbit.report.numbers import joined, percent
from lastbit.report.stored import Study

NAME = "variance"
_HEIGHT = 90  # pixels
_SOURCES = ("test_set", "batch_order", "last_bit")


def variance_figure(study: Study) -> Figure:
    """The shares of test set, batch order and last bit in the variance of a single run's metric."""
    metric = metric_of(study)
    found = {name: study["variance"][name] for name in _SOURCES if study["variance"][name] is not None}
    rows = [
        {"source": _label(name, metric), "order": order, "share": part["share"], "std": part["std"]}
        for order, (name, part) in enumerate(found.items())
        if part["share"] is not None
    ]
    if not rows:
        return Figure(NAME, "No variance to split", _nothing(found))
    return Figure(NAME, _title(rows, metric), _note(study, found, metric), _draw(rows), rows, height=_HEIGHT)


def _label(source: str, metric: Metric) -> str:
    return metric.order if source == "batch_order" else source.replace("_", " ")


def _nothing(found: dict[str, Any]) -> str:
    if found:
        return "Every run has the same value, and no test predictions were stored."
    return "It takes finished runs of at least two noises at one seed, or stored test predictions."


def _title(rows: list[dict[str, Any]], metric: Metric) -> str:
    said = joined(f"{row['source']} {percent(row['share'])}" for row in rows)
    return f"The variance of one run’s {metric.label}: {said}"


def _note(study: Study, found: dict[str, Any], metric: Metric) -> str:
    stds = joined(
        f"{_label(name, metric)} {metric.spread(part['std'])} ({metric.interval(part)})" for name, part in found.items()
    )
    said = f"As standard deviations{', in points' if metric.is_percentage else ''}, with 95 % intervals: {stds}."
    truncated = [_label(name, metric) for name, part in found.items() if part["truncated"]]
    if truncated:
        said += f" The estimate for {joined(truncated)} came out negative and is put as 0."
    if "test_set" in found and study["variance"]["test_set_by"] == "binomial":
        said += " The test set’s part is the binomial’s, for want of several runs with predictions and true labels."
    dropped = study["variance"]["dropped_seeds"]
    if dropped:
        said += f" {dropped} seed(s) with a missing run are left out of {metric.order}."
    return (
        f"{said} {metric.capital_order} is here without the last bit; the test set is shared, and sets no runs apart."
    )


def _draw(rows: list[dict[str, Any]]) -> alt.LayerChart:
    names = [row["source"] for row in rows]
    base = alt.Chart(ROWS).encode(
        x=alt.X("share:Q", stack="zero", axis=alt.Axis(title="share of the variance", format="%", tickCount=5)),
        order=alt.Order("order:O"),
    )
    bars = base.mark_bar(height=40, stroke="white", strokeWidth=1).encode(
        color=alt.Color("source:N", scale=colours(names), legend=alt.Legend(title=None, orient="top")),
        tooltip=[
            alt.Tooltip("source:N"),
            alt.Tooltip("share:Q", format=".1%"),
            alt.Tooltip("std:Q", format=".3f", title="standard deviation"),
        ],
    )
    return alt.LayerChart(layer=[bars])
