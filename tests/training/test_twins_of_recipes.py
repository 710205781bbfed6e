"""Twins in lock-step are the trainings that `Training` makes, and ReLU's jump is where the first activation flips."""

import json

import pytest
import torch
from recorded_run import RecordedRun

from lastbit.divergence import churn, relative_l2
from lastbit.noise import Scale
from lastbit.storage.files import to_json
from lastbit.training.catalogue import load_recipe
from lastbit.training.recipe_training import RecipeTraining
from lastbit.training.task import prepare
from lastbit.training.twins import run_twins

SMALL = ("data.train=300", "data.test=100", "batch_size=60", "epochs=2", "schedule.milestones=[1]")


def twins(*changes, k=3, steps=10, **options):
    recipe = load_recipe("demo", changes=(*SMALL, *changes))
    return run_twins(recipe, prepare(recipe), noise=Scale(k), baseline=Scale(1), seed=1, steps=steps, **options)


def test_each_twin_is_the_training_of_its_noise_bit_for_bit():
    found, steps = twins(), []
    runs = [RecordedRun(seed=1, k=k) for k in (1, 3)]
    for run in runs:
        RecipeTraining(load_recipe("demo", changes=(*SMALL, "measure.fluctuation_epochs=9")))(run)
    for step in (1, 2, 4, 5, 10):
        expected = relative_l2(runs[1].weights[step], runs[0].weights[step])
        assert found.history.relative_l2[step - 1] == expected.value
        steps.append(step)
    assert sorted(runs[0].weights) == [1, 2, 3, 4, 5, 10]
    assert found.churn == 100 * churn(runs[0].predictions, runs[1].predictions)
    assert list(found.accuracies) == [run.rows[-1]["test_accuracy"] for run in runs]


def test_a_power_of_two_keeps_twins_identical():
    found = twins(k=2, steps=4)
    assert found.history.relative_l2 == (0.0,) * 4
    assert (found.growth.identical_until, found.growth.segments, found.churn) == (4, (), 0.0)
    assert found.logits.largest == 0


def test_relu_jumps_where_the_first_activation_flips_and_swish_does_not():
    recipe = ("data.train=4000", "data.test=200", "batch_size=128")
    # When an activation first flips depends on the processor's last bits; within an epoch it does for one k at least.
    tried = ((k, twins(*recipe, k=k, steps=31, jump=5.0)) for k in (7, 5, 3, 9, 11))
    k, relu = next((k, found) for k, found in tried if any(found.history.flips))
    jump = relu.growth.jumps[0]
    first = next(step for step, flips in zip(relu.history.steps, relu.history.flips, strict=True) if flips)
    assert jump.step == first
    assert jump.factor > 5
    content = relu.as_json()["growth"]["jumps"][0]
    assert content["flips"] == sum(content["flips_by_module"].values()) == relu.history.flips[first - 1] > 0
    assert content["layer"] in relu.history.norms
    swish = twins(*recipe, "model.activation=swish", k=k, steps=31)
    assert (swish.growth.jumps, swish.history.activations, swish.churn) == ((), 0, 0.0)
    assert swish.history.relative_l2[-1] < relu.history.relative_l2[-1] / 4


@pytest.mark.parametrize(
    "changes",
    [("model.activation=swish",), ('remedy.smooth.to="gelu"', "remedy.clip.norm=0.5"), ("remedy.capped=true",)],
)
def test_linearised_training_predicts_twins_of_recipes_with_their_remedies(changes):
    found = twins(*changes, "model.dropout=0.2", steps=4, linearised=True)
    plain = twins(*changes, "model.dropout=0.2", steps=4)
    assert found.history == plain.history
    assert "linearised" not in plain.as_json()
    assert found.linear.measured == pytest.approx(found.history.relative_l2, rel=1e-6)
    assert max(found.linear.gaps) < 1e-4
    content = json.loads(to_json(found.as_json()))["linearised"]
    assert content["parting"] is None
    assert content["predicted"] == pytest.approx(found.history.relative_l2, rel=1e-4)
    assert "Linearised training predicts the distance throughout, to " in found.verdict


def test_a_prediction_ends_with_a_training_that_diverges():
    found = twins("optimizer.lr=1e30", steps=10, linearised=True)
    assert found.linear.steps == found.history.steps
    assert found.linear.parting().step <= found.history.steps[-1]
    assert json.loads(to_json(found.as_json()))["linearised"]["predicted"][-1] is None
    assert "then they part" in found.verdict
    assert twins(k=2, steps=2, linearised=True).linear.parting() is None


def test_a_diverging_run_ends_where_the_loss_does():
    found = twins("optimizer.lr=1e30", steps=10)
    assert len(found.history.steps) < 10
    assert found.growth.diverged_at == len(found.history.steps)
    assert json.loads(to_json(found.as_json()))["relative_l2"][-1] is None


def test_steps_are_told_as_they_are_taken():
    seen = []
    twins(steps=3, on_step=seen.append)
    assert seen == [1, 2, 3]


@pytest.fixture(autouse=True)
def deterministic():
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)
