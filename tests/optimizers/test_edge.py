"""Edges against the roots of characteristic polynomials and against torch's own optimizers on a quadratic."""

import functools
import math
import types
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import lastbit as lb
from lastbit.optimizers import coupled_weight_decay, edge_of_stability, preconditioner

RATE, MOMENTUM = st.floats(1e-3, 10), st.floats(0.01, 0.99)


def parameter() -> torch.nn.Parameter:
    return torch.nn.Parameter(torch.ones(1, dtype=torch.float64))


def spectral_radius(polynomial: list[float]) -> float:
    return float(np.abs(np.roots(polynomial)).max())


def assert_edge(radius: Any, value: float) -> None:
    """Stable just below the edge and unstable just above it."""
    assert radius(value * (1 - 1e-6)) < 1
    assert radius(value * (1 + 1e-6)) > 1


@given(lr=RATE, m=MOMENTUM, d=st.floats(0, 0.95))
def test_heavy_ball_against_its_roots(lr: float, m: float, d: float) -> None:
    (bound,) = edge_of_stability(torch.optim.SGD([parameter()], lr=lr, momentum=m, dampening=d))
    assert_edge(lambda c: spectral_radius([1, -(1 + m - (1 - d) * lr * c), m]), bound.value)


@given(lr=RATE, m=MOMENTUM)
def test_nesterov_against_its_roots(lr: float, m: float) -> None:
    (bound,) = edge_of_stability(torch.optim.SGD([parameter()], lr=lr, momentum=m, nesterov=True))
    assert_edge(lambda c: spectral_radius([1, -(1 - lr * c) * (1 + m), (1 - lr * c) * m]), bound.value)


@given(lr=RATE, beta=MOMENTUM, decay=st.floats(0, 0.09))
def test_adamw_against_its_roots(lr: float, beta: float, decay: float) -> None:
    """The step as a matrix on (weight, average): w' = (1 - lr decay) w - lr a', a' = beta a + (1 - beta) c w."""
    (bound,) = edge_of_stability(torch.optim.AdamW([parameter()], lr=lr, betas=(beta, 0.9), weight_decay=decay))

    def radius(c: float) -> float:
        average = np.array([(1 - beta) * c, beta])
        step = np.array([np.array([1 - lr * decay, 0]) - lr * average, average])
        return float(np.abs(np.linalg.eigvals(step)).max())

    assert_edge(radius, bound.value)
    assert bound.bare == bound.value


OPTIMIZERS: dict[str, tuple[type[torch.optim.Optimizer], dict[str, Any]]] = {
    "descent": (torch.optim.SGD, {}),
    "descent, decay": (torch.optim.SGD, {"weight_decay": 1.5}),
    "heavy ball": (torch.optim.SGD, {"momentum": 0.7}),
    "dampened, decay": (torch.optim.SGD, {"momentum": 0.7, "dampening": 0.4, "weight_decay": 1.5}),
    "dampening without momentum": (torch.optim.SGD, {"dampening": 0.4}),
    "Nesterov": (torch.optim.SGD, {"momentum": 0.7, "nesterov": True, "weight_decay": 1.5}),
    "Adam": (torch.optim.Adam, {"betas": (0.6, 1 - 1e-15), "weight_decay": 0.5}),
    "Adam, amsgrad": (torch.optim.Adam, {"betas": (0.6, 1 - 1e-15), "amsgrad": True}),
    "AdamW": (torch.optim.AdamW, {"betas": (0.6, 1 - 1e-15), "weight_decay": 0.5}),
    "RMSprop": (torch.optim.RMSprop, {"alpha": 1.0, "weight_decay": 0.5}),
    "RMSprop, momentum": (torch.optim.RMSprop, {"alpha": 1.0, "momentum": 0.7}),
    "RMSprop, centered": (torch.optim.RMSprop, {"alpha": 1.0, "centered": True}),
}


def growth(kind: type[torch.optim.Optimizer], options: dict[str, Any], curvature: float) -> float:
    """Growth factor over 60 steps of a torch optimizer on curvature * w^2 / 2, its preconditioner frozen at 4."""
    weight = parameter()
    optimizer = kind([weight], lr=0.1, **options)
    freeze(optimizer, weight)
    sizes = []
    for _ in range(60):
        weight.grad = curvature * weight.detach()
        optimizer.step()
        sizes.append(abs(float(weight.detach())))
    return max(sizes[-5:]) / max(sizes[:5])


