"""A chart ready for the page: words, and Vega-Lite whose form is made once and whose data change with every move."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import altair as alt

from lastbit.report.charts import Figure
from lastbit.report.charts.look import config
from lastbit.report.numbers import significant

_EMBEDDED = {"embedOptions": {"actions": False}}  # without Vega's menu, which offers to open another host's editor


@dataclass(frozen=True)
class Drawing:
    """A chart, its finding and how to read it; where there is nothing to draw, the reason in its place."""

    name: str
    title: str  # the finding, with its number
    note: str
    spec: Mapping[str, Any] | None = None  # Vega-Lite, with its data

    def _mime_(self) -> tuple[str, str]:
        """How marimo shows the chart itself."""
        return "application/vnd.vegalite.v6+json", json.dumps(self.spec)


def in_words(value: float) -> str:
    """A number in three digits, in full where it is of a size that people read: `0.907`, `1,024`, `2e7`."""
    return f"{value:,.0f}" if 1e3 <= value < 1e6 else significant(value, 3)


def drawn(figure: Figure) -> Drawing:
    """A figure of the report's kit, for the page."""
    if figure.chart is None:
        return Drawing(figure.name, figure.title, figure.note)
    spec = figure.chart.fitted(config=config("light"), usermeta=_EMBEDDED)
    return Drawing(figure.name, figure.title, figure.note, spec)


class ReadyChart(alt.LayerChart):
    """A drawing as an altair chart, for what takes charts and asks them for their Vega-Lite: it is made already."""

    def __init__(self, drawing: Drawing) -> None:
        super().__init__(layer=[])
        object.__setattr__(self, "_ready", dict(drawing.spec or {}))

    def copy(self, deep: bool | Iterable[Any] = True, ignore: list[str] | None = None) -> ReadyChart:
        """Itself: nobody changes it."""
        return self

    def to_dict(self, *args: Any, **options: Any) -> dict[str, Any]:
        """The drawing's Vega-Lite."""
        ready: dict[str, Any] = self._ready
        return ready
