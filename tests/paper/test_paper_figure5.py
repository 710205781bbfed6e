import pytest

from lastbit.paper.item import Work
from lastbit.paper.items.figure5 import FIGURE5

RESTRAINED = 2  # of the claims, in order: blow-up, converges, restrained, amplifies, throughout, forgets


def holds(result):
    return [made["holds"] for made in FIGURE5.claims(result)]


def failing(result):
    """The claims that came out otherwise than they do; the fifth, that all restrained runs amplify, is refuted."""
    return [i for i, held in enumerate(holds(result)) if held == (i == 4)]


def run_at(result, lr):
    return next(run for run in result["runs"] if run["lr"] == lr)


def test_the_published_first_losses(tmp_path):
    settings = dict(FIGURE5.scales["paper"].settings) | {
        "lrs": [0.07],
        "steps": 6,
        "ks": [1],
        "twins": {"lrs": [], "ks": [1]},
    }
    (run,) = FIGURE5.run(settings, Work(tmp_path))["runs"]
    published = [9498.183801, 1520.248574, 244.087459, 39.194357, 6.528445, 1.425929]
    assert run["loss"] == pytest.approx(published, abs=5.1e-7)


def test_three_bands_of_learning_rates(smoke):
    result = smoke("figure5")
    assert holds(result) == [True, True, True, True, False, True]
    blow_up = FIGURE5.claims(result)[0]
    assert blow_up["published"] == pytest.approx(0.1)
    assert blow_up["interval"] == [0.1, 0.105]
    # Saturated, a kernel is multiplied by 1 - lr alpha: the loss, its square, by 1.1^2 and more.
    loss = run_at(result, 0.105)["loss"]
    assert loss[-1] / loss[-2] == pytest.approx(1.1**2, rel=1e-6)


@pytest.mark.parametrize(
    ("lr", "regime", "claims"),
    [
        (0.105, "restrained", [0]),
        (0.07, "blow-up", [0, 2]),
        (0.02, "restrained", [1]),
        (0.05, "stable", [2]),
    ],
)
def test_another_regime_fails(lr, regime, claims, smoke):
    result = smoke("figure5")
    run_at(result, lr)["regime"] = regime
    assert failing(result) == claims


def test_runs_that_converge_elsewhere_fail(smoke):
    result = smoke("figure5")
    run_at(result, 0.01)["loss"][-1] *= 1.001
    assert failing(result) == [1]


def test_twins_that_do_not_part_fail(smoke):
    result = smoke("figure5")
    last = result["twins"][-1]["rel_l1"]
    last["9"] = [1e-9 for _ in last["9"]]
    assert failing(result) == [3]


def test_twins_that_go_on_parting_fail(smoke):
    result = smoke("figure5")
    last = result["twins"][-1]["rel_l1"]
    last["9"] = [2.0 * (step / len(last["9"])) ** 6 for step in range(len(last["9"]))]
    assert failing(result) == [3]


def test_that_every_restrained_run_amplifies_would_hold_if_it_did(smoke):
    result = smoke("figure5")
    assert "0.04" in FIGURE5.claims(result)[4]["reason"]
    run_at(result, 0.04)["rel_l1"]["3"][-1] = 1.0
    assert failing(result) == [4]


@pytest.mark.parametrize("value", [1e-6, None])
def test_a_last_bit_that_survives_convergence_fails(value, smoke):
    result = smoke("figure5")
    run_at(result, 0.02)["rel_l1"]["3"][-1] = value
    assert failing(result) == [5]


def test_the_finding_names_the_bands_and_the_curves(smoke):
    losses, twins = FIGURE5.draw(smoke("figure5"))
    assert losses.title == (
        "Training converges from lr 0.01 to 0.03, oscillates from lr 0.04 to 0.1 and blows up from lr 0.105 to 0.11"
    )
    assert len(losses.rows) == 7
    assert [row["curve"] for row in twins.rows] == [
        "lr = 0.03, k = 3",
        *(f"lr = 0.07, k = {k}" for k in (3, 5, 7, 9, 11)),
    ]
    assert twins.title.endswith("and 2 at lr 0.07")