def freeze(optimizer: torch.optim.Optimizer, weight: torch.nn.Parameter) -> None:
    """A state in which averages of squares no longer change: after infinitely many steps, at a root of 4."""
    if isinstance(optimizer, torch.optim.SGD):
        return
    sixteen, zero = torch.full_like(weight, 16.0), torch.zeros_like(weight)
    state = {"step": torch.tensor(1e18, dtype=torch.float64), "exp_avg": zero.clone(), "exp_avg_sq": sixteen.clone()}
    state |= {"square_avg": sixteen.clone(), "max_exp_avg_sq": sixteen.clone()}
    optimizer.state[weight] = state | {"grad_avg": zero.clone(), "momentum_buffer": zero.clone()}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_torch_itself_turns_unstable_at_the_edge(name: str) -> None:
    kind, options = OPTIMIZERS[name]
    optimizer = kind([weight := parameter()], lr=0.1, **options)
    freeze(optimizer, weight)
    scale = preconditioner(optimizer)
    divisor = 1.0 if scale is None else float(scale[weight])
    assert math.isclose(divisor, 1.0 if scale is None else 4.0, rel_tol=1e-6)
    decay = coupled_weight_decay(optimizer)[weight]
    (bound,) = edge_of_stability(optimizer)
    curvature = bound.value * divisor - decay  # so that (curvature + decay) / divisor is at the edge
    assert growth(kind, options, curvature * 0.98) < 1
    assert growth(kind, options, curvature * 1.02) > 1


def test_numbers_of_the_paper() -> None:
    """2, 2(1+m) and (2+2m)/(1+2m) over the lr; normalised, each is 2."""
    for options, units in ({}, 2.0), ({"momentum": 0.9}, 3.8), ({"momentum": 0.9, "nesterov": True}, 3.8 / 2.8):
        (bound,) = edge_of_stability(torch.optim.SGD([parameter()], lr=0.05, **options))
        assert math.isclose(bound.value, units / 0.05)
        assert math.isclose(bound.normalised(units / 0.05), 2)
        assert bound.normalised(0) == 0


def test_coupled_weight_decay_lowers_the_bare_edge() -> None:
    (bound,) = edge_of_stability(torch.optim.SGD([parameter()], lr=0.1, weight_decay=0.5))
    assert (bound.value, bound.bare) == (20, 19.5)


def test_each_group_has_its_edge() -> None:
    first, second = parameter(), parameter()
    groups = [{"params": [first], "lr": 0.1}, {"params": [second], "weight_decay": 1.0, "lr": torch.tensor(0.5)}]
    optimizer = torch.optim.SGD(groups, lr=1.0)
    assert [bound.value for bound in edge_of_stability(optimizer)] == [20, 4]
    assert [bound.bare for bound in edge_of_stability(optimizer)] == [20, 3]
    assert coupled_weight_decay(optimizer) == {first: 0.0, second: 1.0}


def test_a_rate_of_zero_has_no_edge() -> None:
    (bound,) = edge_of_stability(torch.optim.SGD([parameter()], lr=0.0))
    assert (bound.value, bound.normalised(7.0)) == (math.inf, 0)


@settings(max_examples=20)
@given(steps=st.integers(1, 6), seed=st.integers(0, 9))
def test_adams_preconditioner_is_what_its_next_step_divides_by(steps: int, seed: int) -> None:
    """The last step is lr * exp_avg / P, for torch forms both bias corrections in it."""
    weight = torch.nn.Parameter(torch.ones(5, dtype=torch.float64))
    optimizer = torch.optim.Adam([weight], lr=0.1, betas=(0.7, 0.9))
    generator = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        weight.grad = torch.randn(5, generator=generator, dtype=torch.float64)
        before = weight.detach().clone()
        optimizer.step()
    scale = preconditioner(optimizer)
    assert scale is not None
    torch.testing.assert_close(before - weight.detach(), 0.1 * optimizer.state[weight]["exp_avg"] / scale[weight])


def test_wrong_optimizers_are_named() -> None:
    with pytest.raises(TypeError, match="Adadelta; allowed are"):
        edge_of_stability(torch.optim.Adadelta([parameter()]))
    with pytest.raises(TypeError, match="Adadelta; allowed are"):
        preconditioner(torch.optim.Adadelta([parameter()]))
    with pytest.raises(ValueError, match="maximize=True"):
        edge_of_stability(torch.optim.SGD([parameter()], lr=0.1, maximize=True))
    with pytest.raises(ValueError, match="taken no step yet"):
        preconditioner(torch.optim.Adam([parameter()]))
    optimizer = torch.optim.SGD([parameter()], lr=0.1)
    optimizer.param_groups[0]["lr"] = math.nan
    with pytest.raises(ValueError, match="lr=nan"):
        edge_of_stability(optimizer)


class Normalised(torch.optim.SGD):
    """Divides each gradient by its norm."""

    def step(self, closure: Any = None) -> Any:
        for group in self.param_groups:
            for weight in group["params"]:
                weight.grad.div_(weight.grad.norm())
        return super().step(closure)


class Centred(torch.optim.AdamW):
    """Changes the gradients where torch collects them."""

    def _init_group(self, group: Any, grads: Any, *rest: Any) -> Any:
        return super()._init_group(group, grads, *rest)  # type: ignore[misc]


class Disguised(torch.optim.SGD):
    """Says of its step that it is torch's."""

    @functools.wraps(torch.optim.SGD.step)
    def step(self, closure: Any = None) -> Any:
        return None


class Renamed(torch.optim.SGD):
    """A subclass with torch's own step."""

    def __init__(self, params: Any) -> None:
        super().__init__(params, lr=0.1)


class Lookahead:
    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        self.optimizer = optimizer


