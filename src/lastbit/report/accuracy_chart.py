"""The metric of every run, seed by seed: by custom its test accuracy."""

import altair as alt

from lastbit.report.figure import ROWS, Figure
from lastbit.report.look import MUTED, colours, shapes
from lastbit.report.metric import Metric, metric_of
from lastbit.report.source import capital, source_of
from lastbit.report.stored import Study, noise_label

NAME = "accuracy"


def accuracy_figure(study: Study) -> Figure:
    """A point for each run, beside the sampling error of the test set."""
    metric = metric_of(study)
    rows = [
        {"noise": noise_label(trial), "seed": trial["seed"], "value": metric.of(trial)}
        for trial in study["trials"]
        if metric.of(trial) is not None
    ]
    if not rows:
        return Figure(NAME, f"No {metric.label} to draw", f"No run ended with a value of {metric.label}.")
    return Figure(NAME, _title(study, metric), _note(study, metric), _draw(study, metric), rows)


def _title(study: Study, metric: Metric) -> str:
    noise, seed = study["std"]["noise"]["pooled"], study["std"]["seed"]["pooled"]
    if noise is None:
        return f"{metric.capital} of each run"
    order = f"; {metric.order} moves it by {metric.spread(seed['std'])}{metric.points}" if seed is not None else ""
    if noise["std"] == 0:
        return f"At each seed all runs have the same {metric.label}{order}"
    subject = capital(source_of(study).subject)
    return f"{subject} moves {metric.label} by {metric.spread(noise['std'])}{metric.points}{order}"


def _note(study: Study, metric: Metric) -> str:
    error = study["sampling_error"]
    bar = (
        f" The bars are ± one standard error of the test set ({metric.spread(error)}{metric.points}) around the "
        f"{study['noises'][0]} run: another test set of the same size would move all of these numbers together by so "
        "much. It does not blur their differences."
        if error is not None
        else ""
    )
    return f"Each point is one finished run. The spreads in the title are standard deviations.{bar}"


def _draw(study: Study, metric: Metric) -> alt.LayerChart:
    noises = study["noises"]
    error = float(study["sampling_error"] or 0)  # a number and nothing else goes into an expression
    base = alt.Chart(ROWS).encode(
        x=alt.X("seed:O", sort=study["seeds"], axis=alt.Axis(title=metric.seed, labelAngle=0)),
        xOffset=alt.XOffset("noise:N", scale=alt.Scale(domain=noises)),
    )
    y = alt.Y("value:Q", scale=_scale(study, metric), axis=alt.Axis(title=metric.axis, tickCount=6))
    bars = (
        base.transform_filter(alt.FieldEqualPredicate(field="noise", equal=noises[0]))
        .transform_calculate(low=f"datum.value - {error!r}", high=f"datum.value + {error!r}")
        .mark_rule(color=MUTED, strokeWidth=2, opacity=0.6)
        .encode(y=alt.Y("low:Q", scale=alt.Scale(zero=False), title=metric.axis), y2="high:Q")
    )
    legend = alt.Legend(title=None, orient="top", columns=4)
    dots = base.mark_point(filled=True, size=80, opacity=0.9).encode(
        y=y,
        color=alt.Color("noise:N", scale=colours(noises), legend=legend),
        shape=alt.Shape("noise:N", scale=alt.Scale(domain=noises, range=shapes(len(noises))), legend=legend),
        tooltip=["noise:N", "seed:O", alt.Tooltip("value:Q", format=f".{metric.decimals}f", title=metric.axis)],
    )
    return alt.LayerChart(layer=[bars, dots])


def _scale(study: Study, metric: Metric) -> alt.Scale:
    """Of the values; around a single one, where Vega would label its axis with a 0 that it is not at."""
    found = {value for trial in study["trials"] if (value := metric.of(trial)) is not None}
    if len(found) > 1 or study["sampling_error"]:
        return alt.Scale(zero=False)
    (value,) = found
    return alt.Scale(domain=[value - abs(value) / 2, value + abs(value) / 2] if value else [-1, 1])
