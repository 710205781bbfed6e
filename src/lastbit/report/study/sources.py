"""What each source of randomness contributes to a study's metric, where several vary at once: chart, tables, method."""

from dataclasses import replace
from typing import Any

from lastbit.report.charts.dots import Dot, Span, dot_chart
from lastbit.report.charts.figure import Chart, Figure
from lastbit.report.numbers import MISSING, capital, joined, percent, some
from lastbit.report.study.naming import ShownMetric, metric_of
from lastbit.report.study.quality import Splits, is_bounded, split_chart, split_table, std_axis
from lastbit.report.study.stored import StudyJson, trials_by_place
from lastbit.report.study.tables import FINISHED, outcome
from lastbit.report.table import Cell, Table

_SPREAD = "on this test set"
_LAST_BIT, _INTERACTION, _REMAINDER = "last_bit", "interaction", "remainder"
_NO_SEED = (_LAST_BIT, _INTERACTION, _REMAINDER)  # parts that are no source of the design


def is_designed(study: StudyJson) -> bool:
    """Whether several sources vary in the runs, so that its seeds are combinations of theirs."""
    return study.get("design") is not None


def shown_sources(study: StudyJson) -> dict[str, dict[str, Any]]:
    """The contributions that add up to the variance of a single run, by what they are called."""
    parts, design = study["sources"], study["design"]
    names = [*map(_key, _varied(study)), *_NO_SEED]
    apart = parts.get(_INTERACTION) is not None or len(design["seeds"]) == 1
    known = {name: part for name in names if (part := parts.get(name)) is not None}
    return {_label(study, name): part for name, part in known.items() if not (name == _REMAINDER and apart)}


def sources_figure(study: StudyJson) -> Figure:
    """The standard deviation that each source gives the metric, with its interval; of that the luck and the quality."""
    metric, parts = metric_of(study), shown_sources(study)
    if not parts:
        return Figure("sources", "What each source contributes is not known", "Too few runs have finished.")
    split = _split(parts)
    chart = split_chart(split, metric) if split else _chart(parts, metric)
    return Figure("sources", _title(study, metric), _note(study, metric), chart)


def _split(parts: dict[str, dict[str, Any]]) -> Splits:
    """The spread of each source on this test set, and its split into luck and quality; those whose split is known."""
    return {label: (part, part["quality"]) for label, part in parts.items() if part.get("quality") is not None}


def _title(study: StudyJson, metric: ShownMetric) -> str:
    parts = shown_sources(study)
    split = {label: quality for label, (_, quality) in _split(parts).items() if not is_bounded(quality)}
    where, moves = ("on an unlimited test set ", "would move") if split else ("", "moves")
    spreads = split or parts
    shown = {label: part for label, part in spreads.items() if part["lower"] > 0}
    if not shown:
        runs = f"{study['design']['finished']} runs do not show that any source"
        return f"{runs} would move {metric.label} {where}".rstrip() if split else f"{runs} moves {metric.label}"
    label, part = max(shown.items(), key=lambda item: item[1]["std"])
    article = "the " if label in (_label(study, name) for name in _NO_SEED) else ""
    others = [other for name, other in spreads.items() if name != label]
    most = " most" if others and part["lower"] > max(other["upper"] for other in others) else ""
    size = f"{metric.spread(part['std'])}{metric.points} (95 % interval {metric.interval(part)})"
    title = f"{capital(where + article + label)} {moves} {metric.label}{most}, by {size}"
    return title if most or not others else f"{title}; the intervals of other sources overlap with that"


def _note(study: StudyJson, metric: ShownMetric) -> str:
    note = (
        "Points are standard deviations of a single run by each source alone, lines their 95 % intervals. The "
        "interaction is what a combination of seeds adds to the sum of its sources. Shares are of a run’s variance on "
        "this test set."
    )
    if split := _split(shown_sources(study)):
        note += (
            " Runs that are equally good are right on different examples: the second point is how far that alone sets "
            "their accuracies apart on this test set. What remains is a difference in quality, which an unlimited test "
            "set would show."
        )
        if any(is_bounded(quality) for _, quality in split.values()):
            note += " True labels were not stored, so the second point is an upper bound and the third has no estimate."
        note += f" {study['variance']['quality_assumes']}"
    if missing := _missing(study):
        note += f" Not known: {missing}."
    return note


def _missing(study: StudyJson) -> str:
    """What is not known, and why."""
    parts = study["sources"]
    missing = study["design"]["missing"]
    return "; ".join(f"{_label(study, name)} ({why})" for name, why in missing.items() if parts.get(name) is None)


