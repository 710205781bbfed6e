"""The second view's pieces: a study's charts, and two of its trials against each other."""

from __future__ import annotations

from html import escape

import marimo as mo

from lastbit.errors import LastbitError
from lastbit.explore.blocks import chart_block, message, table
from lastbit.explore.study_view import Reading, compare_trials, pair_drawing, pair_rows, study_drawings


def charts(reading: Reading) -> mo.Html | None:
    """The verdict and the charts of all trials; nothing where there is no study."""
    if reading.study is None:
        return None
    verdict = f'<p class="verdict">{escape(str(reading.study.results["verdict"]))}</p>'
    return mo.Html(verdict + "".join(chart_block(each).text for each in study_drawings(reading.study)))


def compared(reading: Reading, one: str | None, other: str | None) -> mo.Html | None:
    """A table of both trials' last values, and the distance of their weights; nothing where there is no study."""
    if reading.study is None or one is None or other is None:
        return None
    try:
        pair = compare_trials(reading.study, one, other)
    except LastbitError as error:
        return message(str(error))
    values = table(["last value", one, other, "difference"], pair_rows(pair))
    return mo.Html(chart_block(pair_drawing(pair)).text + values.text)
