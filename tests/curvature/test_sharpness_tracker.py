"""The tracker on real training against dense float64 Hessians."""

import math
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call

from lastbit.curvature import SharpnessTracker
from lastbit.optimizers import edge_of_stability

CE = nn.CrossEntropyLoss()


def network(dtype: torch.dtype = torch.float64, seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3)).to(dtype)


def batch(dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    inputs = 2 * torch.randn(30, 4, generator=generator, dtype=torch.float64)
    return inputs.to(dtype), torch.randint(3, (30,), generator=generator)


def dense(model: nn.Module, data: tuple[Tensor, Tensor]) -> Tensor:
    weights = {name: p.detach().double() for name, p in model.named_parameters()}
    sizes = [w.numel() for w in weights.values()]

    def value(flat: Tensor) -> Tensor:
        parts = zip(weights.items(), flat.split(sizes), strict=True)
        state = {name: part.reshape(weight.shape) for (name, weight), part in parts}
        return CE(functional_call(model, state, (data[0].double(),)), data[1])

    return torch.autograd.functional.hessian(value, torch.cat([w.reshape(-1) for w in weights.values()]))


def descend(model: nn.Module, data: tuple[Tensor, Tensor], optimizer: torch.optim.Optimizer) -> None:
    optimizer.zero_grad()
    CE(model(data[0]), data[1]).backward()
    optimizer.step()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize(("lr", "k"), [(0.1, 1), (0.6, 1), (0.6, 3), (2.0, 2)])
def test_every_step_of_a_training_is_certified(lr: float, k: int, dtype: torch.dtype) -> None:
    """At lr 2 the training is beyond its edge and turns the eigenvectors at every step."""
    model, data = network(dtype), batch(dtype)
    optimizer = torch.optim.SGD(model.parameters(), lr=lr)
    tracker = SharpnessTracker(model, CE, data, k, probe_every=7)
    slack = 1e-5 if dtype == torch.float32 else 1e-12
    for _ in range(15):
        result = tracker.measure()
        exact_all = torch.linalg.eigvalsh(dense(model, data)).flip(0)
        exact = exact_all[:k]
        found = (result.values, result.uppers, result.residuals)
        values, uppers, residuals = (torch.tensor(numbers, dtype=torch.float64) for numbers in found)
        assert bool((values <= exact + slack * exact[0]).all())
        assert bool((exact <= uppers + slack * exact[0]).all())
        nearest = (values[:, None] - exact_all).abs().amin(1)
        assert bool((nearest <= residuals + slack * exact[0]).all())
        assert result.converged
        assert result.lower - slack * exact[0] <= exact[0] <= result.upper + slack * exact[0]
        assert result.upper - result.sharpness <= 1e-3 * result.sharpness
        descend(model, data, optimizer)


def test_fields_agree_with_each_other() -> None:
    tracker = SharpnessTracker(network(), CE, batch(), 2)
    first, second = tracker.measure(), tracker.measure()
    assert (first.values[0], first.residuals[0]) == (first.sharpness, first.residual)
    assert (first.lower, first.upper) == (first.sharpness, first.uppers[0])
    assert first.upper <= first.sharpness + first.residual
    assert first.probed > 0
    assert first.matvecs >= first.probed
    assert (second.matvecs, second.probed, second.probe_age) == (2, 0, 1)
    assert second.miss_probability <= 0.01
    assert second.seconds > 0
    vectors = tracker.vectors
    torch.testing.assert_close(vectors @ vectors.T, torch.eye(2, dtype=torch.float64))


def test_probes_come_round_and_when_the_weights_have_moved() -> None:
    model = network()
    tracker = SharpnessTracker(model, CE, batch(), probe_every=3)
    ages = [tracker.measure().probe_age for _ in range(7)]
    assert ages == [0, 1, 2, 0, 1, 2, 0]
    seldom = SharpnessTracker(model, CE, batch(), probe_every=0)
    assert [seldom.measure().probe_age for _ in range(3)] == [0, 1, 2]
    with torch.no_grad():
        model[0].weight.mul_(1.5)
    assert seldom.measure().probe_age == 0


class Apart(nn.Module):
    """A quadratic in two blocks of weights: scaling moves curvature from one to the other, in fixed directions."""

    def __init__(self) -> None:
        super().__init__()
        self.left = nn.Parameter(torch.ones(20, dtype=torch.float64))
        self.right = nn.Parameter(torch.ones(20, dtype=torch.float64))

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs @ (self.left**4 + self.right**4)


def test_a_top_that_moved_to_an_orthogonal_block_is_noticed() -> None:
    model = Apart()
    data = torch.ones(1, 20, dtype=torch.float64), torch.zeros(1)

    def loss(outputs: Tensor, _: Tensor) -> Tensor:
        return outputs.mean()

    with torch.no_grad():
        model.left.copy_(torch.linspace(0.1, 2, 20))
        model.right.fill_(0.1)
    tracker = SharpnessTracker(model, loss, data, probe_every=0)
    assert math.isclose(tracker.measure().sharpness, 12 * 2.0**2, rel_tol=1e-5)
    with torch.no_grad():
        model.right[4] = 3.0  # the old top is an eigenvector still
    assert math.isclose(tracker.measure().sharpness, 12 * 3.0**2, rel_tol=1e-5)


def test_after_a_catapult_the_old_vectors_are_not_trusted() -> None:
    model, data = network(), batch()
    tracker = SharpnessTracker(model, CE, data)
    tracker.measure()
    model.load_state_dict(network(seed=9).state_dict())
    result = tracker.measure()
    exact = float(torch.linalg.eigvalsh(dense(model, data))[-1])
    assert result.probed > 0
    assert abs(result.sharpness - exact) <= result.residual + 1e-12


def test_a_layer_alone_and_weight_decay() -> None:
    model, data = network(), batch()
    block = dense(model, data)[40:, 40:]
    tracker = SharpnessTracker(model, CE, data, tol=1e-7, parameters="2.*", weight_decay=0.25)
    assert math.isclose(tracker.measure().sharpness, float(torch.linalg.eigvalsh(block)[-1]) + 0.25, rel_tol=1e-9)


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_an_adaptive_optimizer_measures_its_preconditioned_sharpness(decay: float) -> None:
    model, data = network(), batch()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2, weight_decay=decay, betas=(0.8, 0.95))
    for _ in range(5):
        descend(model, data, optimizer)
    steps, states = 5, [optimizer.state[p] for p in model.parameters()]
    root = torch.cat([s["exp_avg_sq"].reshape(-1) for s in states]).sqrt() / math.sqrt(1 - 0.95**steps)
    diagonal = (1 - 0.8**steps) * (root + 1e-8)
    # P^-1 H is not symmetric: its eigenvalues by a general solver.
    product = (dense(model, data) + decay * torch.eye(67, dtype=torch.float64)) / diagonal[:, None]
    exact = float(torch.linalg.eigvals(product).real.max())
    result = SharpnessTracker(model, CE, data, tol=1e-6, optimizer=optimizer).measure()
    assert math.isclose(result.sharpness, exact, rel_tol=1e-8)
    (bound,) = edge_of_stability(optimizer)
    assert math.isclose(bound.normalised(result.sharpness), 2 * exact * 0.01 * 0.2 / (2 * 1.8), rel_tol=1e-7)


