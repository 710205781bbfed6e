"""A chart with its finding: one definition for the page and for PNG and SVG."""

import json
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import altair as alt
import vl_convert
from altair.utils.schemapi import SchemaValidationError

from lastbit.errors import LastbitError
from lastbit.report.charts.look import config
from lastbit.storage.outputs import write_output

Rows = Sequence[Mapping[str, Any]]
AnyChart = alt.Chart | alt.LayerChart

HEIGHT = 340  # pixels of the drawing area
WIDTH = 720  # of it in a picture; a page has its own
# About the characters of 15 and 12 pixels that fit on the width.
_TITLE_COLUMNS, _NOTE_COLUMNS = 98, 124
_SCALE = 2  # pixels of a PNG for each of the chart, for dense screens and print


@dataclass(frozen=True)
class Chart:
    """Vega-Lite and the rows that it draws, apart: making the one takes 30 ms, changing the other none."""

    form: Mapping[str, Any]  # Vega-Lite without data and size, from `form`
    data: Mapping[str, Rows] = field(default_factory=dict)  # by the names under which the form has them
    height: int = HEIGHT  # pixels of the drawing area

    @property
    def rows(self) -> Rows:
        """What is drawn first of all: `rows` of the data."""
        return self.data.get("rows", ())

    def spec(self, **properties: Any) -> dict[str, Any]:
        """Vega-Lite with its data, its height and further properties, such as `width`."""
        data = {name: list(rows) for name, rows in self.data.items()}
        return {**self.form, "height": self.height, **properties, "datasets": data}

    def fitted(self, **properties: Any) -> dict[str, Any]:
        """Vega-Lite as wide as its place on a page."""
        # The grid's step widths would otherwise overrule the place's width.
        return self.spec(width="container", autosize={"type": "fit-x", "contains": "padding"}, **properties)


def form(chart: AnyChart) -> dict[str, Any]:
    """The Vega-Lite of a chart whose data are named.

    Raises:
        TypeError: it is not valid.
    """
    try:
        spec: dict[str, Any] = chart.to_dict()
    except SchemaValidationError as error:
        raise TypeError(f"no chart can be drawn of this: {str(error).splitlines()[0]}") from error
    del spec["config"]  # altair's own would fix the size and the colours
    return spec


@dataclass(frozen=True)
class Figure:
    """A chart, what it shows and how to read it; where there is nothing to draw, the reason in its place."""

    name: str  # distinct within a page's section, fit for a file name
    title: str  # the finding, with its number
    note: str  # what is drawn, or why nothing is
    chart: Chart | None = None

    @property
    def is_drawn(self) -> bool:
        """Whether there is a chart."""
        return self.chart is not None

    @property
    def rows(self) -> Rows:
        """What the chart draws; nothing where there is none."""
        return () if self.chart is None else self.chart.rows

    def spec(self) -> dict[str, Any]:
        """Vega-Lite for the page, as wide as its place there; title, note and colours are the page's."""
        return self._drawn().fitted()

    def picture(self) -> dict[str, Any]:
        """Vega-Lite for a separate file: title and note included, on white."""
        title = {
            "text": textwrap.wrap(self.title, _TITLE_COLUMNS),
            "subtitle": textwrap.wrap(self.note, _NOTE_COLUMNS),
            "offset": 14,
        }
        look = config("light") | {"background": "white"}
        return self._drawn().spec(width=WIDTH, title=title, padding=16, config=look)

    def _drawn(self) -> Chart:
        if self.chart is None:
            raise LastbitError(f"{self.name}: {self.title} ({self.note})")
        return self.chart


def write_figures(figures: Sequence[Figure | object], directory: Path, *, prefix: str = "") -> list[Path]:
    """Write each figure as NAME.png and NAME.svg, each file in one step.

    Args:
        figures: distinctly named; one with nothing to draw, and what is no figure, is left out.
        directory: made where it is missing.
        prefix: before each name.

    Returns:
        The files, in order.
    """
    drawn = [figure for figure in figures if isinstance(figure, Figure) and figure.is_drawn]
    return [path for figure in drawn for path in _write(figure, Path(directory) / f"{prefix}{figure.name}")]


def _write(figure: Figure, stem: Path) -> Iterator[Path]:
    svg = vl_convert.vegalite_to_svg(json.dumps(figure.picture()), vl_version=vega_lite_version())
    for suffix, content in ((".png", vl_convert.svg_to_png(svg, scale=_SCALE)), (".svg", svg.encode())):
        path = stem.with_name(stem.name + suffix)
        write_output(path, content)
        yield path


def vega_lite_version() -> str:
    """The version of Vega-Lite that altair writes, as vl-convert names it: `6.4`."""
    return ".".join(alt.SCHEMA_VERSION.removeprefix("v").split(".")[:2])


@cache  # bundling takes a second or more
def javascript() -> str:
    """Vega, Vega-Lite and Vega-Embed in one script that fetches nothing and defines `vegaEmbed`."""
    bundle: str = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;", vl_version=vega_lite_version())
    # An HTML page ends a script at the first such tag, even inside a string.
    return bundle.replace("</script", r"<\/script")
