import pytest

from lastbit.paper.items.figure9 import FIGURE9

USUAL = [True, None, True, True, True]  # falls, one and two layers as published, the edge, stable below only


def failing(result):
    """The claims that came out otherwise than they do; the smoke scale's bracket is too wide for the second."""
    held = [made["holds"] for made in FIGURE9.claims(result)]
    return [i for i, (now, usual) in enumerate(zip(held, USUAL, strict=True)) if now != usual]


def test_two_layers_are_stable_up_to_a_lower_rate(smoke):
    result = smoke("figure9")
    assert failing(result) == []
    for search in result["searches"]:
        low, high = search["bracket"]
        assert low < high <= 1.3 * low
        # A bisection: what is stable lies below what is not.
        assert all((run["regime"] == "stable") == (run["lr"] <= low) for run in search["runs"])


@pytest.mark.parametrize(
    ("search", "change", "claims"),
    [
        (0, {"bracket": [9.0, 11.0]}, [0, 1, 3, 4]),
        (0, {"bracket": [91.0, 99.0], "edge": 95.0}, [1]),
        (1, {"bracket": [7.0, 8.0], "edge": 7.5}, [2, 4]),
        (1, {"edge": 5.0}, [3]),
        (1, {"bracket": None}, [0, 2]),
    ],
)
def test_a_wrong_result_fails(search, change, claims, smoke):
    result = smoke("figure9")
    result["searches"][search].update(change)
    assert failing(result) == claims


def test_a_bracket_decides_only_where_it_lies_on_one_side_of_the_published_ends(smoke):
    result = smoke("figure9")
    for bracket, holds in (
        ([91, 99], True),
        ([80, 85], False),
        ([101, 105], False),
        ([85, 95], None),
        ([95, 105], None),
    ):
        result["searches"][0]["bracket"] = bracket
        assert FIGURE9.claims(result)[1]["holds"] is holds


def test_a_sweep_without_an_end_leaves_depth_undecided(smoke):
    result = smoke("figure9")
    result["searches"].append({**result["searches"][1], "seed": 1, "bracket": None})
    falls = FIGURE9.claims(result)[0]
    assert falls["holds"] is None
    assert falls["reason"] == "No largest stable learning rate within the sweep: 2 layer(s), seed 1."
    result["searches"][1]["bracket"] = [100.0, 110.0]
    assert FIGURE9.claims(result)[0]["holds"] is False


def test_a_stable_rate_beyond_fails(smoke):
    result = smoke("figure9")
    result["searches"][1]["runs"][-1]["regime"] = "stable"
    assert failing(result) == [4]
    assert "settled in a flatter one" in FIGURE9.claims(result)[4]["reason"]


def test_the_drawings_give_the_rates(smoke):
    result = smoke("figure9")
    figure, table = FIGURE9.draw(result)
    assert {row["curve"].split(",")[0] for row in figure.rows} == {"1 layer", "2 layers"}
    assert [cells[:2] for cells in table.rows] == [["1", "seed 0"], ["2", "seed 0"]]
    result["searches"][1]["bracket"] = None
    assert FIGURE9.draw(result)[1].rows[1][2:] == ["none found"] * 3
