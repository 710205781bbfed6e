"""Pieces of the page: controls under their labels, charts between finding and note, messages, tables, the glossary."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import altair as alt
import marimo as mo

from lastbit.errors import LastbitError
from lastbit.explore.study_view import Reading, compare_trials, pair_figure, pair_rows, study_figures
from lastbit.report.charts import Figure
from lastbit.report.charts.look import config

VIEWS = {"One layer": "layer", "A study": "study"}
# A layer whose instability is restrained and amplifies the last bit.
START = (0.501, 2.24)  # learning rate and weight decay
START_PICTURE = "checkerboard"

# Every symbol and term of the page, in the order in which a reader meets them.
_SYMBOLS = (
    ("W", "side of the convolution kernel, in pixels"),
    ("β", "steepness of the Swish activation z / (1 + e^(−βz)); large β approaches ReLU"),
    ("y", "label of the picture, 0 or 1"),
    ("learning rate, lr", "size of a step of gradient descent: the time step of the discretised PDE"),
    ("weight decay, α", "strength of the L2 penalty α/2 · ‖kernel‖² on the kernel"),
    ("momentum, μ", "share of the last update that the next one repeats (heavy ball)"),
    ("ω", "spatial frequency of an error in the kernel, from −π to π radians per pixel"),
    ("|A(ω)|", "amplification factor: one step multiplies an error of frequency ω by it; above 1 the error grows"),
    ("CFL condition", "the bound on lr and α under which |A(ω)| stays at most 1 for every ω"),
    ("stable", "every error decays"),
    ("restrained", "the linear theory is unstable, and the activation keeps the loss bounded"),
    ("blow-up", "the loss grows without bound"),
    ("twin", "the same training with k = 3: each step divides by 3 and multiplies by 3, which rounds differently"),
    (
        "RelL1",
        "relative distance of two networks' weights, 2 · mean |w − w′| / (|w| + |w′|): 0 equal, 2 opposite",
    ),
    ("edge", "where the local amplification factor of the present kernel passes 1"),
    ("k", "factor of the last-bit noise in a study; k = 1 is ordinary training"),
    ("churn", "share of test examples to which two trained networks give different labels"),
)


def view_switch(place: str) -> mo.ui.radio:
    """Which of the two views is shown: at first a study, if the command was given a directory."""
    return mo.ui.radio(VIEWS, value="A study" if place else "One layer", inline=True)


def choice(names: Sequence[str], place: int = 0) -> mo.ui.dropdown:
    """A list of names, at first with the one at a place chosen; no choice from an empty list."""
    return mo.ui.dropdown(list(names), value=names[place] if names else None, full_width=True)


def slider(values: Sequence[float], value: float) -> mo.ui.slider:
    """A slider over these values that shows its own."""
    return mo.ui.slider(steps=list(values), value=value, show_value=True, full_width=True)


def labelled(label: str, control: object) -> mo.Html:
    """A control under its label."""
    return mo.Html(f'<div class="control"><div class="label">{escape(label)}</div>{mo.as_html(control).text}</div>')


def chart_block(figure: Figure, chart: object = None) -> mo.Html:
    """A chart with its finding above and its note below; the words alone if the figure has no chart.

    Args:
        figure: the chart and its words.
        chart: what to show in the chart's place, such as an element of marimo's that listens to clicks.
    """
    shown = "" if figure.chart is None else mo.as_html(_Drawn(_spec(figure)) if chart is None else chart).text
    return mo.Html(
        f'<figure class="chart" data-chart="{escape(figure.name)}"><h2>{escape(figure.title)}</h2>{shown}'
        f"<figcaption>{escape(figure.note)}</figcaption></figure>"
    )


def _spec(figure: Figure) -> dict[str, Any]:
    """Vega-Lite for the page, without Vega's menu, which offers to open an editor on another host."""
    return {**figure.spec(), "config": config("light"), "usermeta": {"embedOptions": {"actions": False}}}


@dataclass(frozen=True)
class _Drawn:
    spec: Mapping[str, Any]

    def _mime_(self) -> tuple[str, str]:
        """How marimo shows it."""
        return "application/vnd.vegalite.v6+json", json.dumps(self.spec)


class ReadyChart(alt.LayerChart):
    """A figure's chart for `mo.ui.altair_chart`, which asks an altair chart for its Vega-Lite."""

    def __init__(self, figure: Figure) -> None:
        super().__init__(layer=[])
        object.__setattr__(self, "_ready", _spec(figure))

    def copy(self, deep: bool | Iterable[Any] = True, ignore: list[str] | None = None) -> ReadyChart:
        """Itself: nobody changes it."""
        return self

    def to_dict(self, *args: Any, **options: Any) -> dict[str, Any]:
        """The figure's Vega-Lite."""
        ready: dict[str, Any] = self._ready
        return ready


def message(text: str) -> mo.Html:
    """What went wrong, in one line."""
    return mo.Html(f'<p class="message" role="alert">{escape(text)}</p>')


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> mo.Html:
    """A table of words whose first column names the rows."""
    cells = "".join(
        f'<tr><th scope="row">{escape(row[0])}</th>{"".join(f"<td>{escape(cell)}</td>" for cell in row[1:])}</tr>'
        for row in rows
    )
    heads = "".join(f'<th scope="col">{escape(name)}</th>' for name in head)
    return mo.Html(f'<div class="scroll"><table><thead><tr>{heads}</tr></thead><tbody>{cells}</tbody></table></div>')


def study_charts(reading: Reading) -> mo.Html | None:
    """The verdict and the charts of all trials; nothing if there is no study."""
    if reading.study is None:
        return None
    verdict = f'<p class="verdict">{escape(str(reading.study.results["verdict"]))}</p>'
    return mo.Html(verdict + "".join(chart_block(figure).text for figure in study_figures(reading.study)))


def trials_compared(reading: Reading, first: str | None, second: str | None) -> mo.Html | None:
    """A table of both trials' last values, and the distance of their weights; nothing if there is no study."""
    if reading.study is None or first is None or second is None:
        return None
    try:
        pair = compare_trials(reading.study, first, second)
    except LastbitError as error:
        return message(str(error))
    values = table(["last value", first, second, "difference"], pair_rows(pair))
    return mo.Html(chart_block(pair_figure(pair)).text + values.text)


def glossary() -> mo.Html:
    """What every symbol and term of the page means, folded until a reader opens it."""
    rows = "".join(f"<div><dt>{escape(symbol)}</dt><dd>{escape(meaning)}</dd></div>" for symbol, meaning in _SYMBOLS)
    return mo.Html(f'<details class="symbols"><summary>What the symbols mean</summary><dl>{rows}</dl></details>')