def _chart(parts: dict[str, dict[str, Any]], metric: ShownMetric) -> Chart:
    dots = [Dot(label, part["std"], _SPREAD) for label, part in parts.items()]
    spans = [Span(label, part["lower"], part["upper"], _SPREAD) for label, part in parts.items() if part["upper"] > 0]
    return dot_chart(dots, groups=list(parts), value=std_axis(metric), kinds=[_SPREAD], beside=False, behind=spans)


def sources_table(study: StudyJson) -> Table:
    """What each source contributes on this test set: its spread, interval and share of the variance."""
    metric, design, parts = metric_of(study), study["design"], shown_sources(study)
    counts = {_label(study, _key(name)): str(len(set(seeds))) for name, seeds in design["seeds"].items()}
    repeats, split = f"{len(design['repeated'])} repeats", bool(_split(parts))
    rows = [
        [
            label,
            counts.get(label, repeats if label == _label(study, _LAST_BIT) else ""),
            metric.spread(part["std"]),
            metric.interval(part),
            MISSING if part["share"] is None else percent(part["share"]),
        ]
        for label, part in parts.items()
    ]
    return Table(
        "sources",
        "",
        [
            "source",
            "seeds",
            f"STD on this test set{metric.bracket}" if split else f"STD{metric.bracket}",
            "95 % interval",
            "share",
        ],
        rows,
    )


def sources_quality_table(study: StudyJson) -> Table:
    """The luck of the test set in what each source contributes, and what an unlimited test set would show."""
    metric = metric_of(study)
    table = split_table(_split(shown_sources(study)), metric)
    columns = ["source", f"STD{metric.bracket} {table.columns[1]}", *table.columns[2:]]
    return replace(table, name="sources-quality", columns=columns)


def missing_words(study: StudyJson) -> str:
    """What is not known and why, as a line; empty where all is known."""
    missing = _missing(study)
    return f"not known: {missing}" if missing else ""


def cells_table(study: StudyJson) -> Table:
    """The metric of every run: a row for each combination of seeds, with its repeat where it has one."""
    metric, design, trials = metric_of(study), study["design"], trials_by_place(study)
    names, first, repeats = _varied(study), study["noises"][0], _noise_of_repeat(study)
    rows = []
    for cell in study["seeds"]:
        runs = [_run(trials.get((first, cell)), metric)]
        if repeats:
            noise = repeats.get(cell)
            runs += ["", ""] if noise is None else [_run(trials.get((noise, cell)), metric), noise]
        rows.append([*(str(design["seeds"][name][cell - 1]) for name in names), *runs])
    columns = [*(_label(study, _key(name)) for name in names), first, *(["repeated", "with"] if repeats else [])]
    title = f"Every combination of seeds, and its {metric.label}"
    note = (
        f"{capital(metric.axis)} at the end of training. A row has one seed of each source; no two sources share a "
        "seed."
    )
    if repeats:
        note += " In the last columns are the runs that repeat a combination with another last bit."
    return Table("cells", title, columns, rows, note)


def _noise_of_repeat(study: StudyJson) -> dict[int, str]:
    """The noise of each combination that is run again."""
    design = study["design"]
    noises = design.get("noises") or [1 for _ in design["repeated"]]  # before each repeat had its own
    return {cell: study["noises"][noise] for cell, noise in zip(design["repeated"], noises, strict=True)}


def _run(trial: Any, metric: ShownMetric) -> str:
    if trial is None:
        return "not finished"
    how = outcome(trial)
    return metric.value(metric.of(trial)) if how == FINISHED else Cell(how, alert=True)


def design_words(study: StudyJson) -> str:
    """Which runs were made, without how many came to an end."""
    design = study["design"]
    sizes = joined(f"{len(set(design['seeds'][name]))} seeds of {_label(study, _key(name))}" for name in _varied(study))
    noises = list(dict.fromkeys(_noise_of_repeat(study).values()))
    of_noises = some(noises, 3) if len(noises) > 4 else joined(noises)
    again = f", {len(design['repeated'])} of them once more with {of_noises}" if noises else ""
    return f"{sizes} in {len(study['seeds'])} combinations with {study['noises'][0]}{again}"


def _varied(study: StudyJson) -> list[str]:
    """The names of the sources that have seeds, in the order in which they were given."""
    return [name for name in study["design"]["vary"] if name in study["design"]["seeds"]]


def _label(study: StudyJson, name: str) -> str:
    return str(study["design"]["labels"].get(name, name))


def _key(name: str) -> str:
    """A source's name as a key of JSON."""
    return name.replace("-", "_")
