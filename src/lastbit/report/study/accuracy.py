"""The metric of every run, seed by seed: by custom its test accuracy."""

from lastbit.report.charts.axes import Axis
from lastbit.report.charts.dots import Dot, Span, dot_chart
from lastbit.report.charts.figure import Chart, Figure
from lastbit.report.numbers import capital
from lastbit.report.study.naming import Metric, metric_of, source_of
from lastbit.report.study.stored import Study, noise_label


def accuracy_figure(study: Study) -> Figure:
    """A point for each run, beside the sampling error of the test set."""
    metric = metric_of(study)
    dots = [
        Dot(trial["seed"], value, noise_label(trial))
        for trial in study["trials"]
        if (value := metric.of(trial)) is not None
    ]
    if not dots:
        return Figure("accuracy", f"No {metric.label} to draw", f"No run ended with a value of {metric.label}.")
    return Figure("accuracy", _title(study, metric), _note(study, metric), _chart(study, metric, dots))


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


def _chart(study: Study, metric: Metric, dots: list[Dot]) -> Chart:
    error, first = study["sampling_error"], study["noises"][0]
    bars = [dot for dot in dots if dot.kind == first] if error else []
    return dot_chart(
        dots,
        groups=study["seeds"],
        group_title=metric.seed,
        value=Axis(metric.axis, name=metric.label, format=f",.{metric.decimals}f"),
        kinds=study["noises"],
        beside=True,
        spans=[Span(dot.group, dot.value - error, dot.value + error, first, grey=True) for dot in bars],
        thick=2,
    )
