"""The chart of differences with both their intervals, whose axis no single wide interval decides."""

from collections.abc import Mapping, Sequence
from statistics import median_low
from typing import Any

from lastbit.report.charts.axes import Axis
from lastbit.report.charts.dots import Beyond, Dot, GreyBand, Reference, Span, dot_chart
from lastbit.report.charts.figure import Chart
from lastbit.report.charts.look import MUTED
from lastbit.report.comparison.recipes_stored import RecipesJson
from lastbit.report.comparison.recipes_tables import BETTER, SAME, UNSURE, WORSE, kind_of
from lastbit.report.numbers import number, p_in_words, some

_ROW, _FRAME = 22, 30  # pixels for each recipe, and for all
_WIDE = 8  # times the median width, from which an interval does not decide how far the axis reaches
_ROOM = 0.05  # of the axis, beyond all that decides how far it reaches
_NAMED = 5
# Okabe's and Ito's green and vermilion differ in lightness too; shapes tell the kinds apart as well.
_COLOURS = {BETTER: "#009E73", WORSE: "#D55E00", SAME: "#0072B2", UNSURE: MUTED}

Rows = Sequence[Mapping[str, Any]]


def intervals_chart(rows: Rows, content: RecipesJson) -> Chart:
    """A dot for each difference, with the interval that holds together with all others and the one that holds alone.

    An interval many times as wide as most, such as that of two tasks only, ends in an arrow at the end of the axis.

    Args:
        rows: with `recipe`, `difference`, `interval`, `interval_simultaneous`, `real`, `same` and `p`, from the top.
        content: the comparison that they are of.
    """
    kinds = {row["recipe"]: kind_of(row, content) for row in rows}
    margin, domain = content["within"], _domain(rows, content)
    spans, arrows = [], []
    for row in rows:
        name, kind = row["recipe"], kinds[row["recipe"]]
        for (low, high), width in ((row["interval_simultaneous"], 2), (row["interval"], 6)):
            if domain is not None:
                arrows += [Beyond(name, domain[0], below=True, kind=kind)] if low < domain[0] else []
                arrows += [Beyond(name, domain[1], below=False, kind=kind)] if high > domain[1] else []
                low, high = max(low, domain[0]), min(high, domain[1])
            spans.append(Span(name, low, high, kind=kind, width=width))
    present = [kind for kind in _COLOURS if kind in kinds.values()]
    title = f"difference of {content['metric']}"
    return dot_chart(
        [Dot(row["recipe"], row["difference"], kinds[row["recipe"]], {"p": p_in_words(row["p"])}) for row in rows],
        groups=[row["recipe"] for row in rows],
        value=Axis(title, name="difference", from_zero=True, format=".3~f", domain=domain),
        kinds=present,
        given={kind: _COLOURS[kind] for kind in present},
        upright=False,
        behind=[Reference(0.0), *spans, *dict.fromkeys(arrows), *([GreyBand(-margin, margin)] if margin else [])],
        height=_ROW * len(rows) + _FRAME,
    )


def cut_note(rows: Rows, content: RecipesJson) -> str:
    """A sentence, after a space, on the intervals that the axis cuts; empty where it cuts none."""
    domain, places = _domain(rows, content), content["decimals"]
    if domain is None:
        return ""
    ends = {row["recipe"]: row["interval_simultaneous"] for row in rows}
    cut = [
        f"{name} ({number(low, places)} to {number(high, places)})"
        for name, (low, high) in ends.items()
        if low < domain[0] or high > domain[1]
    ]
    return f" Lines with an arrow go on beyond the chart: {some(cut, _NAMED)}." if cut else ""


def _width(row: Mapping[str, Any]) -> float:
    low, high = row["interval_simultaneous"]
    return float(high - low)


def _domain(rows: Rows, content: RecipesJson) -> tuple[float, float] | None:
    """The ends of the axis where it cuts intervals; None where it takes all that is drawn."""
    widest = _WIDE * median_low(map(_width, rows))
    kept = [row["interval_simultaneous"] for row in rows if _width(row) <= widest]
    if len(kept) == len(rows):
        return None
    margin = content["within"] or 0.0
    reach = [-margin, margin, *(row["difference"] for row in rows), *(end for ends in kept for end in ends)]
    room = _ROOM * (max(reach) - min(reach))
    return min(reach) - room, max(reach) + room
