"""A chart with its finding: one definition for the page and for PNG and SVG."""

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt
from altair.utils.schemapi import SchemaValidationError

from lastbit.errors import LastbitError
from lastbit.report.look import config

AnyChart = alt.Chart | alt.LayerChart
# Charts name their rows and get them last: altair would copy and check each row many times.
ROWS = alt.NamedData(name="rows")

_WIDTH, HEIGHT = 720, 340  # pixels of the drawing area
# About the characters of 15 and 12 pixels that fit on the width.
_TITLE_COLUMNS, _NOTE_COLUMNS = 98, 124


@dataclass(frozen=True)
class Figure:
    """A chart, what it shows and how to read it; where there is nothing to draw, the reason in its place."""

    name: str  # distinct within a study, fit for a file name
    title: str  # the finding, with its number
    note: str  # what is drawn, or why nothing is
    chart: AnyChart | None = None
    rows: Sequence[Mapping[str, Any]] = ()  # what the chart draws under the name of `ROWS`
    height: int = HEIGHT  # pixels of the drawing area

    @property
    def is_drawn(self) -> bool:
        """Whether there is a chart."""
        return self.chart is not None

    def spec(self) -> dict[str, Any]:
        """Vega-Lite for the page, as wide as its place there; title, note and colours are the page's."""
        # The grid's step widths would otherwise overrule the place's width.
        fitted = self._sized(width="container").properties(
            autosize=alt.AutoSizeParams(type="fit-x", contains="padding")
        )
        return self._with_rows(fitted)

    def picture(self) -> dict[str, Any]:
        """Vega-Lite for a file of its own: title and note included, on white."""
        title = alt.TitleParams(
            textwrap.wrap(self.title, _TITLE_COLUMNS), subtitle=textwrap.wrap(self.note, _NOTE_COLUMNS), offset=14
        )
        drawn = self._sized(width=_WIDTH).properties(title=title, padding=16)
        return self._with_rows(drawn) | {"config": config("light") | {"background": "white"}}

    def _sized(self, *, width: Any) -> AnyChart:
        if self.chart is None:
            raise LastbitError(f"{self.name}: {self.title} ({self.note})")
        sized: AnyChart = self.chart.properties(width=width, height=self.height)
        return sized

    def _with_rows(self, chart: AnyChart) -> dict[str, Any]:
        try:
            spec: dict[str, Any] = chart.to_dict()
        except SchemaValidationError as error:
            raise TypeError(f"no chart can be drawn of this: {str(error).splitlines()[0]}") from error
        # Altair's own configuration would fix the size and the colours.
        del spec["config"]
        return spec | {"datasets": {ROWS.name: list(self.rows), **spec.get("datasets", {})}}
