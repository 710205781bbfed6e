"""Both edges of each optimizer against the linear maps that its own steps are, at a frozen preconditioner, in float64.

A step is read off the optimizer: it is linear in the weight w, its memory a and the gradient g. With g = c w it is a
matrix of two rows, whose spectral radius passes 1 at the edge of full batches. With g = x (x'w), x of squared length r
and uniform direction in d dimensions (one sample of a linear model: batch sharpness r), the mean squares of w and a and
the mean of their product follow a matrix of three rows, whose spectral radius passes 1 at the edge of small batches.
"""

import math
import sys
import types
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import lastbit as lb
from lastbit.optimizers import edge_of_stability, preconditioner

SLOW = 1 - 1e-15  # an average of squares that no longer changes
LR = 0.3
DIMENSIONS = 1e6


class SGDScheduleFree(torch.optim.Optimizer):
    """Defazio et al. 2024, equations 3 to 5, as the package of that name keeps its state."""

    def __init__(self, params: Any, lr: float, momentum: float = 0.9, weight_decay: float = 0.0, **own: Any) -> None:
        counts = {"k": 0, "r": 0.0, "lr_max": -1.0, "weight_lr_power": 2.0, "weight_sum": 0.0, "warmup_steps": 0}
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, **counts, **own})

    def direction(self, weight: Tensor, group: dict[str, Any]) -> Tensor:
        """What z moves along."""
        return weight.grad + group["weight_decay"] * weight

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:
        """z' = z - lr g(y), x' = (1-s) x + s z', y = (1-b) z + b x; the weight is y."""
        for group in self.param_groups:
            warm = min(1.0, (group["k"] + 1) / group["warmup_steps"]) if group["warmup_steps"] else 1.0
            rate, b = group["lr"] * warm, group["betas"][0] if "betas" in group else group["momentum"]
            group["lr_max"] = max(rate, group["lr_max"])
            share = (group["k"] + 1) ** group["r"] * group["lr_max"] ** group["weight_lr_power"]
            group["weight_sum"] += share
            for y in group["params"]:
                z = self.state[y].setdefault("z", y.detach().clone())
                x = (y - (1 - b) * z) / b
                z -= rate * self.direction(y, group)
                x += share / group["weight_sum"] * (z - x)
                y.copy_((1 - b) * z + b * x)
            group["k"] += 1


class AdamWScheduleFree(SGDScheduleFree):
    def __init__(self, params: Any, lr: float, betas: Any = (0.9, SLOW), weight_decay: float = 0.0) -> None:
        super().__init__(params, lr, weight_decay=weight_decay, betas=betas, eps=1e-8)

    def direction(self, weight: Tensor, group: dict[str, Any]) -> Tensor:
        squares = self.state[weight].setdefault("exp_avg_sq", torch.zeros_like(weight))
        beta2 = group["betas"][1]
        squares.mul_(beta2).addcmul_(weight.grad, weight.grad, value=1 - beta2)
        root = (squares / (1 - beta2 ** (group["k"] + 1))).sqrt() + group["eps"]
        return weight.grad / root + group["weight_decay"] * weight


@pytest.fixture(autouse=True)
def _schedulefree(monkeypatch: pytest.MonkeyPatch) -> None:
    package = types.SimpleNamespace(SGDScheduleFree=SGDScheduleFree, AdamWScheduleFree=AdamWScheduleFree)
    monkeypatch.setitem(sys.modules, "schedulefree", package)


@dataclass(frozen=True)
class Case:
    kind: type[torch.optim.Optimizer]
    options: dict[str, Any] = field(default_factory=dict)
    memory: str | None = None  # key of the state beside the weight
    steps: float = 1e18  # taken so far
    group: dict[str, Any] = field(default_factory=dict)  # what steps have made of the group


def nadam(steps: int) -> Case:
    return Case(torch.optim.NAdam, {"betas": (0.8, SLOW), "momentum_decay": 0.1}, "exp_avg", steps)


def schedule_free(kind: type[torch.optim.Optimizer], share: float, **options: Any) -> Case:
    counts = {"k": 7, "lr_max": LR, "weight_sum": LR**2 * (1 / share - 1)}
    return Case(kind, options, "z", group=counts)


