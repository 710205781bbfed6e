"""Figures 3 and 10, and ResNet-56 step by step, as they come out; wrong results are in mutations_of_growth.py."""

import math

import pytest
from mutations import outcomes

from lastbit.paper.items.figure3 import FIGURE3
from lastbit.paper.items.learning_rates import FIGURE10, SWEEPS, steps_of, sweep_twins
from lastbit.paper.items.resnet56_growth import RESNET56_GROWTH


def network(name, values):
    return {"name": name, "step": list(range(1, len(values) + 1)), "rel_l1": values}


def rate(lr, growth):
    return {"lr": lr, "step": [1, 2], "rel_l1": [1e-8, growth and growth * 1e-8], "growth": growth, "diverged": False}


@pytest.fixture
def figure3():
    """As the paper describes it."""
    return {
        "scale": "paper",
        "networks": [network("A", [1e-8, 1e-3, 0.1, 0.2, 0.3, 0.3]), network("B", [1e-9, 1e-4, 0.2, 0.2, 0.2, 0.3])],
        "rates": [rate(0.05, 1e5), rate(0.01, 50.0), rate(1e-5, 0.5)],
    }


def test_what_the_paper_describes_holds(figure3):
    assert outcomes(FIGURE3, figure3) == [True] * 6


@pytest.mark.parametrize(("growth", "outcome"), [(100.0, True), (99.0, None), (7.0, False), (None, False)])
def test_growth_that_is_neither_amplified_nor_only_added_up_decides_nothing(figure3, growth, outcome):
    figure3["rates"][0]["growth"] = growth
    assert outcomes(FIGURE3, figure3)[2] is outcome


def test_a_network_that_has_not_grown_decides_nothing_at_a_reduced_scale(figure3):
    figure3["networks"].append(network("C", [1e-8] * 6))
    reduced = FIGURE3.claims(figure3 | {"scale": "laptop"})[0]
    assert reduced["holds"] is None
    assert "C" in reduced["reason"]


def test_at_the_smoke_scale_the_larger_learning_rate_amplifies_more(smoke):
    result = smoke("figure3")
    fast, slow = result["rates"]
    assert fast["growth"] > 3 * slow["growth"]  # 5 on one processor, above 10 on another
    assert outcomes(FIGURE3, result)[3] is True
    networks, rates = FIGURE3.draw(result)
    assert len(networks.rows) == len(rates.rows) == 2
    # Equal learning rate times steps: curves of one length.
    assert [row["x"][-1] for row in rates.rows] == pytest.approx([SWEEPS["smoke"]["lr_steps"]] * 2)


def test_growth_is_the_ratio_of_the_quarters_medians(smoke):
    for each in smoke("figure3")["rates"]:
        quarter = len(each["rel_l1"]) // 4
        early, late = (sorted(part) for part in (each["rel_l1"][:quarter], each["rel_l1"][-quarter:]))
        middle = [math.fsum(part[(quarter - 1) // 2 : quarter // 2 + 1]) for part in (early, late)]
        assert each["growth"] == pytest.approx(middle[1] / middle[0])


def test_every_sweep_spends_the_same_learning_rate_times_steps():
    for sweep in SWEEPS.values():
        spent = [lr * steps_of(sweep, lr) for lr in sweep["lrs"]]
        assert spent == pytest.approx([sweep["lr_steps"]] * len(spent), rel=0.05)


def test_twins_of_a_sweep_are_kept_at_even_places():
    changes = [*SWEEPS["smoke"]["changes"], "data.train=128"]
    found = sweep_twins(recipe="demo", changes=changes, lr=0.1, steps=8, points=4)
    assert found["step"] == [2, 4, 6, 8]
    assert 0 < found["rel_l1"][0] < 1e-6
    assert not found["diverged"]


def test_training_is_not_stuck(smoke):
    result = smoke("figure10")
    assert outcomes(FIGURE10, result) == [True] * 3
    assert result["lr"] == min(SWEEPS["smoke"]["lrs"])
    (figure,) = FIGURE10.draw(result)
    assert figure.title.startswith("At lr = 0.1 test accuracy goes from")


def test_the_last_bit_grows_to_a_plateau(smoke):
    result = smoke("resnet56-growth")
    assert outcomes(RESNET56_GROWTH, result) == [True] * 4
    assert result["pair"]["rel_l1"][result["horizon"] - 2] <= 1e-2 < result["pair"]["rel_l1"][result["horizon"] - 1]
    assert [figure.name for figure in RESNET56_GROWTH.draw(result)] == ["step-by-step", "distance", "flips"]