def test_half_precision_says_that_it_cannot_converge() -> None:
    model, data = network(torch.bfloat16), batch(torch.bfloat16)
    result = SharpnessTracker(model, CE, data).measure()
    exact = float(torch.linalg.eigvalsh(dense(model, data))[-1])
    assert math.isclose(result.sharpness, exact, rel_tol=0.1)
    assert result.converged == (result.upper - result.sharpness <= 1e-3 * result.sharpness)


def test_a_diverged_model_is_marked_and_measuring_goes_on_after_it() -> None:
    model, data = network(), batch()
    tracker = SharpnessTracker(model, CE, data)
    before, state = tracker.measure(), {name: value.clone() for name, value in model.state_dict().items()}
    with torch.no_grad():
        model[0].weight[0, 0] = torch.nan
    lost = tracker.measure()
    assert lost.diverged
    assert not before.diverged
    assert math.isnan(lost.sharpness)
    assert (lost.matvecs, lost.converged) == (0, False)
    with pytest.raises(ValueError, match="no eigenvectors"):
        _ = tracker.vectors
    model.load_state_dict(state)
    assert math.isclose(tracker.measure().sharpness, before.sharpness, rel_tol=1e-5)


def test_a_loss_that_overflows_is_marked() -> None:
    model, data = network(torch.float32), batch(torch.float32)
    with torch.no_grad():
        model[2].weight.fill_(1e30)
    tracker = SharpnessTracker(model, lambda z, y: (z**2).mean(), data)
    assert tracker.measure().diverged


MISTAKES: dict[str, tuple[dict[str, Any], str]] = {
    "k too large": ({"k": 68}, "k=68 is not allowed; the chosen parameters have 67 entries"),
    "k zero": ({"k": 0}, "k=0 is not allowed"),
    "tol": ({"tol": 0.0}, r"tol=0\.0 is not allowed"),
    "budget": ({"max_matvecs": 0}, "max_matvecs=0 is not allowed"),
    "probes": ({"probe_every": -1}, "probe_every=-1 is not allowed"),
    "two decays": (
        {"optimizer": torch.optim.SGD([nn.Parameter(torch.ones(1))]), "weight_decay": 0.1},
        "give one of the two",
    ),
    "glob": ({"parameters": "3.*"}, r"matches no trainable parameter"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_each_wrong_option_is_named(mistake: str) -> None:
    options, message = MISTAKES[mistake]
    with pytest.raises(ValueError, match=message):
        SharpnessTracker(network(), CE, batch(), **options)


def test_random_losses_are_refused_at_the_first_measurement() -> None:
    model = nn.Sequential(network(), nn.Dropout(0.5))
    refused: Callable[[], object] = SharpnessTracker(model, CE, batch()).measure
    with pytest.raises(ValueError, match="draws random numbers"):
        refused()


def test_a_measurement_does_not_import_the_compiler() -> None:
    """Which takes seconds, and is needed by nothing."""
    program = """if True:
        import sys, torch, lastbit as lb
        model, data = torch.nn.Linear(3, 2), (torch.randn(6, 3), torch.arange(6) % 2)
        assert lb.SharpnessTracker(model, torch.nn.functional.cross_entropy, data).measure().sharpness > 0
        print("torch._dynamo" in sys.modules)
    """
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