FAMILIES = {
    "descent": Case(torch.optim.SGD),
    "heavy ball": Case(torch.optim.SGD, {"momentum": 0.9}, "momentum_buffer"),
    "dampened": Case(torch.optim.SGD, {"momentum": 0.8, "dampening": 0.4}, "momentum_buffer"),
    "Nesterov": Case(torch.optim.SGD, {"momentum": 0.9, "nesterov": True}, "momentum_buffer"),
    "Adam": Case(torch.optim.Adam, {"betas": (0.9, SLOW)}, "exp_avg"),
    "AdamW": Case(torch.optim.AdamW, {"betas": (0.6, SLOW), "weight_decay": 0.0}, "exp_avg"),
    "NAdam, in the end": nadam(10**18),
    "NAdam, tenth step": nadam(10),
    "NAdam, first step": nadam(1),
    "RMSprop": Case(torch.optim.RMSprop, {"alpha": SLOW}),
    "RMSprop, momentum": Case(torch.optim.RMSprop, {"alpha": SLOW, "momentum": 0.7}, "momentum_buffer"),
    "RMSprop, centered": Case(
        torch.optim.RMSprop, {"alpha": SLOW, "momentum": 0.7, "centered": True}, "momentum_buffer"
    ),
    "Adagrad": Case(torch.optim.Adagrad, steps=11),
    "Adagrad, decaying lr": Case(torch.optim.Adagrad, {"lr_decay": 0.5}, steps=11),
    "schedule-free, in the end": schedule_free(SGDScheduleFree, 1e-12),
    "schedule-free, share 0.2": schedule_free(SGDScheduleFree, 0.2, momentum=0.7),
    "schedule-free, warm-up": schedule_free(SGDScheduleFree, 1e-12, warmup_steps=16),
    "schedule-free AdamW": schedule_free(AdamWScheduleFree, 0.1),
}
DECAYED = {
    "NAdam": Case(torch.optim.NAdam, {"betas": (0.8, SLOW), "weight_decay": 0.4}, "exp_avg"),
    "NAdam, decoupled": Case(
        torch.optim.NAdam, {"betas": (0.8, SLOW), "weight_decay": 0.4, "decoupled_weight_decay": True}, "exp_avg"
    ),
    "Adagrad": Case(torch.optim.Adagrad, {"weight_decay": 0.4}, steps=11),
    "schedule-free": schedule_free(SGDScheduleFree, 0.1, weight_decay=0.4),
    "schedule-free AdamW": schedule_free(AdamWScheduleFree, 0.1, weight_decay=0.4),
}


def prepared(case: Case, weight: float, memory: float) -> tuple[torch.optim.Optimizer, nn.Parameter]:
    """An optimizer of one number after `case.steps` steps, just before the next."""
    parameter = nn.Parameter(torch.tensor([weight], dtype=torch.float64))
    optimizer = case.kind([parameter], lr=LR, **case.options)
    squares, zero = torch.tensor([1e20], dtype=torch.float64), torch.zeros(1, dtype=torch.float64)
    done = torch.tensor(case.steps - 1, dtype=torch.float64)
    state = {"step": done, "exp_avg_sq": squares, "square_avg": squares, "sum": squares, "grad_avg": zero}
    state = {key: value.clone() for key, value in state.items()}
    if case.memory is not None:
        state[case.memory] = torch.tensor([memory], dtype=torch.float64)
    if case.kind is torch.optim.NAdam:
        beta, decay = case.options["betas"][0], case.options.get("momentum_decay", 4e-3)
        few = range(1, min(int(case.steps), 3000))
        product = math.prod(beta * (1 - 0.5 * 0.96 ** (count * decay)) for count in few)
        state["mu_product"] = torch.tensor(product, dtype=torch.float64)
    if not issubclass(case.kind, torch.optim.SGD) or case.memory is not None:
        optimizer.state[parameter].update(state)
    optimizer.param_groups[0].update(case.group)
    return optimizer, parameter


def stepped(case: Case, weight: float, memory: float, grad: float) -> tuple[float, float]:
    optimizer, parameter = prepared(case, weight, memory)
    parameter.grad = torch.tensor([grad], dtype=torch.float64)
    optimizer.step()
    kept = 0.0 if case.memory is None else float(optimizer.state[parameter][case.memory])
    return float(parameter.detach()), kept


def step_map(case: Case) -> np.ndarray:
    """(w, a, g) -> (w', a')."""
    return np.array([stepped(case, *basis) for basis in np.eye(3).tolist()]).T


