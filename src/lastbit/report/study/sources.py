"""What each source of randomness contributes to a study's metric, where several vary at once: chart, tables, method."""

from typing import Any

from lastbit.report.charts.axes import Axis
from lastbit.report.charts.dots import Dot, Span, dot_chart
from lastbit.report.charts.figure import Chart, Figure
from lastbit.report.numbers import MISSING, capital, joined, percent
from lastbit.report.study.naming import ShownMetric, metric_of
from lastbit.report.study.stored import StudyJson, trials_by_place
from lastbit.report.study.tables import FINISHED, outcome
from lastbit.report.table import Cell, Table

_SPREAD, _LUCK = "on this test set", "by independent errors alone"
_LAST_BIT, _INTERACTION, _REMAINDER = "last_bit", "interaction", "remainder"
_NO_SEED = (_LAST_BIT, _INTERACTION, _REMAINDER)  # parts that are no source of the design


def is_designed(study: StudyJson) -> bool:
    """Whether several sources vary in the runs, so that its seeds are combinations of theirs."""
    return study.get("design") is not None


def shown_sources(study: StudyJson) -> dict[str, dict[str, Any]]:
    """The contributions that add up to the variance of a single run, by what they are called."""
    found, design = study["sources"], study["design"]
    names = [*map(_key, _varied(study)), *_NO_SEED]
    apart = found.get(_INTERACTION) is not None or len(design["seeds"]) == 1
    known = {name: part for name in names if (part := found.get(name)) is not None}
    return {_label(study, name): part for name, part in known.items() if not (name == _REMAINDER and apart)}


def sources_figure(study: StudyJson) -> Figure:
    """The standard deviation that each source gives the metric, with its interval, beside the luck of the test set."""
    metric, parts = metric_of(study), shown_sources(study)
    if not parts:
        return Figure("sources", "What each source contributes is not known", "Too few runs have finished.")
    return Figure("sources", _title(study, metric), _note(study, metric), _chart(parts, metric))


def _title(study: StudyJson, metric: ShownMetric) -> str:
    parts = shown_sources(study)
    shown = {label: part for label, part in parts.items() if part["lower"] > 0}
    if not shown:
        return f"{study['design']['finished']} runs do not show that any source moves {metric.label}"
    label, part = max(shown.items(), key=lambda item: item[1]["std"])
    article = "the " if label in (_label(study, name) for name in _NO_SEED) else ""
    others = [other for name, other in parts.items() if name != label]
    most = " most" if others and part["lower"] > max(other["upper"] for other in others) else ""
    found = f"{metric.spread(part['std'])}{metric.points} (95 % interval {metric.interval(part)})"
    moves = f"{capital(article + label)} moves {metric.label}{most}, by {found}"
    return moves if most or not others else f"{moves}; the intervals of other sources overlap with that"


def _note(study: StudyJson, metric: ShownMetric) -> str:
    note = (
        "Points are standard deviations of a single run by each source alone, lines their 95 % intervals. The "
        "interaction is what a combination of seeds adds to the sum of its sources. Shares are of a run’s variance."
    )
    if any(part["luck"] is not None for part in shown_sources(study).values()):
        note += (
            " The second point is the part that the finite test set gives by itself: runs that are equally good are "
            "right on different examples."
        )
    if missing := _missing(study):
        note += f" Not known: {missing}."
    return note


def _missing(study: StudyJson) -> str:
    """What is not known, and why."""
    found = study["sources"]
    missing = study["design"]["missing"]
    return "; ".join(f"{_label(study, name)} ({why})" for name, why in missing.items() if found.get(name) is None)


def _chart(parts: dict[str, dict[str, Any]], metric: ShownMetric) -> Chart:
    dots, spans = [], []
    for label, part in parts.items():
        dots.append(Dot(label, part["std"], _SPREAD))
        dots += [Dot(label, part["luck"], _LUCK)] if part["luck"] is not None else []
        spans += [Span(label, part["lower"], part["upper"], _SPREAD)] if part["upper"] > 0 else []
    kinds = [_SPREAD, _LUCK] if any(dot.kind == _LUCK for dot in dots) else [_SPREAD]
    axis = Axis(f"STD of {metric.label}{metric.bracket}", name="STD", from_zero=True, format=f",.{metric.decimals}f")
    return dot_chart(dots, groups=list(parts), value=axis, kinds=kinds, beside=len(kinds) > 1, behind=spans)


def sources_table(study: StudyJson) -> Table:
    """What each source contributes: its spread, interval, share of the variance, and the luck in it."""
    metric, design = metric_of(study), study["design"]
    counts = {_label(study, _key(name)): str(len(set(seeds))) for name, seeds in design["seeds"].items()}
    repeats = f"{len(design['repeated'])} repeats"
    rows = [
        [
            label,
            counts.get(label, repeats if label == _label(study, _LAST_BIT) else ""),
            metric.spread(part["std"]),
            metric.interval(part),
            MISSING if part["share"] is None else percent(part["share"]),
            MISSING if part["luck"] is None else metric.spread(part["luck"]),
        ]
        for label, part in shown_sources(study).items()
    ]
    columns = ["source", "seeds", f"STD{metric.bracket}", "95 % interval", "share", "test-set luck"]
    return Table("sources", "", columns, rows)


def missing_words(study: StudyJson) -> str:
    """What is not known and why, as a line; empty where all is known."""
    missing = _missing(study)
    return f"not known: {missing}" if missing else ""


def cells_table(study: StudyJson) -> Table:
    """The metric of every run: a row for each combination of seeds, a column for each noise."""
    metric, design, trials = metric_of(study), study["design"], trials_by_place(study)
    names = _varied(study)
    rows = []
    for cell in study["seeds"]:
        runs = [
            _run(trials.get((noise, cell)), metric, planned=not at or cell in design["repeated"])
            for at, noise in enumerate(study["noises"])
        ]
        rows.append([*(str(design["seeds"][name][cell - 1]) for name in names), *runs])
    columns = [*(_label(study, _key(name)) for name in names), *study["noises"]]
    title = f"Every combination of seeds, and its {metric.label}"
    note = (
        f"{capital(metric.axis)} at the end of training. A row has one seed of each source; no two sources share a "
        "seed. In the last column are the runs that repeat a combination with another last bit."
    )
    return Table("cells", title, columns, rows, note if design["repeated"] else note.partition(" In the last")[0])


def _run(trial: Any, metric: ShownMetric, *, planned: bool) -> str:
    if trial is None:
        return "not finished" if planned else ""
    how = outcome(trial)
    return metric.value(metric.of(trial)) if how == FINISHED else Cell(how, alert=True)


def design_words(study: StudyJson) -> str:
    """Which runs were made, without how many came to an end."""
    design = study["design"]
    sizes = joined(f"{len(set(design['seeds'][name]))} seeds of {_label(study, _key(name))}" for name in _varied(study))
    again = f", {len(design['repeated'])} of them once more with {study['noises'][-1]}" if design["repeated"] else ""
    return f"{sizes} in {len(study['seeds'])} combinations with {study['noises'][0]}{again}"


def _varied(study: StudyJson) -> list[str]:
    """The names of the sources that have seeds, in the order in which they were given."""
    return [name for name in study["design"]["vary"] if name in study["design"]["seeds"]]


def _label(study: StudyJson, name: str) -> str:
    return str(study["design"]["labels"].get(name, name))


def _key(name: str) -> str:
    """A source's name as a key of JSON."""
    return name.replace("-", "_")
