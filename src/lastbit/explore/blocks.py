"""Pieces of the page's HTML: a chart between its finding and its note, a message, a table."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import marimo as mo

from lastbit.explore.drawing import Drawing


def chart_block(drawing: Drawing, chart: object = None) -> mo.Html:
    """A chart with its finding above and its note below; the note alone where there is no chart.

    Args:
        drawing: the chart and its words.
        chart: what to show in the drawing's place, such as an element of marimo's that listens to clicks.
    """
    shown = mo.as_html(drawing if chart is None else chart).text if drawing.spec is not None else ""
    return mo.Html(
        f'<figure class="chart" data-chart="{escape(drawing.name)}"><h2>{escape(drawing.title)}</h2>{shown}'
        f"<figcaption>{escape(drawing.note)}</figcaption></figure>"
    )


def message(text: str) -> mo.Html:
    """What went wrong, in one line."""
    return mo.Html(f'<p class="message" role="alert">{escape(text)}</p>')


def labelled(label: str, control: object) -> mo.Html:
    """A control under its label."""
    return mo.Html(f'<div class="control"><div class="label">{escape(label)}</div>{mo.as_html(control).text}</div>')


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> mo.Html:
    """A table of words, its first column naming the rows."""
    cells = "".join(
        f'<tr><th scope="row">{escape(row[0])}</th>{"".join(f"<td>{escape(cell)}</td>" for cell in row[1:])}</tr>'
        for row in rows
    )
    heads = "".join(f'<th scope="col">{escape(name)}</th>' for name in head)
    return mo.Html(f'<div class="scroll"><table><thead><tr>{heads}</tr></thead><tbody>{cells}</tbody></table></div>')
