"""Losses whose autograd derivatives are none are refused; everything that only looks difficult is not."""

import copy
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.checkpoint import checkpoint

import lastbit as lb
from lastbit.curvature import HessianOperator, SharpnessTracker
from lastbit.curvature.loss.objective import Objective
from lastbit.curvature.loss.point import LossPoint

X = torch.randn(20, 6, generator=torch.Generator().manual_seed(1))
Y = torch.arange(20) % 3


class Checkpointed(nn.Module):
    def __init__(self, reentrant: bool | None) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.a, self.b, self.c, self.reentrant = nn.Linear(6, 8), nn.Linear(8, 8), nn.Linear(8, 3), reentrant

    def forward(self, x: Tensor) -> Tensor:
        for layer in (self.a, self.b):
            x = torch.tanh(layer(x)) if self.reentrant is None else self.block(layer, x)
        return self.c(x)

    def block(self, layer: nn.Module, x: Tensor) -> Tensor:
        held = x if x.requires_grad or not self.reentrant else x.clone().requires_grad_()
        return checkpoint(lambda t: torch.tanh(layer(t)), held, use_reentrant=self.reentrant)


def test_checkpointing_is_measured_as_without_it_or_refused() -> None:
    plain = SharpnessTracker(Checkpointed(None), cross_entropy, (X, Y)).measure().sharpness
    again = SharpnessTracker(Checkpointed(False), cross_entropy, (X, Y)).measure().sharpness
    assert again == pytest.approx(plain, rel=1e-5)
    with pytest.raises(ValueError, match=r"reentrant activation checkpointing.*use_reentrant=False"):
        SharpnessTracker(Checkpointed(True), cross_entropy, (X, Y)).measure()


def test_a_checkpointed_snapshot_does_not_follow_training() -> None:
    """Activations that are computed again in a later product are those of the snapshot's weights."""
    products = []
    for reentrant in (None, False):
        model = Checkpointed(reentrant)
        operator = HessianOperator(model, cross_entropy, (X, Y))
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.mul_(3)
        products.append(operator @ torch.ones(operator.size))
    torch.testing.assert_close(*products, rtol=1e-5, atol=1e-6)


class Rounded(torch.autograd.Function):
    """A straight-through estimator."""

    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        return (8 * value).round() / 8

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> Tensor:
        return slope


class Reversed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        return value.view_as(value)

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> Tensor:
        return -slope


