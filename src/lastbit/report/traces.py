"""The page of two traces: how far apart they are, operation by operation, against what rounding explains."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lastbit.report.charts.axes import Axis
from lastbit.report.charts.curves import Curve
from lastbit.report.charts.figure import Figure
from lastbit.report.charts.line import line_chart
from lastbit.report.numbers import MISSING, capital, scientific
from lastbit.report.page import Block, Facts, Heading, Page, Section, Text, write_page
from lastbit.report.table import Table

_MOST_POINTS = 600  # of a curve; the largest distance of a stretch of operations stands for it
_MOST_ROWS = 30  # of the table of operations
_MEASURED, _EXPLAINED = "measured", "what rounding explains"


@dataclass(frozen=True)
class TracePageContent:
    """What the page shows, all of it plain data."""

    names: tuple[str, str]  # of the traces: files, or commands
    result: Mapping[str, Any]  # as `lastbit audit diff --json` writes it
    settings: Sequence[tuple[str, str, str]]  # that differ: name, and the value of either trace
    index: Sequence[int]  # of the operations that are in both, in order
    step: Sequence[int]  # optimizer steps before each
    distance: Sequence[float]  # relative; infinite where only one is finite
    explained: Sequence[float]  # by rounding; NaN where it is not known
    alone: tuple[Sequence[tuple[str, str | None, int]], Sequence[tuple[str, str | None, int]]]
    # operations in one trace only, for either: name, line, how many


def write_trace_page(content: TracePageContent, path: Path) -> None:
    """Write one HTML file; it opens offline and asks for nothing else.

    Args:
        content: what it shows.
        path: of the page; it is replaced in one step, and its directory made where it is missing.
    """
    write_page(trace_page(content), path)


def trace_page(content: TracePageContent) -> Page:
    """The page."""
    result = content.result
    one, other = content.names
    what = (
        f"Every operation of the first run ({one}) was paired with that of the second ({other}) by what it is, what it "
        "takes and what it gives. Places are the first run's."
    )
    return Page(
        name="traces",
        title=f"{one} – two runs compared",
        heading="Where do the two runs part?",
        header=[Section("", [Text(f"{capital(result['verdict'])}.", "finding")], "verdict")],
        body=[
            Text(what),
            *_place("The first other bits", result["first_different"]),
            *_place("The first place that rounding does not explain", result["beyond_rounding"]),
            distance_figure(content),
            settings_table(content),
            *(table for table in _alone(content) if table.rows),
        ],
    )


def _place(heading: str, place: Mapping[str, Any] | None) -> list[Block]:
    if place is None:
        return []
    rows = [
        ("operation", f"{place['operation']}, number {place['index']:,}, {place['phase']}"),
        ("step", f"{place['step']:,}" + (f", rank {place['rank']}" if place["rank"] else "")),
        ("module", place["module"]),
        ("line", place["line"]),
        ("relative distance", None if place["distance"] is None else scientific(place["distance"])),
        ("what differs", place.get("differs")),
    ]
    return [Heading(heading), Facts([(name, value) for name, value in rows if value is not None])]


def distance_figure(content: TracePageContent) -> Figure:
    """Relative distance of each operation's results, with what rounding explains."""
    note = (
        "‖x − y‖ / max(‖x‖, ‖y‖) of the results of each operation, in the order of the first run, estimated from "
        "sketches to about 30 %. Operations without a point have the same bits. Vertical lines: the first other bits, "
        "and the first place that rounding does not explain, where there is one."
    )
    measured = _largest(content.index, content.distance)
    if not measured[0]:
        return Figure("distance", "All operations that both runs do have the same bits", note)
    curves = [Curve(_MEASURED, *measured, style="points")]
    explained = _largest(content.index, content.explained)
    if explained[0]:
        curves.append(Curve(_EXPLAINED, *explained, style="dashed"))
    places = (content.result["first_different"], content.result["beyond_rounding"])
    chart = line_chart(
        curves,
        x=Axis("operation", name="operation", format=","),
        y=Axis("relative distance", name="distance", log=True, format=".1e"),
        jumps=sorted({place["index"] for place in places if place is not None}),
    )
    return Figure("distance", _title(content, bool(explained[0])), note, chart)


def _title(content: TracePageContent, known: bool) -> str:
    finite = [value for value in content.distance if np.isfinite(value)]
    end = f"up to {scientific(max(finite))} in {max(content.step) + 1:,} steps"
    if content.result["beyond_rounding"] is not None:
        return f"The runs part from operation {content.result['beyond_rounding']['index']:,} on, {end}"
    return f"Within what rounding explains: distances {end}" if known else f"The runs are {end} apart"


def _largest(index: Sequence[int], values: Sequence[float]) -> tuple[list[int], list[float]]:
    """The largest of each of at most so many stretches, zeros and what is not finite left out."""
    at, size = np.asarray(index, int), np.asarray(values, float)
    drawn = np.isfinite(size) & (size > 0)
    at, size = at[drawn], size[drawn]
    if not len(at):
        return [], []
    parts = np.array_split(np.arange(len(at)), min(_MOST_POINTS, len(at)))
    chosen = [part[int(np.argmax(size[part]))] for part in parts]
    return at[chosen].tolist(), size[chosen].tolist()


def settings_table(content: TracePageContent) -> Table:
    """Where the environments of the runs differ."""
    title = "What differs between the environments" if content.settings else "The environments agree"
    return Table("environments", title, ("setting", *content.names), content.settings, align="lll")


def _alone(content: TracePageContent) -> list[Table]:
    tables = []
    for which, rows in zip(("first", "second"), content.alone, strict=True):
        total = sum(count for _, _, count in rows)
        shown = [(name, line or MISSING, f"{count:,}") for name, line, count in rows[:_MOST_ROWS]]
        title = f"{total:,} operations are in the {which} run only"
        tables.append(Table(f"only-{which}", title, ("operation", "line", "times"), shown, align="llr"))
    return tables
