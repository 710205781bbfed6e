"""The horizon by activation."""

import pytest

from lastbit.paper.item import Work
from lastbit.paper.items.beta import BETA, twins


def test_relu_parts_and_swish_does_not(smoke):
    result = smoke("beta")
    by_name = {row["name"]: row for row in result["activations"]}
    assert by_name["ReLU"]["horizons"][0] is not None
    assert by_name["Swish, β = 1"]["horizons"] == [None]
    assert by_name["Swish, β = 1"]["never"] == 1
    for run in result["runs"]:
        level, at = result["settings"]["level"], run["horizon"]
        before = run["rel_l1"] if at is None else run["rel_l1"][: at - 1]
        assert max(before) <= level
        assert at is None or run["rel_l1"][at - 1] > level
    # Without a kink nothing can flip.
    assert [run["first_flip"] is None for run in result["runs"]] == [True, True, False]


@pytest.mark.parametrize(
    ("horizons", "relu", "steps", "expected"),
    [
        ([None], [40], 96, [True, None, True]),
        ([None], [60], 96, [True, None, None]),  # too short to be twice as far
        ([85], [40], 96, [True, False, True]),  # parted, and far from ReLU
        ([70], [40], 96, [True, True, False]),
        ([None], [None], 96, [False, None, None]),
    ],
)
def test_what_short_runs_leave_undecided(horizons, relu, steps, expected, smoke):
    result = smoke("beta")
    for row, found in ((result["activations"][0], horizons), (result["activations"][-1], relu)):
        known = [step for step in found if step is not None]
        row.update(horizons=found, never=len(found) - len(known), median=known[0] if known else None)
        row["range"] = [min(known), max(known)] if known else None
    result["settings"]["steps"] = steps
    assert [made["holds"] for made in BETA.claims(result)][:3] == expected


def test_a_run_has_as_many_steps_as_asked_and_is_kept(tmp_path):
    settings = {**BETA.scales["smoke"].settings, "betas": [None], "steps": 2, "seeds": [3]}
    first = BETA.run(settings, Work(tmp_path))
    assert [run["step"] for run in first["runs"]] == [[1, 2]]
    assert len(list(tmp_path.glob("twins-*.json"))) == 1
    assert BETA.run(settings, Work(tmp_path)) == first


def test_equal_noise_keeps_twins_together():
    changes = ["data.train=128", "data.test=100", "batch_size=64"]
    found = twins(recipe="demo", changes=changes, seed=1, steps=2, ks=[1, 2])
    assert found["rel_l1"] == [0.0, 0.0]
    assert found["churn"] == 0.0


def test_the_drawings_name_the_horizons(smoke):
    result = smoke("beta")
    curves, horizons = BETA.draw(result)
    assert [row["curve"] for row in curves.rows] == ["Swish, β = 1", "Swish, β = 300", "ReLU"]
    relu = result["activations"][-1]["median"]
    assert horizons.title == f"Median horizon with Swish, β = 1: beyond the run; with ReLU: step {relu:,.0f}"
    assert {row["kind"] for row in horizons.rows} == {"beyond the run", "passed"}
