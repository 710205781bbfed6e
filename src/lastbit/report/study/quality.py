"""The spread of a study's metric on its test set, how much of it is luck, and what an unlimited test set would show."""

from typing import Any

from lastbit.report.charts.axes import Axis
from lastbit.report.charts.dots import Dot, Span, dot_chart
from lastbit.report.charts.figure import Chart, Figure
from lastbit.report.numbers import MISSING, axis_format, capital, percent
from lastbit.report.study.naming import ShownMetric, metric_of, source_of
from lastbit.report.study.stored import StudyJson
from lastbit.report.table import Table

Splits = dict[str, tuple[dict[str, Any], dict[str, Any]]]  # source -> its spread on this test set, and the split
_ROW = 56  # pixels for each source
_KINDS = ("on this test set", "by independent errors alone", "on an unlimited test set")


def quality_sources(study: StudyJson) -> Splits:
    """Of each source whose spread of quality is known, the spread on this test set and the split, by its name."""
    qualities, std = study["variance"].get("quality") or {}, study["std"]
    pooled = {"last_bit": std["noise"]["pooled"], "batch_order": std["seed"]["pooled"]}
    names = {"last_bit": source_of(study).name, "batch_order": metric_of(study).cause}
    return {
        label: (pooled[name], qualities[name])
        for name, label in names.items()
        if pooled[name] is not None and qualities.get(name) is not None
    }


def quality_table(study: StudyJson) -> Table:
    """What this test set shows of each source, what independent errors alone would give, and what is left."""
    return split_table(quality_sources(study), metric_of(study))


def split_table(sources: Splits, metric: ShownMetric) -> Table:
    """The same of sources that are given.

    Args:
        sources: by its name, the spread on this test set and the split of it.
        metric: of the study.
    """
    rows = [
        [
            label,
            metric.spread(here["std"]),
            f"{'at most ' if is_bounded(split) else ''}{metric.spread(split['luck'])}",
            MISSING if is_bounded(split) else metric.spread(split["std"]),
            metric.interval(here if is_still(here, split) else split),
        ]
        for label, (here, split) in sources.items()
    ]
    columns = [f"STD of {metric.label}{metric.bracket}", *_KINDS, "95 % interval of that"]
    return Table("quality", "", columns, rows)


def spread_figure(study: StudyJson) -> Figure:
    """Standard deviations with their intervals: of the noise, of another seed, and of another test set.

    Where it is known what the finite test set alone gives, they are those on this test set, by its luck, and on an
    unlimited one.
    """
    metric = metric_of(study)
    if split := quality_sources(study):
        return Figure("spread", _on_unlimited(study, metric), _quality_note(study, metric), split_chart(split, metric))
    stored = {
        source_of(study).name: study["std"]["noise"]["pooled"],
        metric.cause: study["std"]["seed"]["pooled"],
        "test-set sampling": study["sampling_error"],
    }
    spreads = {
        source: value if isinstance(value, dict) else {"std": value}
        for source, value in stored.items()
        if value is not None
    }
    if not spreads:
        reason = "A spread needs at least two finished runs that share a seed or a noise."
        return Figure("spread", "No spread to draw", reason)
    std = study["std"]
    note = (
        f"Points are standard deviations (ddof {std['ddof']}) over the whole table, lines their {std['interval']} "
        "intervals."
    )
    if study["sampling_error"] is not None:
        note += " Test-set sampling is how far another test set of the same size would move all accuracies together."
    return Figure("spread", _share(study, metric), note, _intervals(spreads, metric))


def _share(study: StudyJson, metric: ShownMetric) -> str:
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


def _intervals(spreads: dict[str, dict[str, Any]], metric: ShownMetric) -> Chart:
    known = {source: value for source, value in spreads.items() if value.get("upper") is not None}
    return dot_chart(
        [Dot(source, value["std"], source) for source, value in spreads.items()],
        groups=list(spreads),
        value=std_axis(metric),
        kinds=list(spreads),
        upright=False,
        behind=[Span(source, value["lower"], value["upper"], source) for source, value in known.items()],
        height=_ROW * len(spreads),
    )


def _on_unlimited(study: StudyJson, metric: ShownMetric) -> str:
    label, (here, split) = next(iter(quality_sources(study).items()))
    if is_still(here, split):
        return f"{capital(label)} left the {metric.label} of every run as it was, so there is no interval"
    moves = f"On an unlimited test set {label} would move {metric.label} by"
    ends = f"{metric.spread(split['lower'])} to {metric.spread(split['upper'])}"
    if is_bounded(split):
        return f"{moves} {ends}{metric.points} (95 % interval)"
    return f"{moves} {metric.spread(split['std'])}{metric.points} (95 % interval {ends})"


def _quality_note(study: StudyJson, metric: ShownMetric) -> str:
    sources = quality_sources(study)
    note = (
        "Points are standard deviations, lines their 95 % intervals. Runs that are equally good are still right on "
        "different examples: the second point is how far that alone sets their accuracies apart on this test set. What "
        f"remains is a difference in quality. {capital(metric.cause)} includes the last bit."
    )
    if any(is_bounded(split) for _, split in sources.values()):
        note += " True labels were not stored, so the second point is an upper bound and the third has no estimate."
    if any(is_still(here, split) for here, split in sources.values()):
        note += " A point at 0 without a line has no interval, since no run differed."
    return f"{note} {study['variance']['quality_assumes']}"


def split_chart(sources: Splits, metric: ShownMetric) -> Chart:
    """The spread on this test set, by its luck and on an unlimited one, of each source.

    Args:
        sources: by its name, the spread on this test set and the split of it.
        metric: of the study.
    """
    here, luck, unlimited = _KINDS
    dots, spans = [], []
    for label, (spread, split) in sources.items():
        dots += [Dot(label, spread["std"], here), Dot(label, split["luck"], luck)]
        dots += [] if is_bounded(split) else [Dot(label, split["std"], unlimited)]
        if not is_still(spread, split):
            spans += [Span(label, spread["lower"], spread["upper"], here)]
            spans += [Span(label, split["lower"], split["upper"], unlimited)]
    return dot_chart(dots, groups=list(sources), value=std_axis(metric), kinds=_KINDS, beside=True, behind=spans)


def std_axis(metric: ShownMetric) -> Axis:
    """The axis of standard deviations of the metric."""
    title = f"STD of {metric.label}{metric.bracket}"
    return Axis(title, name="STD", from_zero=True, format=axis_format(metric.decimals))


def is_still(here: dict[str, Any], split: dict[str, Any]) -> bool:
    """Whether no run differed from another, so that nothing is learnt and neither spread has an interval."""
    return bool(here["upper"] == 0 and split["upper"] == 0)


def is_bounded(split: dict[str, Any]) -> bool:
    """Whether the luck is an upper bound only."""
    return bool(split["luck_by"] != "predictions")