class Clipped(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        return value.view_as(value)

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> Tensor:
        return slope.clamp(-1e-3, 1e-3)


class Cube(torch.autograd.Function):
    """A right gradient that autograd takes for a constant."""

    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        ctx.save_for_backward(value)
        return value**3

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> Tensor:
        return slope * 3 * ctx.saved_tensors[0].detach() ** 2


class Square(torch.autograd.Function):
    """A custom function as it should be."""

    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        ctx.save_for_backward(value)
        return value**2

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> Tensor:
        return 2 * slope * ctx.saved_tensors[0]


class Between(nn.Module):
    """A network with something between its two layers."""

    def __init__(self, change: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second, self.change = nn.Linear(6, 5), nn.Linear(5, 3), change

    def forward(self, inputs: Tensor) -> Tensor:
        return self.second(torch.tanh(self.change(self.first(inputs))))


def hooked(value: Tensor) -> Tensor:
    if value.requires_grad:
        value.register_hook(lambda slope: slope / (1 + slope.norm()))
    return value


class QuantisedWeights(nn.Module):
    """Weights rounded to eight bits whose gradient passes straight through, as in quantisation-aware training."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Linear(6, 3)

    def forward(self, inputs: Tensor) -> Tensor:
        weight = self.layer.weight
        scale = weight.abs().max().detach() / 127
        rounded = weight + ((weight / scale).round() * scale - weight).detach()
        return nn.functional.linear(inputs, rounded, self.layer.bias)


FAULTS: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "straight-through": (lambda: Between(Rounded.apply), r"is not the loss's derivative.*Rounded"),
    "straight-through by detach": (
        lambda: Between(lambda value: value + (value.round() - value).detach()),
        r"not the loss's derivative.*look for detach\(\)",
    ),
    "quantised weights": (QuantisedWeights, "not the loss's derivative"),
    "torch's fake quantisation": (
        lambda: Between(lambda value: torch.fake_quantize_per_tensor_affine(value, 0.1, 0, -128, 127)),
        "not the loss's derivative",
    ),
    "reversal": (lambda: Between(Reversed.apply), "not the loss's derivative.*Reversed"),
    "clipped gradients": (lambda: Between(Clipped.apply), "not the loss's derivative.*Clipped"),
    "a hook": (lambda: Between(hooked), "not the loss's derivative.*hooks that alter gradients"),
    "stopped gradient": (lambda: Between(lambda value: value * value.detach()), "not the loss's derivative"),
    "a gradient without a derivative": (lambda: Between(Cube.apply), "not the derivative of the gradient.*Cube"),
    "a part without gradient": (
        lambda: Between(lambda value: value.detach()),
        r"depends on first\.weight, but no gradient reaches it",
    ),
    "weight_norm": (
        lambda: nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(6, 5)), nn.Tanh(), nn.Linear(5, 3)),
        "weight_norm, whose second derivative is wrong",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_derivatives_that_are_none_are_refused(fault: str) -> None:
    build, message = FAULTS[fault]
    with pytest.raises(ValueError, match=message) as caught:
        SharpnessTracker(build(), cross_entropy, (X, Y)).measure()
    assert "\n" not in str(caught.value)


def test_the_monitor_refuses_before_training_starts() -> None:
    model = Between(Reversed.apply)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(ValueError, match="not the loss's derivative"):
        lb.SharpnessMonitor(model, cross_entropy, (X, Y), optimizer).__enter__()
    assert not optimizer._optimizer_step_post_hooks


class Upcast(nn.Module):
    """Normalises in float32, whatever it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.scale = nn.Linear(6, 5), nn.Parameter(torch.ones(5))

    def forward(self, inputs: Tensor) -> Tensor:
        hidden = self.layer(inputs)
        wide = hidden.to(torch.float32)
        wide = wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + 1e-6)
        return (self.scale * wide.to(hidden.dtype))[:, :3].float()


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(6, 2, 8, dropout=0.0, batch_first=True)
        self.head = nn.Linear(6, 3)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.head(self.layer(inputs.reshape(-1, 1, 6).expand(-1, 3, 6) * torch.arange(1, 4)[:, None]).mean(1))


class Convolutional(nn.Module):
    """With biases of zero, so that borders of zeros lie exactly on kinks."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv2d(1, 3, 3, padding=1), nn.Linear(3, 3)
        nn.init.zeros_(self.conv.bias)

    def forward(self, inputs: Tensor) -> Tensor:
        images = nn.functional.pad(inputs.reshape(-1, 1, 2, 3), (2, 2, 2, 2))
        return self.head(nn.functional.max_pool2d(torch.relu(self.conv(images)), 3).amax((2, 3)))


class Padded(nn.Module):
    """The row of an embedding that stands for padding is read and not trained."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.head = nn.Embedding(5, 4, padding_idx=0), nn.Linear(4, 3)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.head(torch.tanh(self.words((4 * inputs.float().abs()).long() % 5)).mean(1))


class SingleOnly(torch.autograd.Function):
    """Has no kernel for the backward pass in double precision."""

    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        return value.view_as(value)

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> Tensor:
        if slope.dtype == torch.float64:
            raise RuntimeError("\"single_only\" not implemented for 'Double'")
        return slope.view_as(slope)


def single_only(value: Tensor) -> Tensor:
    """Has no kernel for the forward pass either."""
    if value.dtype == torch.float64:
        raise RuntimeError("\"single_only\" not implemented for 'Double'")
    return value


class Routed(nn.Module):
    """Chooses one of two experts; another weight has no part in the loss."""

    def __init__(self) -> None:
        super().__init__()
        self.router, self.experts = nn.Linear(6, 2), nn.ModuleList(nn.Linear(6, 3) for _ in range(2))
        self.unused = nn.Linear(6, 3)

    def forward(self, inputs: Tensor) -> Tensor:
        shares = self.router(inputs).softmax(-1)
        best = shares.argmax(-1, keepdim=True)
        return sum((best == k) * shares[:, k : k + 1] * expert(inputs) for k, expert in enumerate(self.experts))


def filled(model: nn.Module, value: float) -> nn.Module:
    for parameter in model.parameters():
        nn.init.constant_(parameter, value)
    return model


def mlp(*between: nn.Module) -> nn.Sequential:
    return nn.Sequential(nn.Linear(6, 8), *between, nn.Linear(8, 3))


def scaled(factor: float) -> nn.Module:
    return nn.Sequential(nn.Linear(6, 3), nn.Unflatten(0, (-1, 1)), nn.Flatten(0, 1), Multiplied(factor))


class Multiplied(nn.Module):
    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs * self.factor


def dead() -> nn.Module:
    model = mlp(nn.ReLU())
    nn.init.constant_(model[0].bias, -100.0)
    return model


def fitted() -> nn.Module:
    """At a minimum: its gradient is rounding."""
    model = nn.Sequential(nn.Linear(6, 3)).double()
    optimizer = torch.optim.LBFGS(model.parameters(), max_iter=200, tolerance_grad=1e-14)

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = cross_entropy(model(X.double()), Y)
        loss.backward()
        return loss

    optimizer.step(closure)
    return model.float()


HARMLESS: dict[str, Callable[[], nn.Module]] = {
    "ReLU": lambda: mlp(nn.ReLU()),
    "kinks of all kinds": lambda: mlp(nn.Hardtanh(), nn.Hardswish(), nn.Softshrink(0.1), nn.LeakyReLU(), nn.PReLU()),
    "deep": lambda: nn.Sequential(*[m for _ in range(8) for m in (nn.Linear(6, 6), nn.ReLU())], nn.Linear(6, 3)),
    "all weights zero": lambda: filled(mlp(nn.ReLU()), 0.0),
    "all weights equal": lambda: filled(mlp(nn.ReLU()), 0.5),
    "dead units": dead,
    "at a minimum": fitted,
    "large logits": lambda: scaled(1e3),
    "small logits": lambda: scaled(1e-6),
    "convolutions, max-pooling and zeros": Convolutional,
    "attention": Attention,
    "normalised in float32": Upcast,
    "experts": Routed,
    "padding": Padded,
    "spectral norm": lambda: mlp(nn.Tanh()).append(nn.utils.parametrizations.spectral_norm(nn.Linear(3, 3))).eval(),
    "a custom function as it should be": lambda: Between(Square.apply),
    "no backward pass in double precision": lambda: Between(SingleOnly.apply),
    "no forward pass in double precision": lambda: Between(single_only),
    "bfloat16": lambda: mlp(nn.Tanh()).bfloat16(),
    "float16": lambda: mlp(nn.Tanh()).half(),
    "float64": lambda: mlp(nn.Tanh()).double(),
}
LOSSES: dict[str, Any] = {
    "cross-entropy": cross_entropy,
    "absolute errors": lambda o, t: (o - nn.functional.one_hot(t, 3).to(o)).abs().mean(),
    "class weights in float32": lambda o, t: cross_entropy(o.float(), t, weight=torch.tensor([1.0, 2.0, 3.0])),
}


@pytest.mark.parametrize("name", HARMLESS)
def test_no_false_alarm(name: str) -> None:
    for seed, loss in enumerate(LOSSES.values()):
        torch.manual_seed(seed)
        model = HARMLESS[name]()
        inputs = X.to(next(model.parameters()).dtype)
        Objective(model, loss, (inputs, Y), micro_batch=(None, 17)[seed % 2]).check()


def test_the_check_leaves_the_objective_as_it_was() -> None:
    """And costs the measurements themselves no product."""
    model = mlp(nn.Tanh())
    before = copy.deepcopy(model.state_dict())
    objective = Objective(model, cross_entropy, (X, Y))
    unchecked = HessianOperator.at(objective.point())
    objective.check()
    checked = HessianOperator.at(objective.point())
    vector = torch.ones(unchecked.size)
    assert torch.equal(unchecked @ vector, checked @ vector)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


class Tempered(nn.Module):
    """A loss with a weight of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.tensor(0.7))

    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return cross_entropy(outputs * self.log_scale.exp(), targets)


def joint_hessian(model: nn.Module, loss: Tempered) -> Tensor:
    names, weights = zip(*model.named_parameters(), strict=True)
    sizes = [w.numel() for w in weights]

    def value(flat: Tensor) -> Tensor:
        parts = [p.reshape(w.shape) for p, w in zip(flat[:-1].split(sizes), weights, strict=True)]
        outputs = torch.func.functional_call(model, dict(zip(names, parts, strict=True)), (X,))
        return cross_entropy(outputs * flat[-1].exp(), Y)

    return torch.autograd.functional.hessian(
        value, torch.cat([*(w.detach().reshape(-1) for w in weights), loss.log_scale.detach().reshape(1)])
    )


def test_a_losss_own_weights_count_where_the_optimizer_steps_them() -> None:
    torch.manual_seed(0)
    model, loss = mlp(nn.Tanh()), Tempered()
    whole = joint_hessian(model, loss)
    both, alone = (float(torch.linalg.eigvalsh(part)[-1]) for part in (whole, whole[:-1, :-1]))
    assert not math.isclose(both, alone, rel_tol=1e-2)
    operator = HessianOperator(model, loss, (X, Y))
    assert operator.names[-1] == "loss.log_scale"
    torch.testing.assert_close(operator @ torch.eye(operator.size), whole, rtol=1e-3, atol=1e-4)
    stepping = {
        both: torch.optim.SGD([*model.parameters(), *loss.parameters()], lr=0.1),
        alone: torch.optim.SGD(model.parameters(), lr=0.1),
    }
    for expected, optimizer in stepping.items():
        tracked = SharpnessTracker(model, loss, (X, Y), optimizer=optimizer).measure().sharpness
        assert tracked == pytest.approx(expected, rel=1e-3)
        with lb.SharpnessMonitor(model, loss, (X, Y), optimizer) as monitor:
            assert monitor.measure().sharpness == pytest.approx(expected, rel=1e-3)
    own = torch.optim.SGD(loss.parameters(), lr=0.1)
    with lb.SharpnessMonitor(model, loss, (X, Y), own) as monitor:
        assert monitor.measure().sharpness == pytest.approx(float(whole[-1, -1]), rel=1e-3)


def test_a_loss_that_is_part_of_the_model_is_counted_once() -> None:
    class Whole(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.net, self.criterion = mlp(nn.Tanh()), Tempered()

        def forward(self, inputs: Tensor) -> Tensor:
            return self.net(inputs)

    model = Whole()
    operator = HessianOperator(model, model.criterion, (X, Y))
    expected = joint_hessian(model.net, model.criterion)
    torch.testing.assert_close(operator @ torch.eye(operator.size), expected, rtol=1e-3, atol=1e-4)


def test_a_stepped_parameter_in_neither_model_nor_loss_is_refused() -> None:
    model, scale = mlp(nn.Tanh()), nn.Parameter(torch.tensor(2.0))

    def loss(outputs: Tensor, targets: Tensor) -> Tensor:
        return cross_entropy(outputs * scale, targets)

    optimizer = torch.optim.SGD([*model.parameters(), scale], lr=0.1)
    for act in (
        lambda: SharpnessTracker(model, loss, (X, Y), optimizer=optimizer).measure(),
        lambda: lb.SharpnessMonitor(model, loss, (X, Y), optimizer).__enter__(),
    ):
        with pytest.raises(ValueError, match=r"steps a parameter of shape \(\) that the loss depends on"):
            act()
    fixed = torch.optim.SGD(model.parameters(), lr=0.1)
    assert SharpnessTracker(model, loss, (X, Y), optimizer=fixed).measure().sharpness > 0


def test_many_unused_heads_cost_no_more_than_one(monkeypatch: pytest.MonkeyPatch) -> None:
    class Headed(nn.Module):
        def __init__(self, heads: int) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.used, self.unused = nn.Linear(6, 3), nn.ModuleList(nn.Linear(6, 3) for _ in range(heads))

        def forward(self, x: Tensor) -> Tensor:
            return self.used(x)

    count, evaluate = 0, LossPoint.piece_loss

    def counted(point: LossPoint, *arguments: Any) -> Tensor:
        nonlocal count
        count += 1
        return evaluate(point, *arguments)

    monkeypatch.setattr(LossPoint, "piece_loss", counted)
    counts = []
    for heads in (1, 40):
        count = 0
        Objective(Headed(heads), cross_entropy, (X, Y)).check()
        counts.append(count)
    assert 10 < counts[0] == counts[1] < 25, counts


def test_one_detached_weight_among_unused_ones_is_named() -> None:
    class Detached(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.big, self.used, self.small = nn.Linear(300, 300), nn.Linear(6, 3), nn.Parameter(1e-4 * torch.ones(3))

        def forward(self, x: Tensor) -> Tensor:
            return self.used(x) + self.small.detach()

    with pytest.raises(lb.LastbitError, match="the loss depends on small, but no gradient reaches it"):
        Objective(Detached(), cross_entropy, (X, Y)).check()
