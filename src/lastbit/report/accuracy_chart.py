"""Test accuracy of every run, seed by seed."""

import altair as alt

from lastbit.report.figure import ROWS, Figure
from lastbit.report.look import MUTED, colours, shapes
from lastbit.report.numbers import points
from lastbit.report.stored import Study, noise_label

NAME = "accuracy"


def accuracy_figure(study: Study) -> Figure:
    """A point for each run, beside the sampling error of the test set."""
    rows = [
        {"noise": noise_label(trial), "seed": trial["seed"], "accuracy": trial["test_accuracy"]}
        for trial in study["trials"]
        if trial["test_accuracy"] is not None
    ]
    if not rows:
        return Figure(NAME, "No accuracy to draw", "No run ended with a test accuracy.")
    return Figure(NAME, _title(study), _note(study), _draw(study), rows)


def _title(study: Study) -> str:
    noise, seed = study["std"]["noise"]["pooled"], study["std"]["seed"]["pooled"]
    if noise is None:
        return "Test accuracy of each run"
    order = f"; batch order moves it by {points(seed['std'])} points" if seed is not None else ""
    if noise["std"] == 0:
        return f"At each seed all runs have the same test accuracy{order}"
    return f"The last bit moves test accuracy by {points(noise['std'])} points{order}"


def _note(study: Study) -> str:
    error = study["sampling_error"]
    bar = (
        f" The bars are ± one sampling error ({points(error)} points) around the {study['noises'][0]} run: what "
        "another test set of the same size would do to any of these numbers. All runs share one test set, so it does "
        "not blur their differences."
        if error is not None
        else ""
    )
    return f"Each point is one finished run. The spreads in the title are standard deviations.{bar}"


def _draw(study: Study) -> alt.LayerChart:
    noises = study["noises"]
    error = study["sampling_error"] or 0
    base = alt.Chart(ROWS).encode(
        x=alt.X("seed:O", sort=study["seeds"], axis=alt.Axis(title="seed of the batch order", labelAngle=0)),
        xOffset=alt.XOffset("noise:N", scale=alt.Scale(domain=noises)),
    )
    y = alt.Y("accuracy:Q", scale=alt.Scale(zero=False), axis=alt.Axis(title="test accuracy (%)", tickCount=6))
    bars = (
        base.transform_filter(alt.FieldEqualPredicate(field="noise", equal=noises[0]))
        .transform_calculate(low=f"datum.accuracy - {error!r}", high=f"datum.accuracy + {error!r}")
        .mark_rule(color=MUTED, strokeWidth=2, opacity=0.6)
        .encode(y=alt.Y("low:Q", scale=alt.Scale(zero=False), title="test accuracy (%)"), y2="high:Q")
    )
    legend = alt.Legend(title=None, orient="top", columns=4)
    dots = base.mark_point(filled=True, size=80, opacity=0.9).encode(
        y=y,
        color=alt.Color("noise:N", scale=colours(noises), legend=legend),
        shape=alt.Shape("noise:N", scale=alt.Scale(domain=noises, range=shapes(len(noises))), legend=legend),
        tooltip=["noise:N", "seed:O", alt.Tooltip("accuracy:Q", format=".2f", title="test accuracy (%)")],
    )
    return alt.LayerChart(layer=[bars, dots])
