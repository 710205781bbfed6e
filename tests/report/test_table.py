"""One table, the same rows on a page, a terminal and in Markdown."""

import io
import re
from html import unescape

import pytest
from rich.console import Console

from lastbit.report.page import Page, render
from lastbit.report.table import Cell, Table

TABLE = Table(
    "runs",
    "Two runs, one of which diverged",
    ["noise", "seed 1", "STD"],
    [
        ["k=1", "81.01", Cell("0.31", small="0.19 to 0.93")],
        ["k=3 | <b>", Cell("diverged", alert=True), "–"],
        ["STD", "0.21", ""],
    ],
    "A row has one noise.",
    foot=1,
)


def shown(table, **options):
    output = io.StringIO()
    Console(file=output, width=80, markup=True).print(table.for_terminal(**options))
    return [[cell.strip() for cell in re.split("[│┃]", line)[1:-1]] for line in output.getvalue().splitlines()]


def test_a_terminal_shows_every_row_and_the_small_lines_below():
    rows = [row for row in shown(TABLE) if row]
    assert rows[0] == ["noise", "seed 1", "STD"]
    assert ["k=1", "81.01", "0.31"] in rows
    assert ["", "", "0.19 to 0.93"] in rows
    assert ["k=3 | <b>", "diverged", "–"] in rows
    assert ["", "", "0.19 to 0.93"] not in shown(TABLE, small=False)


def test_a_long_table_is_thinned_to_its_ends_and_keeps_its_foot():
    long = Table("long", "", ["step", "loss"], [*([str(i), "1"] for i in range(100)), ["all", "1"]], foot=1)
    first = [row[0] for row in shown(long, most=3) if row][1:]
    assert first == ["0", "50", "99", "all"]


def test_a_page_shows_the_same_cells_escaped():
    html = render(Page("p", "t", "h", [], [TABLE]), libraries="")
    cells = [
        unescape(re.sub("<small>.*?</small>", "", cell)) for cell in re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", html)
    ]
    assert cells == [*TABLE.columns, *(cell for row in TABLE.rows for cell in row)]
    assert "<small>0.19 to 0.93</small>" in html
    assert '<td class="alert">diverged</td>' in html
    assert "<b>" not in html
    assert html.index("</tbody>") < html.index(">0.21<") < html.index("</tfoot>")


def test_columns_are_aligned_as_asked_or_numbers_to_the_right():
    assert Table("t", "", ["a", "b", "c"], []).alignment == "lrr"
    assert Table("t", "", ["a", "b", "c"], [], align="rll").alignment == "rll"


@pytest.mark.parametrize("wrong", [{"rows": [["one"]]}, {"rows": [], "align": "l"}])
def test_a_row_or_an_alignment_of_another_length_is_refused(wrong):
    with pytest.raises(ValueError, match="2 columns"):
        Table("t", "", ["a", "b"], **wrong)
