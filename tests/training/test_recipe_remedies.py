"""Remedies in a recipe: each acts as its formula says, noise still acts, and a recipe without one is as it was."""

import copy
from types import SimpleNamespace

import pytest
import torch
from recorded_run import RecordedRun
from safetensors.torch import save_file
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR

import lastbit as lb
from lastbit.noise import Scale, Ulp
from lastbit.remedies import Capped
from lastbit.remedies.remedy import REMEDIES
from lastbit.training.catalogue import RecipeError, load_recipe
from lastbit.training.evaluation import evaluate
from lastbit.training.loop import recipe_stepper
from lastbit.training.recipe_training import RecipeRun, RecipeTraining
from lastbit.training.task import prepare

TINY = ("data.train=96", "data.test=50", "batch_size=32", "epochs=4", "schedule.milestones=[2]")
SMALL_MEASURES = ("measure.snapshot_epochs=4", "measure.fluctuation_epochs=9")


@pytest.fixture(scope="module")
def task():
    return prepare(recipe())


def recipe(*changes, name="demo"):
    return load_recipe(name, changes=(*TINY, *SMALL_MEASURES, *changes))


def trained(task, *changes, k=1, noise=None):
    """The stepper at the end of a training, and its run."""
    run = RecordedRun(k=k, noise=noise)
    training = RecipeRun(recipe(*changes), task, run)
    training.train()
    return training.stepper, run


def weights_of(model):
    return torch.cat([weight.detach().flatten() for weight in model.parameters()])


def rates(task, *changes):
    """The learning rate of each of the 12 updates."""
    stepper, found = recipe_stepper(recipe(*changes), task), []
    for _ in range(12):
        found.append(stepper.lr)
        stepper.update()  # without a gradient no weight moves
    return found


def torchs_rates(schedule):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    scheduler, found = schedule(optimizer), []
    for _ in range(12):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return found


def test_a_recipe_without_a_remedy_says_nothing_of_remedies():
    assert "remedy" not in RecipeTraining(recipe()).settings
    assert RecipeTraining(recipe("remedy.lr=0.5")).settings["remedy"] == {"lr": {"factor": 0.5}}


def test_one_way_or_another_to_write_a_remedy_is_the_same_training():
    short, long = recipe("remedy.smooth=silu"), recipe('remedy.smooth={to="silu", width=1.0}')
    assert RecipeTraining(short).settings == RecipeTraining(long).settings


@pytest.mark.parametrize(
    "change", ["remedy.smoth=silu", "remedy.average=2.0", "remedy=3", "remedy={compensated=true, capped=0.9}"]
)
def test_a_wrong_remedy_is_a_wrong_recipe(change):
    with pytest.raises(RecipeError, match=r"demo: remedy"):
        recipe(change)


# What a recipe needs so that a remedy has something to change.
NEEDS = {"compensated": ["dtype=bfloat16"], "stochastic_rounding": ["dtype=bfloat16"], "float64": []}


@pytest.mark.parametrize("name", sorted(REMEDIES.here().keys() - {"same_order", "distil"}))
def test_with_each_remedy_powers_of_two_change_no_bit_and_the_last_bit_still_acts(task, name):
    change = "epochs=2", f"remedy.{name}=true", *NEEDS.get(name, [])
    last_bit = Scale(3)
    if name in NEEDS:
        task, last_bit = prepare(recipe(*change)), Ulp(1)  # what k does to an update is below the bits of a weight
    one, two, three = (trained(task, *change, noise=noise) for noise in (Scale(1), Scale(2), last_bit))
    models = [weights_of(stepper.model) for stepper, _ in (one, two, three)]
    assert torch.equal(models[0], models[1])
    assert one[1].rows == two[1].rows
    distance = (models[0] - models[2]).abs().max()
    assert 0 < distance < (3e-2 if name in NEEDS else 1e-2)


def test_the_rate_is_multiplied_along_the_whole_schedule(task):
    assert rates(task, "remedy.lr=0.25") == pytest.approx([0.25 * rate for rate in rates(task)])
    assert rates(task)[5:7] == pytest.approx([0.1, 0.01])


def test_the_warm_up_is_torchs_linear_one_on_top_of_the_schedule(task):
    by_torch = torchs_rates(lambda optimizer: LinearLR(optimizer, 1 / 4, total_iters=3))
    assert rates(task, "remedy.warmup=4", "schedule.milestones=[]") == pytest.approx(by_torch)
    assert rates(task, "remedy.warmup=4")[4:] == pytest.approx(rates(task)[4:])


@pytest.mark.parametrize("to", [0.0, 0.1])
def test_the_cosine_is_torchs_and_stands_in_for_the_schedule(task, to):
    by_torch = torchs_rates(lambda optimizer: CosineAnnealingLR(optimizer, 12, eta_min=to * 0.1))
    assert rates(task, f"remedy.anneal={to}") == pytest.approx(by_torch, abs=1e-12)


