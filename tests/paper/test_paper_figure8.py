import pytest

from lastbit.paper.items.figure8 import FIGURE8


def holds(result):
    return [made["holds"] for made in FIGURE8.claims(result)]


def test_four_hidden_layers_pass_the_edge_that_two_stay_below(smoke):
    result = smoke("figure8")
    assert holds(result) == [True] * 5
    assert result["lr"] == pytest.approx(0.9 * 2 / max(result["search"]["sharpness"]))
    assert result["shallow"]["loss"][-1] < 0.05 <= result["shallow"]["loss"][-2]


@pytest.mark.parametrize(
    ("part", "change", "failing"),
    [
        ("search", {"largest": 1.0}, [0]),
        ("shallow", {"sharpness": {"step": [0], "normalised": [2.1]}}, [1]),
        ("shallow", {"rises": 1}, [2]),
        ("deep", {"sharpness": {"step": [0], "normalised": [1.9]}}, [3]),
        ("deep", {"spikes": 0}, [4]),
        ("deep", {"blow_up_step": 5}, [4]),
    ],
)
def test_a_wrong_result_fails(part, change, failing, smoke):
    result = smoke("figure8")
    result[part].update(change)
    assert [i for i, held in enumerate(holds(result)) if not held] == failing


@pytest.mark.parametrize("part", ["search", "shallow"])
def test_a_training_that_is_cut_short_decides_nothing_good(part, smoke):
    result = smoke("figure8")
    result[part]["goal_reached"] = False
    assert holds(result) == [None, None, None, True, True]
    assert "did not come to a loss of 0.05" in FIGURE8.claims(result)[1]["reason"]
    result["shallow"]["rises"] = 1
    assert holds(result)[2] is False


def test_the_drawings_name_both_networks_and_the_rate(smoke):
    losses, sharpness, search = FIGURE8.draw(smoke("figure8"))
    assert losses.title.startswith("2 hidden layers: no spikes, 4 hidden layers: ")
    assert [row["curve"] for row in sharpness.rows] == ["2 hidden layers", "4 hidden layers"]
    assert "0.5 of the one that the present sharpness allows" in search.note