def full_radius(step: np.ndarray, curvature: float) -> float:
    closed = step[:, :2] + np.outer(step[:, 2], [curvature, 0])
    return float(np.abs(np.linalg.eigvals(closed)).max())


def small_radius(step: np.ndarray, curvature: float, dimensions: float) -> float:
    """Of the mean squares (w'w, w'a, a'a), the gradient being x (x'w)."""

    def following(moments: np.ndarray) -> np.ndarray:
        ww, wa, aa = moments
        share = curvature / dimensions
        gram = np.array([[ww, wa, share * ww], [wa, aa, share * wa], [share * ww, share * wa, curvature * share * ww]])
        new = step @ gram @ step.T
        return np.array([new[0, 0], new[0, 1], new[1, 1]])

    return float(np.abs(np.linalg.eigvals(np.array([following(row) for row in np.eye(3)]).T)).max())


def judged(case: Case, batch: str) -> tuple[float, float]:
    """The edge after a step, and by what the curvature is divided there."""
    optimizer, parameter = prepared(case, 1.0, 0.0)
    parameter.grad = torch.zeros(1, dtype=torch.float64)
    optimizer.step()
    (bound,) = edge_of_stability(optimizer, batch=batch)
    diagonal = preconditioner(optimizer)
    return bound.value, 1.0 if diagonal is None else float(diagonal[parameter])


@pytest.mark.parametrize("name", FAMILIES)
def test_full_batches_turn_unstable_at_the_edge(name: str) -> None:
    case, step = FAMILIES[name], step_map(FAMILIES[name])
    edge, divisor = judged(case, "full")
    assert full_radius(step, edge * divisor * (1 - 1e-5)) <= 1 + 1e-11  # schedule-free: the average itself is at 1
    assert full_radius(step, edge * divisor * (1 + 1e-5)) > 1 + 1e-9


@pytest.mark.parametrize("name", [name for name in FAMILIES if not name.startswith("schedule-free")])
def test_small_batches_turn_unstable_at_the_edge(name: str) -> None:
    case, step = FAMILIES[name], step_map(FAMILIES[name])
    edge, divisor = judged(case, "small")
    assert small_radius(step, edge * divisor * 0.999, DIMENSIONS) < 1
    assert small_radius(step, edge * divisor * 1.001, DIMENSIONS) > 1


def test_small_batches_of_schedule_free_lie_between_two_edges() -> None:
    """At least 2/lr, where the average follows quickly; 1 / (1-b) times that where it is slower than the loss."""
    quick, slow = schedule_free(SGDScheduleFree, 0.2), schedule_free(SGDScheduleFree, 1e-9)
    (low, _), (full, _) = judged(quick, "small"), judged(slow, "full")
    assert (low, full) == pytest.approx((2 / LR, 20 / LR))
    for case, edge, dimensions in (quick, low, DIMENSIONS), (slow, full, 100.0):
        step = step_map(case)
        assert small_radius(step, edge * 0.99, dimensions) <= 1 + 1e-8 < small_radius(step, edge * 1.01, dimensions)


@pytest.mark.parametrize("name", DECAYED)
def test_weight_decay_moves_the_edge_of_full_batches(name: str) -> None:
    """`bare` is the edge without the decay's own curvature where it is coupled and not preconditioned."""
    case = DECAYED[name]
    edge, divisor = judged(case, "full")
    coupled = 0.4 if "decoupled" not in name and name != "schedule-free AdamW" else 0.0
    step = step_map(case)  # the decay is in it
    assert full_radius(step, (edge * (1 - 1e-5)) * divisor - coupled) < 1
    assert full_radius(step, (edge * (1 + 1e-5)) * divisor - coupled) > 1


def test_the_three_thresholds_of_the_literature() -> None:
    """20, 2 and 38 at lr 0.1 and momentum 0.9: plain, small batches, full batch; Adam: 20 and 380."""
    weight = [nn.Parameter(torch.ones(1))]
    plain = torch.optim.SGD(weight, lr=0.1)
    heavy = torch.optim.SGD(weight, lr=0.1, momentum=0.9)
    adam = torch.optim.Adam(weight, lr=0.1)
    small = [lb.edge_of_stability(optimizer, batch="small")[0].value for optimizer in (plain, heavy, adam)]
    full = [lb.edge_of_stability(optimizer)[0].value for optimizer in (plain, heavy, adam)]
    assert small == pytest.approx([20, 2, 20])
    assert full == pytest.approx([20, 38, 380])


