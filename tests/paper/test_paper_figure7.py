import pytest

from lastbit.paper.items.figure7 import FIGURE7


def failing(result):
    return [i for i, made in enumerate(FIGURE7.claims(result)) if not made["holds"]]


def run_at(result, depth, lr):
    return next(run for run in result["runs"] if (run["depth"], run["lr"]) == (depth, lr))


def test_three_layers_are_unstable_where_one_is_stable(smoke):
    result = smoke("figure7")
    assert failing(result) == []
    assert FIGURE7.claims(result)[1]["interval"] == [1, 6]


@pytest.mark.parametrize(
    ("depth", "lr", "change", "claims"),
    [
        (1, 1, {"rises": 2}, [0, 3]),
        (1, 6, {"rises": 2}, [0, 1, 3]),
        (3, 6, {"late_rises": 0}, [2]),
        (3, 6, {"blow_up_step": 9}, [2]),
        (3, 6, {"rises": 0, "late_rises": 0}, [1, 2, 3]),
        (3, 6, {"sharpness": {"step": [0], "normalised": [1.9]}}, [3]),
        (3, 1, {"sharpness": {"step": [0], "normalised": [2.1]}}, [3]),
    ],
)
def test_a_wrong_result_fails(depth, lr, change, claims, smoke):
    result = smoke("figure7")
    run_at(result, depth, lr).update(change)
    assert failing(result) == claims


def test_kernels_thrown_out_are_spoken_of(smoke):
    result = smoke("figure7")
    run_at(result, 3, 1).update({"rises": 3, "late_rises": 0})
    assert FIGURE7.claims(result)[2]["reason"].startswith("At lr = 1 it threw the kernels out")


def test_the_finding_names_the_rates(smoke):
    one, three, _ = FIGURE7.draw(smoke("figure7"))
    assert one.title == "With 1 layer the loss falls at every step at every learning rate"
    assert three.title == "With 3 layers the loss rises at lr 6"
