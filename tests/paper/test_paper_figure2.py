import pytest

from lastbit.paper.items.figure2 import FIGURE2


def holds(result):
    return [made["holds"] for made in FIGURE2.claims(result)]


def test_the_beltrami_equation_does_as_published(smoke):
    result = smoke("figure2")
    assert holds(result) == [True] * 5
    # 2 / (lambda + 4 / eps), and 2 / lambda exceeded by 5 %.
    assert result["strict_dt"] == pytest.approx(2 / (0.1 + 4 / 1e-2))
    assert [run["factor"] for run in result["runs"]] == pytest.approx([1, 10, 100, 21 / result["strict_dt"]])
    # 1.05 * 2 / lambda multiplies the mean by 1 - 2.1 = -1.1 a step: 1.1^n overflows after some 7,400.
    assert result["runs"][-1]["blow_up_step"] == pytest.approx(7400, abs=100)


@pytest.mark.parametrize(
    ("run", "change", "failing"),
    [
        (0, {"late_max": 0.1}, [0]),
        (0, {"blow_up_step": 5}, [0]),
        (1, {"blow_up_step": 5}, [1]),
        (1, {"late_max": 50.0}, [1, 3]),
        (1, {"late_min": 1e-9}, [1]),
        (1, {"unstable_share": 1.0}, [1]),
        (2, {"unstable_share": 0.0}, [2]),
        (2, {"late_max": 0.3}, [3]),
        (2, {"late_max": None, "blow_up_step": 7}, [2, 3]),
        (3, {"blow_up_step": None}, [4]),
    ],
)
def test_a_wrong_result_fails(run, change, failing, smoke):
    result = smoke("figure2")
    result["runs"][run].update(change)
    assert [i for i, held in enumerate(holds(result)) if not held] == failing


def test_what_blew_up_is_not_drawn_but_named(smoke):
    states, deviations = FIGURE2.draw(smoke("figure2"))
    assert [row["curve"] for row in states.rows][-1] == "100 × strict step"
    assert "Not drawn, since it blew up: 4,201 × strict step." in states.note
    assert deviations.rows[-1]["curve"] == "4,201 × strict step"
    assert deviations.rows[0]["x"][-1] == pytest.approx(40, abs=1)
