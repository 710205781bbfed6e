"""Where the spread of a study's metric comes from: standard deviations, and shares of the variance."""

from typing import Any

from lastbit.report.charts.axes import Axis
from lastbit.report.charts.bars import Part, share_bar
from lastbit.report.charts.dots import Dot, Span, dot_chart
from lastbit.report.charts.figure import Chart, Figure
from lastbit.report.numbers import capital, joined, percent
from lastbit.report.study.naming import Metric, metric_of, source_of
from lastbit.report.study.stored import Study
from lastbit.report.study.tables import variance_sources

_ROW = 56  # pixels for each source


def spread_figure(study: Study) -> Figure:
    """Pooled standard deviations with their intervals: of the noise, of another seed, and of another test set."""
    metric = metric_of(study)
    stored = {
        source_of(study).name: study["std"]["noise"]["pooled"],
        metric.order: study["std"]["seed"]["pooled"],
        "test-set sampling": study["sampling_error"],
    }
    found = {
        source: value if isinstance(value, dict) else {"std": value}
        for source, value in stored.items()
        if value is not None
    }
    if not found:
        reason = "A spread needs at least two finished runs that share a seed or a noise."
        return Figure("spread", "No spread to draw", reason)
    std = study["std"]
    note = (
        f"Points are standard deviations (ddof {std['ddof']}) over the whole table, lines their {std['interval']} "
        "intervals. Test-set sampling is how far another test set of the same size would move all accuracies together."
    )
    return Figure("spread", _share(study, metric), note, _intervals(found, metric))


def _share(study: Study, metric: Metric) -> str:
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


def _intervals(found: dict[str, dict[str, Any]], metric: Metric) -> Chart:
    known = {source: value for source, value in found.items() if value.get("upper") is not None}
    return dot_chart(
        [Dot(source, value["std"], source) for source, value in found.items()],
        groups=list(found),
        value=Axis(
            f"STD of {metric.label}{metric.bracket}", name="STD", from_zero=True, format=f",.{metric.decimals}f"
        ),
        kinds=list(found),
        legend=False,
        upright=False,
        spans=[Span(source, value["lower"], value["upper"], source) for source, value in known.items()],
        height=_ROW * len(found),
    )


def variance_figure(study: Study) -> Figure:
    """The shares of test set, batch order and last bit in the variance of a single run's metric."""
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


def _note(study: Study, sources: dict[str, Any], metric: Metric) -> str:
    note = f"{metric.capital_order} is here without the last bit; the test set is shared, and sets no runs apart."
    truncated = [label for label, part in sources.items() if part["truncated"]]
    if truncated:
        note += f" The estimate for {joined(truncated)} came out negative and is set to 0."
    if "test set" in sources and study["variance"]["test_set_by"] == "binomial":
        note += " The test set’s part is the binomial’s, for want of several runs with predictions and true labels."
    dropped = study["variance"]["dropped_seeds"]
    return note + (f" {dropped} seed(s) with a missing run are left out of {metric.order}." if dropped else "")