def test_several_remedies_of_the_rate_are_all_there(task):
    both = rates(task, "remedy.warmup=4", "remedy.lr=0.5", "remedy.anneal=true")
    alone = rates(task, "remedy.anneal=true")
    assert both == pytest.approx([0.5 * min(1, (step + 1) / 4) * rate for step, rate in enumerate(alone)])


def test_a_clipped_step_is_that_of_the_gradient_at_the_largest_norm(task):
    settings = ("optimizer.momentum=0.0", "optimizer.nesterov=false", "optimizer.weight_decay=0.0")
    batch = task.fixed_batch(32)
    free, clipped = (recipe_stepper(recipe(*settings, *more), task) for more in ((), ("remedy.clip=0.01",)))
    before = weights_of(free.model)
    for stepper in (free, clipped):
        stepper.take(batch)
    free_step, step = (before - weights_of(stepper.model) for stepper in (free, clipped))
    assert free_step.norm() / 0.1 > 0.1
    assert step.norm() / 0.1 == pytest.approx(0.01, rel=1e-3)
    assert torch.nn.functional.cosine_similarity(step, free_step, dim=0) == pytest.approx(1, abs=1e-4)


def test_averaging_leaves_the_training_as_it_was_bit_for_bit(task):
    (plain, _), (averaged, run) = trained(task), trained(task, "remedy.average=0.8")
    assert torch.equal(weights_of(plain.model), weights_of(averaged.model))
    for name, buffer in plain.model.named_buffers():
        assert torch.equal(buffer, dict(averaged.model.named_buffers())[name]), name
    kept = torch.cat([weight.flatten() for weight in run.weights[12].values()])
    assert not torch.equal(kept, weights_of(plain.model))


def test_what_is_kept_and_evaluated_is_the_exponential_average(task):
    stepper, run = trained(task, "remedy.average=0.8")
    again, by_hand = recipe_stepper(recipe(), task, Scale(1)), None
    epochs = task.epochs(1)
    for _ in range(4):
        for batch in next(epochs):
            again.take(batch)
            now = weights_of(again.model).double()
            by_hand = now if by_hand is None else 0.8 * by_hand + 0.2 * now
    kept = torch.cat([weight.flatten() for weight in run.weights[12].values()])
    assert torch.allclose(kept.double(), by_hand, atol=1e-6)
    model = copy.deepcopy(again.model)
    torch.nn.utils.vector_to_parameters(by_hand.float(), model.parameters())
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.reset_running_stats()
            module.momentum = None
    for images, _ in next(task.epochs(0)):
        model.train()(images)
    assert run.rows[-1]["test_loss"] == pytest.approx(evaluate(model, task).loss, rel=1e-4)
    assert run.rows[-1]["test_loss"] != pytest.approx(evaluate(stepper.model, task).loss, rel=1e-3)


def test_a_uniform_average_begins_where_it_is_told(task):
    stepper, _ = trained(task, 'remedy.average={decay="uniform", start=10}')
    assert stepper.average.updates == 2
    late, _ = trained(task, 'remedy.average={decay="uniform", start=12}')
    assert torch.equal(weights_of(late.evaluated_model), weights_of(late.model))  # nothing to average yet


def test_caps_hold_the_rate_below_the_edge_and_leave_the_schedule_alone(task):
    stepper, run = trained(task, "remedy.capped={margin=0.5, every=4}")
    assert isinstance(stepper.optimizer, Capped)
    assert [cap.step for cap in stepper.optimizer.caps] == [0, 4, 8]
    assert [row["lr"] for row in run.rows] == pytest.approx([0.1, 0.1, 0.01, 0.01])
    _, tight = trained(task, "remedy.capped={margin=1e-6, every=4}")
    plain = recipe_stepper(recipe(), task)
    moved = torch.cat([weight.flatten() for weight in tight.weights[12].values()]) - weights_of(plain.model)
    assert moved.abs().max() < 1e-4  # next to no rate is left


class Kept(RecordedRun):
    """A run that keeps its last checkpoint, and goes on from a given one."""

    def __init__(self, checkpoint=None):
        super().__init__()
        self.checkpoint = checkpoint

    def save_checkpoint(self, step, state):
        self.checkpoint = SimpleNamespace(step=step, state=copy.deepcopy(state))

    def load_checkpoint(self):
        return copy.deepcopy(self.checkpoint)


