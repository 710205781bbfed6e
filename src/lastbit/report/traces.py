"""The page of two traces: how far apart each rank's operations are, step by step, against what rounding explains."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from lastbit.report.charts.axes import Axis, decades
from lastbit.report.charts.curves import Curve
from lastbit.report.charts.figure import HEIGHT, Chart, Figure
from lastbit.report.charts.line import line_chart
from lastbit.report.numbers import MISSING, capital, scientific
from lastbit.report.page import Block, Facts, Heading, Page, Section, Text, write_page
from lastbit.report.table import Table

_MOST_POINTS = 600  # of a curve; the largest distance of a stretch of operations stands for it
_MOST_ROWS = 30  # of the table of operations
_MOST_RANKS = 8  # that are drawn
_SMALL = 180  # pixels of the drawing area of one chart among several
_MEASURED, _EXPLAINED = "measured", "what rounding explains"


@dataclass(frozen=True)
class RankDistances:
    """How far a rank's operations are apart."""

    rank: int
    index: Sequence[int]  # of the operations that are in both, in order
    step: Sequence[int]  # optimizer steps before each
    distance: Sequence[float]  # relative; infinite where only one is finite
    explained: Sequence[float]  # by rounding; NaN where it is not known
    first_different: int | None  # index of the first operation with other bits
    beyond_rounding: int | None  # and of the first that rounding does not explain

    @property
    def farthest(self) -> str:
        """The largest finite distance in words; a dash where there is none."""
        finite = [value for value in self.distance if np.isfinite(value)]
        return scientific(max(finite)) if finite else MISSING

    @cached_property
    def places(self) -> list[float]:
        """Where each operation is drawn: the step, and how much of the step's operations are before it."""
        index, step = np.asarray(self.index), np.asarray(self.step)
        _, begins, which, counts = np.unique(step, return_index=True, return_inverse=True, return_counts=True)
        first, last = index[begins], index[begins + counts - 1]
        places: list[float] = (step + (index - first[which]) / (last - first + 1)[which]).tolist()
        return places

    def place(self, index: int) -> float:
        """Where an operation, or the next that both do, is drawn."""
        behind = int(np.searchsorted(np.asarray(self.index), index))
        return self.places[min(behind, len(self.index) - 1)]


@dataclass(frozen=True)
class TracePageContent:
    """What the page shows, all of it plain data."""

    names: tuple[str, str]  # of the traces: files, or commands
    result: Mapping[str, Any]  # as `lastbit audit diff --json` writes it
    settings: Sequence[tuple[str, str, str]]  # that differ: name, and the value of either trace
    ranks: Sequence[RankDistances]  # one, but for runs of several processes
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
            *([ranks_table(content)] if len(content.ranks) > 1 else []),
            *distance_figures(content),
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


def ranks_table(content: TracePageContent) -> Table:
    """Each rank of runs of several processes: where it has other bits, where it leaves rounding, how far it comes."""
    rows = [
        (
            f"{rank.rank}",
            _operation(rank, rank.first_different),
            _operation(rank, rank.beyond_rounding),
            rank.farthest,
        )
        for rank in content.ranks
    ]
    columns = ("rank", "other bits from", "leaves rounding at", "largest distance")
    return Table("ranks", "Each rank of the runs", columns, rows, align="rllr")


def _operation(rank: RankDistances, index: int | None) -> str:
    if index is None or not len(rank.index):
        return MISSING
    return f"operation {index:,}, step {int(rank.place(index)):,}"


def distance_figures(content: TracePageContent) -> list[Figure]:
    """Relative distance of each operation's results, with what rounding explains: a chart for each rank.

    The charts of several ranks share their axes. Of many ranks those are drawn that leave rounding first, then the
    others in order.
    """
    chosen = sorted(content.ranks, key=lambda rank: (rank.beyond_rounding is None, rank.rank))[:_MOST_RANKS]
    drawn = [(rank, _largest(rank.places, rank.distance), _largest(rank.places, rank.explained)) for rank in chosen]
    sizes = [size for _, *pairs in drawn for _, values in pairs for size in values]
    several = len(content.ranks) > 1
    up = decades(sizes) if sizes and several else None
    figures: list[Figure] = []
    for rank, measured, explained in sorted(drawn, key=lambda part: part[0].rank):
        title = _title(rank, bool(explained[0]))
        named = f"Rank {rank.rank}: {title[0].lower()}{title[1:]}" if several else title
        figures.append(
            Figure(
                f"distance-{rank.rank}" if several else "distance",
                named,
                _NOTE if len(figures) == 0 or not measured[0] else "",
                _chart(rank, measured, explained, domain=None if up is None else (up.foot, up.top)),
            )
        )
    return figures


_NOTE = (
    "‖x − y‖ / max(‖x‖, ‖y‖) of the results of each operation, in the order of the first run, estimated from "
    "sketches with a standard error of about 25 %. Operations without a point have the same bits. Vertical lines: the "
    "first other bits, and the first place that rounding does not explain, where there is one."
)
_Points = tuple[list[float], list[float]]  # places and sizes


def _chart(
    rank: RankDistances, measured: _Points, explained: _Points, *, domain: tuple[float, float] | None
) -> Chart | None:
    if not measured[0]:
        return None
    curves = [Curve(_MEASURED, *measured, style="points")]
    if explained[0]:
        curves.append(Curve(_EXPLAINED, *explained, style="dashed"))
    marked = (rank.first_different, rank.beyond_rounding)
    return line_chart(
        curves,
        x=Axis("optimizer step", name="step", format=",.2~f", domain=(0.0, max(rank.step) + 1.0)),
        y=Axis("relative distance", name="distance", log=True, format=".1e", domain=domain),
        jumps=sorted({rank.place(index) for index in marked if index is not None}),
        height=HEIGHT if domain is None else _SMALL,
    )


def _title(rank: RankDistances, known: bool) -> str:
    if not any(value > 0 for value in rank.distance):
        return "All operations that both runs do have the same bits"
    end = f"up to {rank.farthest} in {max(rank.step) + 1:,} steps"
    if rank.beyond_rounding is not None:
        return f"The runs part from operation {rank.beyond_rounding:,} on, {end}"
    return f"Within what rounding explains: distances {end}" if known else f"The runs are {end} apart"


def _largest(places: Sequence[float], values: Sequence[float]) -> _Points:
    """The largest of each of at most so many stretches, zeros and what is not finite left out."""
    at, size = np.asarray(places, float), np.asarray(values, float)
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
