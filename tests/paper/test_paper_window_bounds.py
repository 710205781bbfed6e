"""Tables 2 and 9."""

import pytest

from lastbit.paper.items.window_bounds import TABLE2, TABLE9
from lastbit.report.table import Table

ITEMS = [TABLE2, TABLE9]
USUAL = [True, True, True, False, True, True, True]  # settled; one pixel twice; approaches three times; between


def failing(item, result):
    made = [each["holds"] for each in item.claims(result)]
    return [i for i, (held, usual) in enumerate(zip(made, USUAL, strict=True)) if held != usual]


def rows(result, series):
    return {row["kernel"]: row for row in result["series"][series]["rows"]}


@pytest.mark.parametrize("item", ITEMS)
def test_simulations_find_the_closed_form(item, smoke):
    """The checkerboard's one eigenvalue is positions * W^2; its other modes are moved by weight decay alone."""
    result = smoke(item.id)
    edge, rate = (2.0, 6e-4) if item is TABLE2 else (3.8 / 2.8, 0.95 * 6e-4)
    for side, row in rows(result, 0).items():
        lower, upper = 0.25 * (17 - side) ** 2 * side**2, edge / rate + (64 if side == 1 else 0)
        for kind, tolerance in (("exact", 1e-6), ("simulated", 0.005)):
            assert row[kind]["lower"] == pytest.approx(lower, rel=tolerance)
            assert row[kind]["upper"] == pytest.approx(upper, rel=tolerance)
    assert rows(result, 1)[16]["simulated"] is None
    assert failing(item, result) == []


@pytest.mark.parametrize("item", ITEMS)
def test_a_simulation_that_finds_something_else_fails(item, smoke):
    result = smoke(item.id)
    rows(result, 0)[4]["simulated"]["lower"] *= 1.02
    assert failing(item, result) == [0]


def test_a_simulation_that_finds_none_where_there_is_one_fails(smoke):
    result = smoke("table2")
    rows(result, 0)[4]["simulated"] = None
    assert failing(TABLE2, result) == [0]
    result = smoke("table2")
    rows(result, 1)[16]["simulated"] = dict(rows(result, 1)[16]["exact"])
    assert failing(TABLE2, result) == [0]


def test_one_pixel_with_other_bounds_fails(smoke):
    result = smoke("table2")
    rows(result, 0)[1]["pixel"]["upper"] *= 1.02
    assert failing(TABLE2, result) == [1]
    result = smoke("table2")
    rows(result, 2)[1]["infinite"]["lower"] = 1.0
    assert failing(TABLE2, result) == [2, 5, 6]


def test_bounds_that_do_not_approach_fail_and_the_refuted_could_hold(smoke):
    result = smoke("table2")
    rows(result, 1)[16]["infinite"]["lower"] *= 1.05
    assert failing(TABLE2, result) == [4]
    result = smoke("table2")
    rows(result, 1)[2]["infinite"]["lower"] = 1.0
    assert failing(TABLE2, result) == [4, 6]
    result = smoke("table2")
    rows(result, 0)[8]["infinite"]["lower"] = rows(result, 0)[8]["exact"]["lower"]
    assert failing(TABLE2, result) == [3]


def test_the_table_says_none_where_nothing_is_stable(smoke):
    *figures, table = TABLE2.draw(smoke("table2"))
    assert isinstance(table, Table)
    assert [figure.name for figure in figures] == [
        *["table2-checkerboard-valid", "table2-checkerboard-circular", "table2-noise-circular"]
    ]
    row = next(row for row in table.rows if row[1] == "circular" and row[2] == "16")
    assert row[3:7] == ["none", "none", "1.638e4", "3333"]
    assert figures[0].title.endswith("from 64 to 1296; the infinite window’s is 1.638e4")