@pytest.mark.parametrize(
    "remedy",
    [
        "average={decay=0.8, start=5}",
        "anneal=true",
        "warmup=8",
        "compensated=true",
        "stochastic_rounding=true",
        "snapshots={last=2, every=3}",
    ],
)
def test_a_training_goes_on_from_a_checkpoint_to_the_same_bits(task, remedy):
    change = f"remedy.{remedy}", *NEEDS.get(remedy.partition("=")[0], [])
    if len(change) > 1:
        task = prepare(recipe(*change))
    first = Kept()
    RecipeRun(recipe(*change), task, first).train(checkpoint_every=2)
    second = Kept(first.checkpoint)
    RecipeRun(recipe(*change), task, second).train()
    assert second.rows == first.rows[2:]
    assert all(torch.equal(weight, second.weights[12][name]) for name, weight in first.weights[12].items())


@pytest.mark.parametrize(("parts", "count"), [("linear", 2), ("loss/blocks.1/blocks.2.1", 5), ("loss", 0)])
def test_parts_in_float64_are_trained_in_it(task, parts, count):
    stepper, run = trained(task, "epochs=1", "schedule.milestones=[]", f'remedy.float64="{parts}"')
    formats = [weight.dtype for weight in run.weights[3].values()]
    assert (formats.count(torch.float64), formats.count(torch.float32)) == (count, len(formats) - count)
    plain, _ = trained(task, "epochs=1", "schedule.milestones=[]")
    pairs = zip(stepper.model.parameters(), plain.model.parameters(), strict=True)
    assert 0 < max((one - other).abs().max() for one, other in pairs) < 1e-4


def test_the_first_of_an_ensemble_is_the_network_of_the_recipe_bit_for_bit_and_the_mean_is_evaluated(task):
    settings = ("epochs=2", "schedule.milestones=[]")
    (plain, alone), (ensemble, run) = trained(task, *settings), trained(task, *settings, "remedy.ensemble=2")
    assert torch.equal(weights_of(plain.model), weights_of(ensemble.model.networks[0]))
    losses = [evaluate(network, task).loss for network in ensemble.model.networks]
    assert losses[0] == pytest.approx(alone.rows[-1]["test_loss"])
    assert run.rows[-1]["test_loss"] < sum(losses) / 2  # Jensen's inequality


def test_a_recipe_is_distilled_from_weights_that_a_trial_stored(task, tmp_path):
    settings = ("epochs=2", "schedule.milestones=[]")
    teacher, earlier = trained(task, *settings)
    file = tmp_path / "earlier.safetensors"
    save_file({name: weight.contiguous() for name, weight in earlier.weights[6].items()}, file)
    follow = "init_seed=5", f'remedy.distil={{teacher="{file}", weight=0.9}}'
    _, kept = trained(task, *settings, *follow)
    assert list(kept.weights[6]) == list(earlier.weights[6])
    images, labels = batch = task.fixed_batch(32)
    plain, given = recipe_stepper(recipe("init_seed=5"), task).model(images), teacher.model.train()(images)
    expected = 0.1 * torch.nn.functional.cross_entropy(plain, labels) + 0.9 * lb.remedies.towards(plain, given)
    torch.testing.assert_close(recipe_stepper(recipe(*follow), task).gradient(batch), expected.detach())


def test_snapshots_are_evaluated_as_their_mean_and_the_training_stays(task):
    settings = ("epochs=2", "schedule.milestones=[]")
    (plain, _), (stepper, run) = (
        trained(task, *settings),
        trained(task, *settings, "remedy.snapshots={last=2, every=3}"),
    )
    assert torch.equal(weights_of(plain.model), weights_of(stepper.model))
    losses = [evaluate(network, task).loss for network in stepper.average._kept]
    assert losses[1] == pytest.approx(evaluate(plain.model, task).loss)
    assert run.rows[-1]["test_loss"] < sum(losses) / 2


def test_that_a_recipe_has_a_fixed_order_already_is_said(task):
    with pytest.warns(UserWarning, match="trials of a recipe have one thread and fixed kernels"):
        recipe_stepper(recipe("remedy.same_order=true"), task)


def test_caps_and_checkpoints_are_refused_together():
    with pytest.raises(ValueError, match="a training with the remedy capped would not go on to the same bits"):
        RecipeTraining(recipe("remedy.capped=0.9"), checkpoint_every=2)


def test_a_network_without_kinks_is_said_and_trained_as_it_is(task):
    settings = ("model.activation=swish", "epochs=1", "schedule.milestones=[]")
    plain, _ = trained(task, *settings)
    with pytest.warns(UserWarning, match="no kinked activation was replaced"):
        smoothed, _ = trained(task, *settings, "remedy.smooth=silu")
    assert torch.equal(weights_of(plain.model), weights_of(smoothed.model))


def test_smoothed_relus_are_the_swish_of_the_papers_networks(task):
    settings = ("epochs=1", "schedule.milestones=[]")
    swish, _ = trained(task, *settings, "model.activation=swish")
    smoothed, _ = trained(task, *settings, "remedy.smooth=silu")
    assert torch.equal(weights_of(swish.model), weights_of(smoothed.model))
