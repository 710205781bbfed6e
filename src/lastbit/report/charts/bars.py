"""The bar that is cut at its shares."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import altair as alt

from lastbit.report.charts.axes import Axis
from lastbit.report.charts.figure import Chart, form
from lastbit.report.charts.look import colours

_HEIGHT = 90  # pixels


@dataclass(frozen=True)
class Part:
    """A part of the whole."""

    label: str
    share: float
    words: str  # its value in words, shown under the pointer


def share_bar(parts: Sequence[Part], *, title: str) -> Chart:
    """One bar, cut at the shares of its parts, in their order.

    Args:
        parts: whose shares sum to about 1.
        title: what the shares are of.
    """
    rows = [
        {"part": part.label, "order": order, "share": part.share, "words": part.words}
        for order, part in enumerate(parts)
    ]
    return Chart(_form(tuple(part.label for part in parts), title), {"rows": rows}, _HEIGHT)


@lru_cache(maxsize=256)
def _form(labels: tuple[str, ...], title: str) -> dict[str, Any]:
    axis = Axis(title, percent=True).fit([0.0, 1.0]).drawn()
    bar = (
        alt.Chart(alt.NamedData("rows"))
        .mark_bar(height=40, stroke="white", strokeWidth=1)
        .encode(
            x=alt.X("share:Q", stack="zero", axis=axis),
            order=alt.Order("order:O"),
            color=alt.Color("part:N", scale=colours(labels), legend=alt.Legend(title=None, orient="top")),
            tooltip=[
                alt.Tooltip("part:N"),
                alt.Tooltip("share:Q", format=".1%"),
                alt.Tooltip("words:N", title="standard deviation"),
            ],
        )
    )
    return form(alt.LayerChart(layer=[bar]))
