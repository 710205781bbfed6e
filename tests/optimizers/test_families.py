"""A family of optimizers in a user's module: perturbed, held against its edge, measured, and named by a recipe."""

import math
import pickle
import sys
from typing import ClassVar

import pytest
import torch
from torch import nn

import lastbit as lb
from lastbit.optimizers import Arguments, Family, edge_of_stability, preconditioner
from lastbit.optimizers.family import FAMILIES, arguments_of, build_optimizer
from lastbit.training.catalogue import load_recipe
from lastbit.training.loop import recipe_stepper
from lastbit.training.task import prepare


class Averaged(torch.optim.Optimizer):
    """Gradient descent along an average of gradients, a <- rho a + (1 - rho) g."""

    def __init__(self, params, lr, rho=0.5, weight_decay=0.0):
        super().__init__(params, {"lr": lr, "rho": rho, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure=None):
        loss = None if closure is None else torch.enable_grad()(closure)()
        for group in self.param_groups:
            AveragedFamily().step(self, group, 1)
        return loss


class AveragedArguments(Arguments):
    rho: float = 0.5


class AveragedFamily(Family):
    classes: ClassVar = {"averaged": Averaged}
    arguments = AveragedArguments

    def step(self, optimizer, group, k):
        for param in group["params"]:
            if param.grad is not None:
                grad = param.grad.add(param, alpha=group["weight_decay"])
                average = optimizer.state[param].setdefault("average", torch.zeros_like(param))
                average.mul_(group["rho"]).add_(grad, alpha=1 - group["rho"])
                param.add_(average / k, alpha=-(group["lr"] * k))

    def edge(self, group, state):
        return 2 * (1 + group["rho"]) / (1 - group["rho"]), "2(1+r)/((1-r) lr)"


class Signed(torch.optim.Optimizer):
    def __init__(self, params):
        super().__init__(params, {"lr": 0.1})


class SignedFamily(Family):
    classes: ClassVar = {"signed": Signed}
    without_edge: ClassVar = {"Signed": "its steps do not shrink"}


OWN = {name: FAMILIES._classes.pop(name) for name in ("averaged", "signed")}  # for these tests alone


@pytest.fixture(autouse=True)
def _own_families(monkeypatch):
    monkeypatch.setattr(FAMILIES, "_classes", FAMILIES.here() | OWN)


def trained(noise=None, steps=5):
    torch.manual_seed(0)
    model = nn.Linear(6, 3)
    optimizer = Averaged(model.parameters(), lr=0.1, weight_decay=0.01)
    if noise is not None:
        optimizer = lb.perturb(optimizer, noise)
    inputs = torch.linspace(-1, 1, 24).reshape(4, 6)
    for _ in range(steps):
        optimizer.zero_grad()
        model(inputs).square().sum().backward()
        optimizer.step()
    return model.weight.detach(), optimizer


def test_it_is_perturbed_by_k_and_its_controls_hold():
    plain, _ = trained()
    for exact in (lb.Scale(1), lb.Scale(2), lb.Ulp(None), lb.Rounding(0, 1)):
        assert torch.equal(trained(exact)[0], plain)
    for noise in (lb.Scale(3), lb.Ulp(1), lb.Rounding(0.5, 1)):
        moved = trained(noise)[0]
        assert not torch.equal(moved, plain)
        torch.testing.assert_close(moved, plain, rtol=1e-5, atol=1e-6)
    _, optimizer = trained(lb.Scale(3))
    assert type(optimizer).__name__ == "PerturbedAveraged"
    assert pickle.loads(pickle.dumps(optimizer)).noise == lb.Scale(3)


def test_it_turns_unstable_at_its_edge():
    def size(curvature):
        weight = nn.Parameter(torch.ones(1, dtype=torch.float64))
        optimizer = Averaged([weight], lr=0.1, rho=0.6)
        for _ in range(400):
            weight.grad = curvature * weight.detach()
            optimizer.step()
        return abs(float(weight.detach()))

    (edge,) = edge_of_stability(Averaged([nn.Parameter(torch.ones(1))], lr=0.1, rho=0.6))
    assert math.isclose(edge.value, 2 * 1.6 / 0.4 / 0.1)
    assert size(edge.value * 0.98) < 1 < size(edge.value * 1.02)
    assert preconditioner(trained()[1]) is None


def test_its_sharpness_is_measured_beside_its_edge():
    model = nn.Linear(3, 1)
    optimizer = Averaged(model.parameters(), lr=0.05, weight_decay=0.1)
    batch = torch.randn(16, 3), torch.randn(16, 1)
    with lb.SharpnessMonitor(model, nn.functional.mse_loss, batch, optimizer, every=1) as monitor:
        nn.functional.mse_loss(model(batch[0]), batch[1]).backward()
        optimizer.step()
    row = monitor.rows[-1]
    assert row.edge == pytest.approx(2 * 1.5 / 0.5 / 0.05)
    assert row.normalised == pytest.approx(2 * row.sharpness / row.edge)


def test_a_recipe_names_it_and_leaves_other_optimizers_arguments_out():
    changes = ("optimizer.name=averaged", "optimizer.rho=0.7", "data.train=128", "data.test=16")
    recipe = load_recipe("demo", scale="smoke", changes=changes)  # the demo's momentum is of no use to it
    assert recipe.model_dump(mode="json")["optimizer"] == {
        "name": "averaged",
        "lr": recipe.optimizer.lr,
        "weight_decay": recipe.optimizer.weight_decay,
        "rho": 0.7,
    }
    assert type(recipe).model_validate(recipe.model_dump(mode="json")) == recipe
    optimizer = build_optimizer(recipe.optimizer, [nn.Parameter(torch.ones(2))])
    assert type(optimizer) is Averaged
    assert optimizer.param_groups[0]["rho"] == 0.7
    stepper = recipe_stepper(recipe, prepare(recipe), lb.Scale(3))
    assert isinstance(stepper.optimizer, Averaged)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ("optimizer.rho=much", r"optimizer\.rho = 'much'"),
        ("optimizer.rhoo=0.5", r"there is no field optimizer\.rhoo"),
        (
            "optimizer.name=averages",
            "there is no optimizer 'averages': allowed are adam, adamw, averaged, rmsprop, sgd",
        ),
    ],
)
def test_a_wrong_argument_is_reported_in_a_line(change, complaint):
    with pytest.raises(ValueError, match=complaint) as caught:
        load_recipe("demo", changes=("optimizer.name=averaged", change))
    assert "\n" not in str(caught.value)


