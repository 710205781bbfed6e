"""The page of studies, and their charts as files."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from lastbit.differing import differing_fields
from lastbit.report.charts.figure import Figure, write_figures
from lastbit.report.numbers import plain
from lastbit.report.page import Block, Details, Facts, Heading, Page, Pre, Section, Text, write_page
from lastbit.report.settings import differences, facts, flat_settings, settings_table
from lastbit.report.study.account import cuts, decided_by_seed, method, standings, verdict_first, what_was_done
from lastbit.report.study.churn import churn_table
from lastbit.report.study.flips import flips_blocks
from lastbit.report.study.naming import distinct_names, file_stems, metric_of, source_of_all
from lastbit.report.study.quality import quality_table, spread_figure
from lastbit.report.study.sources import (
    cells_table,
    is_designed,
    sources_figure,
    sources_quality_table,
    sources_table,
)
from lastbit.report.study.spread import accuracy_figure, gain_figure, variance_figure
from lastbit.report.study.stored import StudyJson, as_stored
from lastbit.report.study.tables import (
    accuracy_table,
    gradient_table,
    last_words,
    pooled_table,
    trials_table,
    variance_table,
)
from lastbit.report.study.weights import comparison_figure, growth_table, layer_figure, rel_l1_figure
from lastbit.report.table import Table

# Points that a page can hold with its libraries (0.9 MB) in less than 3 MB: about 16 bytes each.
_LAYER_POINTS = 48_000
_RUN_POINTS = 16_000
_COMPARED_POINTS = 16_000
_FEW = 8  # differences that are shown without a click


def write_report(studies: Sequence[StudyJson], path: Path) -> None:
    """Write one HTML page for one study or several; it opens offline and asks for nothing else.

    Args:
        studies: results as `Results.as_json` gives them or `results.json` holds them.
        path: of the page; it is replaced in one step, and its directory made where it is missing.

    Raises:
        LastbitError: these are not the results of studies.
    """
    write_page(study_page(as_stored(studies)), path)


def write_charts(studies: Sequence[StudyJson], directory: Path) -> list[Path]:
    """Write each chart as PNG and SVG, such as `demo-rel-l1.png`; charts of several studies as `comparison.png`.

    Args:
        studies: results as `Results.as_json` gives them or `results.json` holds them.
        directory: made where it is missing.

    Returns:
        The files, in the order of the page. What a study has no data for is left out.

    Raises:
        LastbitError: these are not the results of studies.
    """
    stored = as_stored(studies)
    written = write_figures(comparison_figures(stored), directory)
    for stem, study in zip(file_stems(stored), stored, strict=True):
        figures = [part for part in study_drawings(study, studies=len(stored)) if isinstance(part, Figure)]
        written += write_figures(figures, directory, prefix=f"{stem}-")
    return written


def comparison_figures(studies: Sequence[StudyJson]) -> list[Figure]:
    """The charts that hold all studies; none for a single one."""
    return [comparison_figure(studies, most_points=_COMPARED_POINTS)] if len(studies) > 1 else []


def study_page(studies: Sequence[StudyJson]) -> Page:
    """The page.

    Args:
        studies: results as `as_stored` gives them.
    """
    names = distinct_names(studies)
    anchors = [f"study-{number}" for number in range(1, len(studies) + 1)]
    differing = differences([(name, study["settings"]) for name, study in zip(names, studies, strict=True)])
    by_order = all(metric_of(study).order == "batch order" for study in studies)
    body: list[Block] = list(comparison_figures(studies))
    if differing.rows:
        body.append(Details("What the studies differ in", [differing], is_open=len(differing.rows) <= _FEW))
    designed = all(map(is_designed, studies))
    repeated = not designed or any(study["design"]["repeated"] for study in studies)
    explanations = source_of_all(studies).explanations
    decided = dict.fromkeys(words for study in studies if by_order for words in decided_by_seed(study["settings"]))
    body.append(method(explanations, decided=list(decided), designed=designed, repeated=repeated))
    parts = zip(anchors, names, studies, strict=True)
    body += [
        Section(anchor, _section(study, name=name, studies=len(studies)), "study") for anchor, name, study in parts
    ]
    of_one = f" in {names[0]}" if len(names) == 1 else ""
    return Page(
        name="all",
        title=f"{', '.join(names)} – {'how far the last bit carries' if repeated else 'what each source contributes'}",
        heading=f"{'How far does the last bit carry' if repeated else 'What does each source contribute'}{of_one}?",
        header=[
            _verdict(study, name, anchor if len(names) > 1 else "")
            for study, name, anchor in zip(studies, names, anchors, strict=True)
        ],
        body=body,
    )


def _verdict(study: StudyJson, name: str, anchor: str) -> Section:
    link = Markup('<a href="#{}">{}</a>').format(anchor, name)
    heading = [Heading(link)] if anchor else []
    verdict = verdict_first(standings(study), str(study["verdict"]), cuts(study["settings"]))
    return Section("", [*heading, *verdict], "verdict")


def _section(study: StudyJson, *, name: str, studies: int) -> list[Block]:
    metric, known = metric_of(study), facts(study["settings"])
    description = str(study["settings"].get("description") or "").rstrip(".")
    return [
        Heading(name),
        *([Text(f"{description}.", "lead")] if description else []),
        Text(what_was_done(study)),
        *([Facts(known)] if known else []),
        *_results(study, studies=studies, heading=f"{metric.capital} from run to run"),
        Heading("Every run, its settings and its numerics", 3),
        Details("All runs", _runs(study)),
        Details("Settings", [settings_table(flat_settings(study["settings"]))]),
        _fingerprints(study["fingerprints"]),
    ]


def study_drawings(study: StudyJson, *, studies: int) -> list[Figure | Table]:
    """A study's charts, in the order of reading.

    Args:
        study: stored results.
        studies: how many share the page, and so its room.
    """
    blocks = _results(study, studies=studies, heading="")
    return [block for block in blocks if isinstance(block, Figure | Table)]


def _results(study: StudyJson, *, studies: int, heading: str) -> list[Block]:
    gradients = None if is_designed(study) else gradient_table(study)
    growth, is_calm = growth_table(study)
    return [
        Heading(heading, 3),
        *(_contributions(study) if is_designed(study) else _spreads(study)),
        Heading("Predictions from run to run", 3),
        churn_table(study),
        *flips_blocks(study),
        Heading("Weights from run to run", 3),
        rel_l1_figure(study, most_points=_RUN_POINTS // studies),
        layer_figure(study, most_points=_LAYER_POINTS // studies),
        *(_folded(growth) if is_calm else [growth]),
        *([Heading("Gradients: how small the cause is", 3), gradients] if gradients is not None else []),
    ]


def _contributions(study: StudyJson) -> list[Block]:
    qualities = sources_quality_table(study)
    split = [qualities] if qualities.rows else []
    return [sources_figure(study), *split, sources_table(study), cells_table(study)]


def _spreads(study: StudyJson) -> list[Block]:
    sources, qualities = variance_table(study), quality_table(study)
    leads = bool(qualities.rows)
    split: list[Block] = [spread_figure(study), *([qualities] if leads else [])]
    return [
        *(split if leads else []),
        accuracy_figure(study),
        accuracy_table(study),
        pooled_table(study),
        *([] if leads else split),
        variance_figure(study),
        *([sources] if sources.rows else []),
        gain_figure(study),
    ]


def _folded(table: Table) -> list[Block]:
    return [Heading(table.title, 4), Details("Each pair of runs", [table])]


def _runs(study: StudyJson) -> list[Block]:
    lines = [block for run, words in last_words(study) for block in (Text(f"The last lines of {run}:"), Pre(words))]
    return [trials_table(study), *lines]


def _fingerprints(kinds: Sequence[Mapping[str, Any]]) -> Details:
    """What the numbers were computed with, of each kind."""
    if not kinds:
        return Details("Fingerprint of the numerics", [Text("No run recorded it.")])
    flat = [settings_table(flat_settings(kind), ("field", "value")) for kind in kinds]
    if len(kinds) == 1:
        return Details("Fingerprint of the numerics", flat)
    columns = ["field", *(f"kind {number}" for number in range(1, len(kinds) + 1))]
    rows = [[name, *map(plain, values)] for name, values in differing_fields(kinds).items()]
    differing = Table("differing", "", columns, rows, align="l" * len(columns))
    blocks: list[Block] = [Text("They differ in this:"), differing]
    for number, table in enumerate(flat, start=1):
        blocks += [Text(f"Kind {number} of {len(kinds)}"), table]
    return Details("Fingerprints of the numerics", blocks)