def replaced_on_the_object() -> torch.optim.Optimizer:
    optimizer = torch.optim.SGD([parameter()], lr=0.1)
    optimizer.step = lambda closure=None: None  # type: ignore[method-assign, assignment]
    return optimizer


def replaced_before_the_scheduler() -> torch.optim.Optimizer:
    optimizer = torch.optim.SGD([parameter()], lr=0.1)
    optimizer.step = types.MethodType(lambda self, closure=None: None, optimizer)  # type: ignore[method-assign]
    torch.optim.lr_scheduler.StepLR(optimizer, 5)
    return optimizer


@pytest.mark.parametrize("build", [replaced_on_the_object, replaced_before_the_scheduler])
def test_a_replaced_step_is_not_its_classs(build: Any) -> None:
    with pytest.raises(TypeError, match=r"SGD whose step has been replaced by .*lambda"):
        edge_of_stability(build())


@pytest.mark.parametrize("kind", [Normalised, Centred, Disguised])
def test_an_overridden_step_is_not_its_parents(kind: Any) -> None:
    optimizer = kind([parameter()], lr=0.1)
    for judge in (edge_of_stability, preconditioner, coupled_weight_decay):
        with pytest.raises(TypeError, match=rf"{kind.__name__}, which has a \w+ of its own and is not torch\.optim"):
            judge(optimizer)
    with pytest.raises(TypeError, match="k perturbs"):
        lb.perturb(optimizer, lb.Scale(k=3))


def test_a_step_replaced_for_the_whole_class_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.optim.SGD, "step", lambda self, closure=None: None)
    with pytest.raises(TypeError, match="whose step a program has replaced"):
        edge_of_stability(torch.optim.SGD([parameter()], lr=0.1))


def test_optimizers_that_step_as_torchs_keep_their_edge() -> None:
    """Subclasses that leave the step alone, lr schedulers, Accelerate's and Lightning's wrappers, lastbit's noises."""
    from accelerate import Accelerator
    from lightning.pytorch.core.optimizer import LightningOptimizer

    scheduled = torch.optim.SGD([parameter()], lr=0.1)
    torch.optim.lr_scheduler.SequentialLR(
        scheduled, [torch.optim.lr_scheduler.ConstantLR(scheduled, factor=1.0) for _ in range(2)], milestones=[3]
    )
    averaged = torch.optim.SGD([parameter()], lr=0.1)
    averaged.step = averaged.step  # type: ignore[method-assign]  # as Accelerate leaves it after a scaled step
    plain = [torch.optim.SGD([parameter()], lr=0.1) for _ in range(6)]
    adam = lb.perturb(torch.optim.Adam([parameter()], lr=0.1), lb.Scale(k=3))
    optimizers = [
        Renamed([parameter()]),
        scheduled,
        averaged,
        Accelerator(cpu=True).prepare_optimizer(plain[0]),
        LightningOptimizer(plain[1]),
        lb.perturb(plain[2], lb.Scale(k=3)),
        lb.perturb(plain[3], lb.Ulp(seed=1)),
        *(lb.perturb(each, noise) for each, noise in zip(plain[4:], (lb.Scale(k=3), lb.Ulp(seed=1)), strict=True)),
    ]
    for noisy in optimizers[-2:]:
        torch.optim.lr_scheduler.ConstantLR(noisy, factor=1.0)
    assert [edge_of_stability(optimizer)[0].value for optimizer in optimizers] == [20] * 9
    assert edge_of_stability(adam)[0].value == pytest.approx(380)
    with pytest.raises(TypeError, match="Normalised"):
        edge_of_stability(lb.perturb(Normalised([parameter()], lr=0.1), lb.Ulp(seed=1)))


def test_a_wrapper_that_may_step_otherwise_is_refused() -> None:
    with pytest.raises(TypeError, match="Lookahead, which wraps another"):
        edge_of_stability(Lookahead(torch.optim.SGD([parameter()], lr=0.1)))  # type: ignore[arg-type]


def test_what_is_known_of_optimizers_without_an_edge_is_reported() -> None:
    weight = torch.nn.Parameter(torch.ones(2, 2))
    for name in ("ASGD", "Adadelta", "Adafactor", "LBFGS", "Muon", "RAdam", "Rprop"):
        with pytest.raises(TypeError, match=rf"optimizer is a {name}; allowed are .* \({name}: ") as caught:
            edge_of_stability(getattr(torch.optim, name)([weight]))
        assert "\n" not in str(caught.value)


def test_decoupled_decay_as_an_option_and_options_without_a_formula() -> None:
    """Torch's Adam takes AdamW's decay as an option; foreach, amsgrad and the like leave the edge where it is."""
    for options in ({"decoupled_weight_decay": True}, {"amsgrad": True}, {"foreach": True}, {"fused": True}):
        adam = torch.optim.Adam([parameter()], lr=0.1, weight_decay=0.5, **options)  # type: ignore[arg-type]
        decoupled = "decoupled_weight_decay" in options
        assert edge_of_stability(adam)[0].value == pytest.approx((1.95 if decoupled else 2) * 1.9 / 0.1 / 0.1)
        assert list(coupled_weight_decay(adam).values()) == [0.0 if decoupled else 0.5]
