import pytest

from lastbit.paper.items.table3 import TABLE3

USUAL = [True] * 7  # agrees, and not activated, for three cases; restrains


def failing(result):
    return [i for i, made in enumerate(TABLE3.claims(result)) if not made["holds"]]


def row(result, case, regime):
    return next(each for each in result["cases"][case]["rows"] if each["regime"] == regime)


def test_each_regime_is_bounded_as_the_paper_says(smoke):
    result = smoke("table3")
    assert failing(result) == []
    # Summed over 9^2 positions, and averaged: a quarter of 32^2.
    assert row(result, 0, "transitioning")["lower"] == pytest.approx(0.25 * 81 * 1024)
    assert row(result, 1, "transitioning")["lower"] == pytest.approx(256)
    # Activated: sigma'(0) = 1/4 times |D|^2 = 32^2 / 9^4, as each entry sees a sum of 1 or -1, over 81 positions.
    assert row(result, 1, "activated")["upper"] == pytest.approx(2 / 0.07 - 0.25 * 1024 / 81**2)
    assert row(result, 1, "not activated")["upper"] == pytest.approx(2 / 0.07)


@pytest.mark.parametrize("case", [0, 2])
@pytest.mark.parametrize(
    ("where", "seen"), [("above lower", "blow-up"), ("above upper", "stable"), ("below lower", "stable")]
)
def test_a_simulation_that_disagrees_fails(case, where, seen, smoke):
    result = smoke("table3")
    row(result, case, "transitioning")["simulated"][where] = seen
    assert failing(result) == [case]


def test_stability_between_crossed_bounds_fails(smoke):
    result = smoke("table3")
    row(result, 1, "transitioning")["simulated"] = {"between crossed bounds": "stable"}
    assert failing(result) == [1]


def test_another_bound_on_weight_decay_alone_fails(smoke):
    result = smoke("table3")
    row(result, 2, "not activated")["upper"] *= 1.001
    assert failing(result) == [5]


def test_a_stable_transitioning_regime_fails(smoke):
    result = smoke("table3")
    row(result, 1, "transitioning")["lower"] = 10.0
    assert failing(result) == [6]


def test_an_unstable_activated_regime_fails(smoke):
    result = smoke("table3")
    row(result, 1, "activated")["upper"] = 19.0
    assert failing(result) == [6]


def test_the_table_has_a_row_for_each_regime(smoke):
    (table,) = TABLE3.draw(smoke("table3"))
    assert [cells[0] for cells in table.rows] == ["activated", "transitioning", "not activated"]
    assert table.rows[1][-2] == "none (above 256 and below 28.57)"
    assert table.title == "The transitioning regime alone needs weight decay: at least 2.074e4 for figure 4’s settings"
