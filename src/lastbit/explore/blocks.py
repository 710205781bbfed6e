"""Pieces of the page's HTML: a chart between its finding and its note, a message, a table."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import marimo as mo

from lastbit.explore.drawing import Drawing

# Every symbol and term of the page, in the order in which a reader meets them.
_SYMBOLS = (
    ("W", "side of the convolution kernel, in pixels"),
    ("β", "sharpness of the Swish activation z / (1 + e^(−βz)); large β approaches ReLU"),
    ("y", "label of the picture, 0 or 1"),
    ("learning rate, lr", "size of a step of gradient descent: the time step of the discretised PDE"),
    ("weight decay, α", "strength of the L2 penalty α/2 · ‖kernel‖² on the kernel"),
    ("momentum, μ", "share of the last update that the next one repeats (heavy ball)"),
    ("ω", "spatial frequency of an error in the kernel, from −π to π radians a pixel"),
    ("|A(ω)|", "amplification factor: by how much one step multiplies an error of frequency ω; above 1 it grows"),
    ("CFL condition", "the bound on lr and α under which |A(ω)| stays at most 1 for every ω"),
    ("stable", "every error decays"),
    ("restrained", "the linear theory is unstable, and the activation keeps the loss bounded"),
    ("blow-up", "the loss grows without bound"),
    ("twin", "the same training with k = 3: each step divides by 3 and multiplies by 3, another rounding"),
    (
        "RelL1",
        "mean relative difference of two networks' weights, 2 · mean |w − w′| / (|w| + |w′|): 0 equal, 2 opposite",
    ),
    ("edge", "where the local amplification factor of the present kernel passes 1"),
    ("k", "factor of the last-bit noise in a study; k = 1 is ordinary training"),
    ("churn", "share of test examples to which two trained networks give different labels"),
)


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


def glossary() -> mo.Html:
    """What every symbol and term of the page means, folded until it is asked for."""
    rows = "".join(f"<div><dt>{escape(symbol)}</dt><dd>{escape(meaning)}</dd></div>" for symbol, meaning in _SYMBOLS)
    return mo.Html(f'<details class="symbols"><summary>What the symbols mean</summary><dl>{rows}</dl></details>')
