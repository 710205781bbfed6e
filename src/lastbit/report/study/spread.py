"""The spread of a study's metric: every run, standard deviations, shares of the variance, and gains it would hide."""

from collections.abc import Mapping
from typing import Any

from lastbit.report.charts.axes import Axis
from lastbit.report.charts.bars import Part, share_bar
from lastbit.report.charts.curves import Curve, Level
from lastbit.report.charts.dots import Dot, Span, dot_chart
from lastbit.report.charts.figure import Chart, Figure
from lastbit.report.charts.line import line_chart
from lastbit.report.numbers import axis_format, capital, joined, percent
from lastbit.report.study.naming import ShownMetric, metric_of, source_of
from lastbit.report.study.stored import StudyJson, noise_label
from lastbit.report.study.tables import variance_note, variance_sources

_HEIGHT = 260  # pixels of the chart of gains
_TITLED = "6"  # runs that the title of the chart of gains speaks of


def accuracy_figure(study: StudyJson) -> Figure:
    """A point for each run, beside the sampling error of the test set."""
    metric = metric_of(study)
    dots = [
        Dot(trial["seed"], value, noise_label(trial))
        for trial in study["trials"]
        if (value := metric.of(trial)) is not None
    ]
    if not dots:
        return Figure("accuracy", "There is no run to draw", f"No run ended with a value of {metric.label}.")
    return Figure("accuracy", _moved(study, metric), _runs_note(study, metric), _runs(study, metric, dots))


def _moved(study: StudyJson, metric: ShownMetric) -> str:
    noise, seed = study["std"]["noise"]["pooled"], study["std"]["seed"]["pooled"]
    if noise is None:
        return f"{metric.capital} of each run"
    order = f"; {metric.order} moves it by {metric.spread(seed['std'])}{metric.points}" if seed is not None else ""
    if noise["std"] == 0:
        return f"At each seed all runs have the same {metric.label}{order}"
    subject = source_of(study).subject
    split = (study["variance"].get("quality") or {}).get("last_bit")
    subject = f"On this test set {subject}" if split is not None else capital(subject)
    return f"{subject} moves {metric.label} by {metric.spread(noise['std'])}{metric.points}{order}"


def _runs_note(study: StudyJson, metric: ShownMetric) -> str:
    error = study["sampling_error"]
    bar = (
        f" The bars are ± one standard error of the test set ({metric.spread(error)}{metric.points}) around the "
        f"{study['noises'][0]} run: another test set of the same size would move all of these numbers together by so "
        "much. It does not blur their differences."
        if error is not None
        else ""
    )
    return f"Each point is one finished run. The spreads in the title are standard deviations.{bar}"


def _runs(study: StudyJson, metric: ShownMetric, dots: list[Dot]) -> Chart:
    error, first = study["sampling_error"], study["noises"][0]
    bars = [dot for dot in dots if dot.kind == first] if error else []
    return dot_chart(
        dots,
        groups=study["seeds"],
        group_title=metric.seed,
        value=Axis(metric.axis, name=metric.label, format=axis_format(metric.decimals)),
        kinds=study["noises"],
        beside=True,
        behind=[Span(dot.group, dot.value - error, dot.value + error, first, grey=True, width=2) for dot in bars],
    )


def variance_figure(study: StudyJson) -> Figure:
    """The shares of test set, seed and last bit in the variance of a single run's metric."""
    metric, sources = metric_of(study), variance_sources(study)
    parts = [
        Part(label, part["share"], f"{metric.spread(part['std'])}{metric.points}")
        for label, part in sources.items()
        if part["share"] is not None
    ]
    if not parts:
        return Figure("variance", "No variance to split", _nothing(sources))
    shares = joined(f"{part.label} {percent(part.share)}" for part in parts)
    title = f"The variance of one run’s {metric.label}: {shares}"
    return Figure("variance", title, _note(study, sources, metric), share_bar(parts, title="share of the variance"))


def _nothing(sources: dict[str, Any]) -> str:
    if sources:
        return "Every run has the same value, and no test predictions were stored."
    return "It takes finished runs of at least two noises at one seed, or stored test predictions."


def _note(study: StudyJson, sources: dict[str, Any], metric: ShownMetric) -> str:
    note = variance_note(study)
    truncated = [label for label, part in sources.items() if part["truncated"]]
    if truncated:
        note += f" The estimate for {joined(truncated)} came out negative and is set to 0."
    if "test set" in sources and study["variance"]["test_set_by"] == "binomial":
        note += " The test set’s part is the binomial’s, for want of several runs with predictions and true labels."
    dropped = study["variance"]["dropped_seeds"]
    return note + (f" {dropped} seed(s) with a missing run are left out of {metric.order}." if dropped else "")


def gain_figure(study: StudyJson) -> Figure:
    """What comparisons with another recipe of this spread could find."""
    gains, spread = study["least_detectable_gain"], study["std"]["seed"]["pooled"]
    if gains is None or spread["std"] == 0:
        reason = "It takes finished runs of at least two seeds that do not all agree."
        return Figure("gain", "The least detectable gain is not known", reason)
    metric = metric_of(study)
    note = (
        f"The gain of another recipe that n runs of each, every run with its own {metric.cause}, tell from noise in 80 "
        "% of cases (two-sided Welch’s t test at 5 %, noncentral t). The band is the 95 % interval that comes from "
        f"knowing the spread of single runs only as {metric.spread(spread['std'])}{metric.points} "
        f"({metric.interval(spread)})."
    )
    least = f"{metric.spread(gains[_TITLED])}{metric.points}"
    return Figure(
        "gain",
        f"With {_TITLED} runs of each recipe, gains below {least} mostly go unseen",
        note + _floor(study["noise_floor"], metric),
        gain_chart(
            gains, f"gain{metric.bracket}", interval=(spread["lower"] / spread["std"], spread["upper"] / spread["std"])
        ),
    )


def _floor(noise_floor: float | None, metric: ShownMetric) -> str:
    if not noise_floor:  # unknown, or no run differed
        return ""
    return (
        f" The noise floor is {metric.spread(noise_floor)}{metric.points}: the last bit alone sets two single runs of "
        "one recipe and seed that far apart, or farther, in one case of twenty."
    )


def gain_chart(
    gains: Mapping[str, float],
    title: str,
    *,
    interval: tuple[float, float] | None = None,
    observed: float | None = None,
) -> Chart:
    """Least gain against runs, both on logarithmic axes, since one falls about as the root of the other.

    Args:
        gains: least detectable gain by number of runs.
        title: of the vertical axis.
        interval: of the spread, as shares of the spread; None where it is not known.
        observed: a difference that was found, drawn across.
    """
    points = sorted((int(runs), gain) for runs, gain in gains.items())
    runs = [number for number, _ in points]
    least = [gain for _, gain in points]
    band = None
    if interval is not None:
        band = ([gain * interval[0] for gain in least], [gain * interval[1] for gain in least])
    curve = Curve("least detectable gain", runs, least, band=band)
    levels = [Level(abs(observed), "difference found")] if observed else []
    x = Axis("runs of each recipe", name="runs", log=True, counts=True, ticks=tuple(runs), format=",d")
    return line_chart(
        [curve],
        x=x,
        y=Axis(title, name="least gain", log=True, format=".3~g"),
        levels=levels,
        at="inside",
        marks="points",
        height=_HEIGHT,
    )
