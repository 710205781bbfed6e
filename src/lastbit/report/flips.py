"""Who is hurt: what a new recipe breaks and mends, and in which classes, as blocks of a page."""

from collections.abc import Mapping, Sequence
from typing import Any

from lastbit.report.charts.axes import Axis
from lastbit.report.charts.dots import Dot, Reference, Span, dot_chart
from lastbit.report.charts.figure import Figure
from lastbit.report.numbers import MISSING, number
from lastbit.report.page import Block, Heading
from lastbit.report.table import Table

_LEVEL = 0.05
_ROW = 26  # pixels for each class
_MOST_CLASSES = 30  # that a chart shows; of more, those that differ most
_MOST_NAMED = 4  # classes in a title
CLEAR, UNCLEAR = "differs", "not told from noise"


def moves_blocks(moves: Mapping[str, Any] | None, *, new: str, old: str) -> list[Block]:
    """What a user of the old recipe feels, and class by class; nothing where no true labels were stored.

    Args:
        moves: as `Comparison.as_json` holds it.
        new: name of the recipe that replaces the other.
        old: name of the other.
    """
    if moves is None:
        return []
    blocks: list[Block] = [Heading(f"Who is hurt by {new} in place of {old}", 3), moves_table(moves, new=new, old=old)]
    return [*blocks, *([class_figure(moves["classes"], new=new, old=old)] if len(moves["classes"]) > 1 else [])]


def moves_table(moves: Mapping[str, Any], *, new: str, old: str) -> Table:
    """How many predictions turn from right to wrong and from wrong to right, beside what training again turns."""
    broken, mended, again = moves["right_to_wrong"], moves["wrong_to_right"], moves["retrained"]
    rows = [
        [f"right with {old}, wrong with {new}", *_rate(broken)],
        [f"wrong with {old}, right with {new}", *_rate(mended)],
        [f"right, and wrong after training {old} again", MISSING if again is None else number(again, 2), MISSING],
    ]
    return Table(
        "moves",
        f"{new} breaks {number(broken['percent'], 2)} % of the predictions and mends {number(mended['percent'], 2)} %",
        ["prediction of two runs", f"% of {moves['examples']:,} examples", "95 % interval"],
        rows,
        f"Means over all pairs of a run of {old} and a run of {new}. A user of {old} feels the first line; the third "
        "is what of it no change of recipe explains. Intervals hold for other runs and other test sets.",
    )


def _rate(rate: Mapping[str, float]) -> list[str]:
    return [number(rate["percent"], 2), f"{number(rate['lower'], 2)} to {number(rate['upper'], 2)}"]


def class_figure(classes: Sequence[Mapping[str, Any]], *, new: str, old: str) -> Figure:
    """The difference of accuracy in each class with its interval, the worst for the new recipe first."""
    ordered = sorted(classes, key=lambda row: (row["difference"], row["label"]))
    shown = _outermost(ordered)
    named = [row for row in ordered if row["p_adjusted"] <= _LEVEL]
    note = (
        f"Accuracy of {new} minus that of {old} on the test examples of each class, with 95 % intervals over runs and "
        f"examples. A class “{CLEAR}” where p, adjusted over the {len(classes)} classes, is at most 0.05: of the "
        "classes named so, 5 % at most are named wrongly on average (Benjamini-Hochberg)."
    )
    if len(shown) < len(ordered):
        note += f" Shown are the {len(shown)} classes that differ most."
    kinds = {row["label"]: CLEAR if row in named else UNCLEAR for row in shown}
    chart = dot_chart(
        [
            Dot(str(row["label"]), row["difference"], kinds[row["label"]], {"examples": row["examples"]})
            for row in shown
        ],
        groups=[str(row["label"]) for row in shown],
        group_title="class",
        value=Axis("difference of accuracy (points)", name="difference", from_zero=True, format=".3~f"),
        kinds=[kind for kind in (CLEAR, UNCLEAR) if kind in kinds.values()],
        upright=False,
        behind=[
            Reference(0.0),
            *(Span(str(row["label"]), row["lower"], row["upper"], kinds[row["label"]]) for row in shown),
        ],
        height=_ROW * len(shown) + 30,
    )
    return Figure("classes", _class_title(named, len(classes), new), note, chart)


def _outermost(ordered: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The classes at both ends, where there are too many for a chart."""
    if len(ordered) <= _MOST_CLASSES:
        return list(ordered)
    return [*ordered[: _MOST_CLASSES // 2], *ordered[-_MOST_CLASSES // 2 :]]


def _class_title(named: Sequence[Mapping[str, Any]], classes: int, new: str) -> str:
    if not named:
        return f"In none of the {classes} classes does accuracy differ by more than chance shows"
    worse = sorted(row["label"] for row in named if row["difference"] < 0)
    better = sorted(row["label"] for row in named if row["difference"] > 0)
    said = [f"{how} in {_classes(labels, classes)}" for how, labels in (("worse", worse), ("better", better)) if labels]
    return f"{new} is {' and '.join(said)}"


def _classes(labels: Sequence[int], classes: int) -> str:
    if len(labels) > _MOST_NAMED:
        return f"{len(labels)} of {classes} classes"
    return f"class{'es' if len(labels) > 1 else ''} {', '.join(map(str, labels))}"
