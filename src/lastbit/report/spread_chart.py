"""The spread that the noise makes, beside that of batch order and the error of the test set."""

from typing import Any

import altair as alt

from lastbit.report.figure import ROWS, Figure
from lastbit.report.look import colours
from lastbit.report.metric import Metric, metric_of
from lastbit.report.numbers import percent
from lastbit.report.source import capital, source_of
from lastbit.report.stored import Study

NAME = "spread"
_ROW = 56  # pixels for each source


def spread_figure(study: Study) -> Figure:
    """Pooled standard deviations of test accuracy with their intervals."""
    metric = metric_of(study)
    rows = _rows(study, metric)
    if not rows:
        return Figure(
            NAME, "No spread to draw", "A spread needs at least two finished runs that share a seed or a noise."
        )
    return Figure(NAME, _title(study, metric), _note(study), _draw(rows, metric), rows, height=_ROW * len(rows))


def _rows(study: Study, metric: Metric) -> list[dict[str, Any]]:
    found = {
        source_of(study).name: study["std"]["noise"]["pooled"],
        metric.order: study["std"]["seed"]["pooled"],
        "test-set sampling": study["sampling_error"],
    }
    return [
        {"source": source, **(value if isinstance(value, dict) else {"std": value})}
        for source, value in found.items()
        if value is not None
    ]


def _title(study: Study, metric: Metric) -> str:
    share, source = study["std"]["noise_over_seed"], capital(source_of(study).name)
    if share is None:
        return f"How far {metric.label} spreads"
    if share["value"] == 0:
        return f"{source} makes none of the spread of {metric.label} that {metric.order} makes"
    low, high = percent(share["lower"]).removesuffix(" %"), percent(share["upper"])
    return (
        f"{source} alone makes {percent(share['value'])} of the spread that {metric.order} makes "
        f"(95 % interval {low} to {high})"
    )


def _note(study: Study) -> str:
    std = study["std"]
    return (
        f"Points are standard deviations (ddof {std['ddof']}) over the whole table, lines their {std['interval']} "
        "intervals. Test-set sampling is how far another test set of the same size would move all accuracies together."
    )


def _draw(rows: list[dict[str, Any]], metric: Metric) -> alt.LayerChart:
    sources = [row["source"] for row in rows]
    unit = " (points)" if metric.is_percentage else ""
    axis = alt.Axis(title=f"STD of {metric.label}{unit}", tickCount=6)
    base = alt.Chart(ROWS).encode(
        y=alt.Y("source:N", sort=sources, axis=alt.Axis(title=None, grid=False)),
        color=alt.Color("source:N", scale=colours(sources), legend=None),
    )
    numbers = [alt.Tooltip(f"{field}:Q", format=f".{metric.decimals}f") for field in ("std", "lower", "upper")]
    dots = base.mark_point(filled=True, size=140, opacity=1).encode(
        x=alt.X("std:Q", scale=alt.Scale(zero=True), axis=axis), tooltip=["source:N", *numbers]
    )
    intervals = base.mark_rule(strokeWidth=3, opacity=0.5).encode(x=alt.X("lower:Q", axis=axis), x2="upper:Q")
    return alt.LayerChart(layer=[intervals.transform_filter("isValid(datum.upper)"), dots])
