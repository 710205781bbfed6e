"""The chart of classes by what each shows, with those that a test tells apart in a colour of their own."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lastbit.report.charts.axes import Axis
from lastbit.report.charts.dots import Dot, Reference, Span, dot_chart
from lastbit.report.charts.figure import Figure
from lastbit.statistics.power import SIGNIFICANCE

ClassRow = Mapping[str, Any]  # of a class, as a JSON file has it: `label`, `examples`, `p_adjusted` and more

_ROW = 26  # pixels for each class
_MOST_CLASSES = 30  # that a chart shows; of more, those at both ends


@dataclass(frozen=True)
class ClassValues:
    """What the chart shows of each class, and how it is called."""

    field: str  # of a row
    axis: str  # title of the axis
    clear: str  # what a class is said to do that is told apart
    unclear: str  # and one that is not
    class_name: Callable[[int], str] = str  # of a label
    has_intervals: bool = False  # whether rows have `lower` and `upper`, and a difference of 0 means something


def told_apart(rows: Sequence[ClassRow]) -> list[ClassRow]:
    """Those whose adjusted p is at most 0.05."""
    return [row for row in rows if row["p_adjusted"] <= SIGNIFICANCE]


def class_figure(name: str, title: str, note: str, rows: Sequence[ClassRow], values: ClassValues) -> Figure:
    """A row for each class, in the order given.

    Args:
        name: of the figure.
        title: its finding.
        note: what is drawn, and what p is of.
        rows: one for each class, sorted, so that classes that differ most are first and last.
        values: what of them is drawn.
    """
    shown = _outermost(rows)
    clear = {row["label"] for row in told_apart(rows)}
    kinds = {row["label"]: values.clear if row["label"] in clear else values.unclear for row in shown}
    names = {row["label"]: values.class_name(row["label"]) for row in shown}
    intervals = shown if values.has_intervals else []
    spans = [Span(names[row["label"]], row["lower"], row["upper"], kinds[row["label"]]) for row in intervals]
    chart = dot_chart(
        [
            Dot(names[row["label"]], row[values.field], kinds[row["label"]], {"examples": row["examples"]})
            for row in shown
        ],
        groups=[names[row["label"]] for row in shown],
        group_title="class",
        value=Axis(values.axis, name=values.field, from_zero=True, format=".3~f"),
        kinds=[kind for kind in (values.clear, values.unclear) if kind in kinds.values()],
        upright=False,
        behind=[Reference(0.0), *spans] if spans else [],
        height=_ROW * len(shown) + 30,
    )
    return Figure(name, title, f"{note} {_note(len(rows), len(shown), values.clear)}", chart)


def _note(classes: int, shown: int, clear: str) -> str:
    note = (
        f"A class “{clear}” where p, adjusted over the {classes} classes (Benjamini-Hochberg), is at most 0.05. Where "
        "no class differs, at most 5 % of such charts name one, as simulations show; the tests of the classes depend "
        "on each other, and no proof covers that."
    )
    return f"{note} Shown are the {shown} classes that differ most." if shown < classes else note


def _outermost(rows: Sequence[ClassRow]) -> list[ClassRow]:
    """The classes at both ends, where there are too many for a chart."""
    if len(rows) <= _MOST_CLASSES:
        return list(rows)
    return [*rows[: _MOST_CLASSES // 2], *rows[-_MOST_CLASSES // 2 :]]