def test_decay_leaves_small_batches_where_they_were_and_a_wrong_kind_of_batch_is_named() -> None:
    weight = [nn.Parameter(torch.ones(1))]
    adamw = torch.optim.AdamW(weight, lr=0.1, weight_decay=0.5)
    assert lb.edge_of_stability(adamw, batch="small")[0].value == pytest.approx(20)
    with pytest.raises(ValueError, match="batch='mini' is not allowed; give 'full' or 'small'"):
        lb.edge_of_stability(adamw, batch="mini")


@pytest.mark.parametrize("steps", [1, 2, 30])
def test_nadam_divides_by_its_preconditioner(steps: int) -> None:
    """w' = w - lr (p g + q a') / P, with p and q from products of the published schedule."""
    weight = nn.Parameter(torch.ones(5, dtype=torch.float64))
    optimizer = torch.optim.NAdam([weight], lr=0.1, betas=(0.7, 0.9), momentum_decay=0.3)
    generator = torch.Generator().manual_seed(0)
    for _ in range(steps):
        weight.grad = torch.randn(5, generator=generator, dtype=torch.float64)
        before = weight.detach().clone()
        optimizer.step()
    mus = [0.7 * (1 - 0.5 * 0.96 ** (0.3 * count)) for count in range(1, steps + 2)]
    p, q = (1 - mus[-2]) / (1 - math.prod(mus[:-1])), mus[-1] / (1 - math.prod(mus))
    scale = preconditioner(optimizer)
    assert scale is not None
    along = 0.1 * (p * weight.grad + q * optimizer.state[weight]["exp_avg"])
    torch.testing.assert_close(before - weight.detach(), along / scale[weight])


def test_adagrad_without_a_step_or_a_gradient() -> None:
    """It makes its state before its first step."""
    used, unused = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(3))
    optimizer = torch.optim.Adagrad([used, unused], lr=0.1, lr_decay=0.5)
    with pytest.raises(ValueError, match="Adagrad has taken no step yet"):
        preconditioner(optimizer)
    for _ in range(3):
        used.grad = torch.full((2,), 2.0)
        optimizer.step()
    scale = preconditioner(optimizer)
    assert scale is not None
    torch.testing.assert_close(scale[used], torch.full((2,), 2 * math.sqrt(12)))
    assert float(scale[unused].min()) > 1e29


def muon_run(factor: float, curved: Tensor, steps: int) -> list[Tensor]:
    """Weights along `steps` steps on factor * <W, curved W> / 2."""
    weight = nn.Parameter(torch.linspace(-1, 2, 12).reshape(3, 4))
    optimizer = torch.optim.Muon([weight], lr=0.1)
    seen = []
    for _ in range(steps):
        weight.grad = factor * (curved @ weight.detach())
        optimizer.step()
        seen.append(weight.detach().clone())
    return seen


def test_a_multiple_of_the_loss_gives_muon_the_same_steps() -> None:
    """So no sharpness is its edge: at a million times the curvature the weights are the same to the last bit."""
    curved = torch.diag(torch.tensor([1.0, 3.0, 40.0]))
    flat, sharp = muon_run(1.0, curved, 200), muon_run(2.0**20, curved, 200)
    assert all(torch.equal(one, other) for one, other in zip(flat, sharp, strict=True))
    assert max(float(weight.norm()) for weight in sharp) < 10 * float(sharp[0].norm())
    assert not torch.equal(sharp[-1], sharp[-2])  # it keeps moving


def test_muons_step_raises_a_quadratic_loss_where_its_curvature_is_above_the_rule() -> None:
    curved = torch.diag(torch.tensor([1.0, 3.0, 40.0])).double()
    signs = set()
    for before, after in zip(*(lambda seen: (seen, seen[1:]))(muon_run(1.0, curved.float(), 60)), strict=False):
        start, step = before.double(), (before - after).double()
        change = float(((after.double() * (curved @ after.double())).sum() - (start * (curved @ start)).sum()) / 2)
        rule = float((step * (curved @ step)).sum() - 2 * (step * (curved @ start)).sum())
        assert (change > 0) == (rule > 0)
        signs.add(change > 0)
    assert signs == {True, False}