def test_torchs_optimizers_keep_one_table_of_arguments_by_which_trials_are_identified():
    said = load_recipe("demo", changes=("optimizer.name=adam",)).model_dump(mode="json")["optimizer"]
    names = {"name", "lr", "weight_decay", "momentum", "nesterov", "dampening", "betas", "eps"}
    assert set(said) == names
    assert said["momentum"] == load_recipe("demo").optimizer.momentum


def test_rmsprop_is_built_by_a_recipe():
    arguments = arguments_of("rmsprop")(name="rmsprop", lr=0.1, alpha=0.9, centered=True)
    optimizer = build_optimizer(arguments, [nn.Parameter(torch.ones(2))])
    assert type(optimizer) is torch.optim.RMSprop
    assert (optimizer.defaults["alpha"], optimizer.defaults["centered"]) == (0.9, True)


def test_a_family_without_an_edge_says_why_and_one_without_a_step_takes_the_other_noises():
    optimizer = Signed([nn.Parameter(torch.ones(2))])
    with pytest.raises(TypeError, match=r"optimizer is a Signed; allowed are .* \(Signed: its steps do not shrink\)"):
        edge_of_stability(optimizer)
    with pytest.raises(TypeError, match=r"k perturbs .*Averaged themselves, not .*Signed; the noises ulp and rounding"):
        lb.perturb(optimizer, lb.Scale(3))
    with pytest.raises(ValueError, match="there is no optimizer 'signed'"):
        arguments_of("signed")


def test_two_families_of_one_name_are_refused():
    with pytest.raises(
        ValueError, match=r"the optimizer 'sgd' is defined twice, by lastbit\.optimizers\.sgd:SGDFamily"
    ):
        type("Other", (Family,), {"classes": {"sgd": torch.optim.SGD}})


FILE = """
from typing import ClassVar
import torch
from lastbit.optimizers.family import Family

class Nudge(torch.optim.SGD):
    def step(self, closure=None): ...

class NudgeFamily(Family):
    classes: ClassVar = {"nudge": Nudge}
    def step(self, optimizer, group, k): ...
    def edge(self, group, state): return 7.0, "7/lr"
"""
FOUND = """
import sys, torch
if sys.argv[1] == "folder":
    import lastbit.optimizers
    lastbit.optimizers.__path__.append(sys.argv[2])
from lastbit.optimizers import edge_of_stability
from lastbit.optimizers.family import FAMILIES
import lastbit as lb
family = FAMILIES.get("nudge")
optimizer = family.classes["nudge"]([torch.nn.Parameter(torch.ones(1))], lr=1.0)
print(edge_of_stability(optimizer)[0].value, type(lb.perturb(optimizer, lb.Scale(3))).__name__)
"""


@pytest.mark.parametrize("place", ["folder", "entry point"])
def test_a_file_in_the_folder_or_an_installed_package_is_all_that_is_needed(tmp_path, warm_python, place):
    (tmp_path / "nudge.py").write_text(FILE)
    installed = tmp_path / "nudge-1.0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: nudge\nVersion: 1.0\n")
    if place == "entry point":
        (installed / "entry_points.txt").write_text("[lastbit.optimizers]\nnudge = nudge:NudgeFamily\n")
    program = [sys.executable, "-c", FOUND, place, str(tmp_path)]
    said = warm_python.run(program, check=True, env={"PYTHONPATH": str(tmp_path)})
    assert said.stdout.split() == ["7.0", "PerturbedNudge"]
