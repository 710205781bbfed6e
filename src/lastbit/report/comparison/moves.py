"""What changes for users: what a new recipe breaks and mends, and in which classes, as blocks of a page."""

from collections.abc import Mapping, Sequence
from typing import Any

from lastbit.report.charts.figure import Figure
from lastbit.report.class_chart import ClassRow, ClassValues, class_figure, told_apart
from lastbit.report.numbers import MISSING, number
from lastbit.report.page import Block, Heading
from lastbit.report.table import Table

_MOST_NAMED = 4  # classes in a title
CLEAR, UNCLEAR = "differs", "not told from noise"
_VALUES = ClassValues("difference", "difference of accuracy (points)", CLEAR, UNCLEAR, has_intervals=True)


def moves_blocks(moves: Mapping[str, Any] | None, *, new: str, old: str) -> list[Block]:
    """What a user of the old recipe feels, and class by class; nothing where no true labels were stored.

    Args:
        moves: as `Comparison.as_json` holds it.
        new: name of the recipe that replaces the other.
        old: name of the other.
    """
    if moves is None:
        return []
    heading = Heading(f"What changes for users with {new} in place of {old}", 3)
    blocks: list[Block] = [heading, moves_table(moves, new=new, old=old)]
    if len(moves["classes"]) > 1:
        blocks.append(class_difference_figure(moves["classes"], new=new, old=old))
    return blocks


def moves_table(moves: Mapping[str, Any], *, new: str, old: str) -> Table:
    """How many predictions turn from right to wrong and from wrong to right, beside what training again turns."""
    broken, mended, again = moves["right_to_wrong"], moves["wrong_to_right"], moves["retrained"]
    rows = [
        [f"right with {old}, wrong with {new}", *_rate(broken)],
        [f"wrong with {old}, right with {new}", *_rate(mended)],
        [f"right, and wrong after training {old} again", number(again, 2), MISSING],
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


def class_difference_figure(classes: Sequence[ClassRow], *, new: str, old: str) -> Figure:
    """The difference of accuracy in each class with its interval, the worst for the new recipe first."""
    ordered = sorted(classes, key=lambda row: (row["difference"], row["label"]))
    note = (
        f"Accuracy of {new} minus that of {old} on the test examples of each class, with 95 % intervals over runs and "
        "examples."
    )
    return class_figure("classes", _class_title(told_apart(ordered), len(classes), new), note, ordered, _VALUES)


def _class_title(named: Sequence[ClassRow], classes: int, new: str) -> str:
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
