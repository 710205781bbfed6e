"""The monitor in plain training loops: it changes nothing, and its rows are those of dense float64 Hessians."""

import copy
import itertools
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

import lastbit as lb

OPTIMIZERS: dict[str, Callable[[nn.Module], torch.optim.Optimizer]] = {
    "SGD": lambda model: torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.01),
    "SGD, two groups": lambda model: torch.optim.SGD(
        [{"params": model[0].parameters(), "lr": 0.05}, {"params": model[-1].parameters(), "weight_decay": 0.1}], lr=0.2
    ),
    "AdamW": lambda model: torch.optim.AdamW(model.parameters(), lr=0.01, weight_decay=0.1),
    "RMSprop": lambda model: torch.optim.RMSprop(model.parameters(), lr=0.001, momentum=0.5),
}


def batch(dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    inputs = 2 * torch.randn(30, 4, generator=generator, dtype=torch.float64)
    return inputs.to(dtype), torch.randint(3, (30,), generator=generator)


def network() -> nn.Sequential:
    """With everything that behaves differently in training, some of it frozen in evaluation mode."""
    torch.manual_seed(1)
    model = nn.Sequential(
        nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Dropout(0.2), nn.BatchNorm1d(8), nn.Linear(8, 3)
    )
    model[4].eval()
    return model


def plain_network() -> nn.Sequential:
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3))


def steps(model: nn.Module, optimizer: torch.optim.Optimizer, count: int = 12) -> None:
    """Training on shuffled batches."""
    loader = DataLoader(TensorDataset(*batch()), batch_size=10, shuffle=True)
    for inputs, targets in itertools.islice(itertools.chain.from_iterable(itertools.repeat(loader)), count):
        optimizer.zero_grad()
        cross_entropy(model(inputs), targets).backward()
        optimizer.step()


def state_after(model: nn.Module, optimizer: torch.optim.Optimizer) -> list[bytes]:
    """All that a training leaves: weights, buffers, gradients, the optimizer's state, modes and random states."""
    kept = [v for state in optimizer.state.values() for v in state.values() if isinstance(v, Tensor)]
    tensors = [*model.parameters(), *(p.grad for p in model.parameters() if p.grad is not None), *model.buffers()]
    values = [tensor.detach().numpy().tobytes() for tensor in (*tensors, *kept)]
    modes = repr([module.training for module in model.modules()]).encode()
    hooks = repr([len(optimizer._optimizer_step_post_hooks), len(optimizer._optimizer_step_pre_hooks)]).encode()
    return [*values, modes, hooks, torch.get_rng_state().numpy().tobytes()]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_training_is_bit_identical_with_the_monitor(name: str) -> None:
    ends = []
    for every in (None, lb.every(1), lb.log_spaced()):
        model = network()
        optimizer = OPTIMIZERS[name](model)
        if every is None:
            steps(model, optimizer)
        else:
            with lb.SharpnessMonitor(model, cross_entropy, batch(), optimizer, every=every) as monitor:
                steps(model, optimizer)
            assert [row.step for row in monitor.rows] == [step for step in range(1, 13) if every(step)]
        ends.append(state_after(model, optimizer))
    assert ends[0] == ends[1] == ends[2]


def dense(model: nn.Module, data: tuple[Tensor, Tensor]) -> Tensor:
    """The Hessian in evaluation mode, in float64."""
    reference = copy.deepcopy(model).double().eval()
    weights = {name: parameter.detach() for name, parameter in reference.named_parameters()}
    sizes = [weight.numel() for weight in weights.values()]

    def value(flat: Tensor) -> Tensor:
        parts = zip(weights.items(), flat.split(sizes), strict=True)
        state = {name: part.reshape(weight.shape) for (name, weight), part in parts}
        return cross_entropy(functional_call(reference, state, (data[0].double(),)), data[1])

    return torch.autograd.functional.hessian(value, torch.cat([w.reshape(-1) for w in weights.values()]))


def test_every_row_is_the_dense_hessians_largest_eigenvalues_in_evaluation_mode() -> None:
    model, data = network(), batch()
    optimizer = OPTIMIZERS["SGD"](model)
    exact: list[tuple[Tensor, float]] = []

    def remember(*_: object) -> None:
        hessian = dense(model, data)
        reference = copy.deepcopy(model).double().eval()
        loss = float(cross_entropy(reference(data[0].double()), data[1]).detach())
        exact.append((torch.linalg.eigvalsh(hessian + 0.01 * torch.eye(len(hessian))).flip(0)[:3], loss))

    optimizer.register_step_post_hook(remember)
    with lb.SharpnessMonitor(model, cross_entropy, data, optimizer, lb.every(2), k=3) as monitor:
        steps(model, optimizer)
    assert len(monitor.rows) == 6
    for row in monitor.rows:
        values, loss = exact[row.step - 1]
        slack = 1e-5 * values[0]  # of float32 products
        assert bool(((torch.tensor(row.values) - values).abs() <= torch.tensor(row.residuals) + slack).all())
        assert bool((values <= torch.tensor(row.uppers) + slack).all())
        assert math.isclose(row.loss, loss, rel_tol=1e-5)
        assert (row.sharpness, row.lower, row.residual) == (row.values[0], row.values[0], row.residuals[0])
        assert row.upper == row.uppers[0]
        edge = (2 + 2 * 0.9) / ((1 + 2 * 0.9) * 0.1)
        assert (row.edge, row.edges) == (pytest.approx(edge), (row.edge,))
        assert row.normalised == pytest.approx(2 * row.sharpness / edge)
        assert row.mode == "eval"
        assert row.converged
        assert not row.diverged


def test_adaptive_optimizers_are_measured_preconditioned() -> None:
    model, data = plain_network(), batch()
    optimizer = OPTIMIZERS["AdamW"](model)
    with lb.SharpnessMonitor(model, cross_entropy, data, optimizer, every={5}.__contains__) as monitor:
        steps(model, optimizer, 5)
    scale = torch.cat(
        [
            (1 - 0.9**5) * ((state["exp_avg_sq"].double() / (1 - 0.999**5)).sqrt() + 1e-8).reshape(-1)
            for state in (optimizer.state[parameter] for parameter in model.parameters())
        ]
    )
    exact = torch.linalg.eigvalsh(dense(model, data) / (scale[:, None] * scale).sqrt())[-1]
    (row,) = monitor.rows
    assert abs(row.sharpness - exact) <= row.residual + 1e-5 * exact
    assert row.edge == pytest.approx((2 - 0.01 * 0.1) * 1.9 / 0.1 / 0.01)


def test_groups_are_held_against_the_smallest_edge_and_can_be_singled_out() -> None:
    model, data = plain_network(), batch()
    optimizer = OPTIMIZERS["SGD, two groups"](model)
    third = {3}.__contains__
    whole = lb.SharpnessMonitor(model, cross_entropy, data, optimizer, third)
    first = lb.SharpnessMonitor(model, cross_entropy, data, optimizer, third, parameters="0.*")
    with whole, first:
        steps(model, optimizer, 3)
    (row,), (own,) = whole.rows, first.rows
    assert (row.edges, row.edge) == ((40, 10), 10)
    assert (own.edges, own.edge) == ((40,), 40)
    assert row.normalised == pytest.approx(row.sharpness / 5)
    block = torch.linalg.eigvalsh(dense(model, data)[:30, :30])[-1]
    assert own.sharpness == pytest.approx(float(block), rel=1e-3)


def test_only_what_the_optimizer_steps_is_measured() -> None:
    """A second network's optimizer, or a frozen part that the optimizer was given all the same."""
    model, data = plain_network(), batch()
    block = dense(model, data)[30:, 30:]
    with lb.SharpnessMonitor(model, cross_entropy, data, torch.optim.SGD(model[2].parameters(), lr=0.1)) as monitor:
        own = monitor.measure()
    assert own.sharpness == pytest.approx(float(torch.linalg.eigvalsh(block)[-1]), rel=1e-3)
    model[0].requires_grad_(False)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    with lb.SharpnessMonitor(model, cross_entropy, data, optimizer, lb.every(1)) as monitor:
        steps(model, optimizer, 1)
    assert not monitor.rows[0].diverged


class Spared(nn.Module):
    """A network beside a layer of zeros that training leaves out and `both` brings in."""

    def __init__(self) -> None:
        super().__init__()
        self.used, self.spare, self.both = plain_network(), nn.Linear(4, 3), False
        nn.init.zeros_(self.spare.weight)
        nn.init.zeros_(self.spare.bias)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.used(inputs) + (self.spare(inputs) if self.both else 0)


def test_a_parameter_that_adam_has_not_moved_does_not_count() -> None:
    model, sharpness = Spared(), []
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    steps(model, optimizer, 1)
    for model.both in (True, False):
        with lb.SharpnessMonitor(model, cross_entropy, batch(), optimizer) as monitor:
            sharpness.append(monitor.measure().sharpness)
    assert sharpness[0] == pytest.approx(sharpness[1], rel=1e-3)
    model.both = True
    assert dense(model, batch())[-15:].any(), "the layer has a curvature of its own"


def test_modes_as_they_are() -> None:
    model, data = plain_network(), batch()
    optimizer = OPTIMIZERS["SGD"](model)
    with lb.SharpnessMonitor(model, cross_entropy, data, optimizer, mode="as is") as monitor:
        assert monitor.measure().mode == "as is"
    for module in (nn.Dropout(0.5), nn.BatchNorm1d(3)):
        refused = nn.Sequential(plain_network(), module)
        optimizer = torch.optim.SGD(refused.parameters(), lr=0.1)
        with pytest.raises(ValueError, match=r"call model\.eval\(\) first"):
            lb.SharpnessMonitor(refused, cross_entropy, data, optimizer, mode="as is").__enter__()


def test_a_diverged_training_ends_its_series_with_a_marked_row() -> None:
    model, seen = plain_network(), []
    optimizer = OPTIMIZERS["SGD"](model)

    def poison(*_: object) -> None:
        if monitor.step == 3:
            model[2].bias.data[1] = math.nan

    with lb.SharpnessMonitor(model, cross_entropy, batch(), optimizer, lb.every(1), sinks=[seen.append]) as monitor:
        optimizer.register_step_post_hook(poison)
        steps(model, optimizer, 9)
    assert [(row.step, row.diverged) for row in monitor.rows] == [(1, False), (2, False), (3, False), (4, True)]
    assert all(map(math.isnan, (seen[-1].sharpness, seen[-1].normalised, seen[-1].loss)))
    assert len(seen) == 4
    assert monitor.step == 9


def test_an_infinite_loss_is_a_divergence_too() -> None:
    """The weights are still finite here, and the saturated network's curvature is zero."""
    model = plain_network()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e38)
    with lb.SharpnessMonitor(model, cross_entropy, batch(), optimizer, lb.every(1)) as monitor:
        steps(model, optimizer, 3)
    (row,) = monitor.rows
    assert (row.loss, row.diverged) == (math.inf, True)


def test_an_exception_passes_through_and_leaves_what_was_measured() -> None:
    model, seen = network(), []
    optimizer = OPTIMIZERS["SGD"](model)
    monitor = lb.SharpnessMonitor(model, cross_entropy, batch(), optimizer, lb.every(1), sinks=[seen.append])
    with pytest.raises(KeyboardInterrupt), monitor:  # noqa: PT012
        steps(model, optimizer, 2)
        raise KeyboardInterrupt
    assert [row.step for row in monitor.rows] == [row.step for row in seen] == [1, 2]
    assert not optimizer._optimizer_step_post_hooks
    steps(model, optimizer, 1)
    assert monitor.step == 2
    with monitor:
        steps(model, optimizer, 1)
    assert [row.step for row in monitor.rows] == [1, 2, 3]


def test_a_sink_that_fails_leaves_modes_and_row() -> None:
    def full(row: object) -> None:
        raise OSError("no space left on device")

    model = network()
    optimizer = OPTIMIZERS["SGD"](model)
    modes = [module.training for module in model.modules()]
    monitor = lb.SharpnessMonitor(model, cross_entropy, batch(), optimizer, lb.every(1), sinks=[full])
    with pytest.raises(OSError, match="no space"), monitor:
        steps(model, optimizer, 1)
    assert [row.step for row in monitor.rows] == [1]
    assert [module.training for module in model.modules()] == modes


def test_autocast_and_compiled_graphs_are_left_out_of_the_measurement() -> None:
    """The same number as without them; a compiled graph has no second derivative."""
    model, data = plain_network(), batch()
    optimizer = OPTIMIZERS["SGD"](model)
    with lb.SharpnessMonitor(model, cross_entropy, data, optimizer) as monitor:
        expected = monitor.measure()
    compiled = torch.compile(model, backend="aot_eager")
    with lb.SharpnessMonitor(compiled, cross_entropy, data, optimizer, lb.every(1)) as monitor:
        compiled(data[0])
        assert monitor.measure().sharpness == expected.sharpness
        with torch.autocast("cpu", dtype=torch.bfloat16), torch.no_grad():
            assert monitor.measure().sharpness == pytest.approx(expected.sharpness, rel=1e-3)
            assert model(data[0]).dtype == torch.bfloat16


def test_resumed_trainings_count_on() -> None:
    model = plain_network()
    optimizer = OPTIMIZERS["SGD"](model)
    with lb.SharpnessMonitor(model, cross_entropy, batch(), optimizer, lb.every(10), start=97) as monitor:
        steps(model, optimizer, 4)
    assert [row.step for row in monitor.rows] == [100]


def test_the_row_as_a_dictionary_and_as_scalars() -> None:
    model = plain_network()
    with lb.SharpnessMonitor(model, cross_entropy, batch(), OPTIMIZERS["SGD"](model), k=2) as monitor:
        row = monitor.measure()
    assert row.as_dict()["values"] == row.values
    assert row.scalars()["value_2"] == row.values[1]
    assert set(row.scalars()) < set(row.as_dict()) | {"value_2"}


def test_a_learning_rate_of_zero_has_no_edge() -> None:
    model = plain_network()
    with lb.SharpnessMonitor(model, cross_entropy, batch(), torch.optim.SGD(model.parameters(), lr=0.0)) as monitor:
        row = monitor.measure()
    assert (row.edge, row.normalised) == (math.inf, 0)


class OnceOnly(torch.autograd.Function):
    """Squares, with a gradient that has no gradient."""

    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        ctx.save_for_backward(value)
        return value**2

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, slope: Tensor) -> Tensor:
        return 2 * ctx.saved_tensors[0] * slope


MODEL, DATA = plain_network(), batch()
OTHER = plain_network()
WRONG: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "no steps between measurements": ({"every": 0}, ValueError, r"every\(0\) is not allowed; give a positive integer"),
    "no loss": ({"loss": None}, TypeError, "loss is a NoneType; give a callable"),
    "no model": ({"model": "net"}, TypeError, "model is a str"),
    "no optimizer": ({"optimizer": 0.1}, TypeError, "optimizer is a float; give a torch"),
    "another class": ({"optimizer": torch.optim.Adadelta(MODEL.parameters())}, TypeError, "Adadelta; allowed are"),
    "another model's": (
        {"optimizer": torch.optim.SGD(OTHER.parameters(), lr=0.1)},
        ValueError,
        "none of the optimizer's 4 parameters is the model's",
    ),
    "another part's": (
        {"optimizer": torch.optim.SGD(MODEL[0].parameters(), lr=0.1), "parameters": "2.*"},
        ValueError,
        "steps none of the parameters",
    ),
    "no such parameter": ({"parameters": "head.*"}, ValueError, "matches no trainable parameter"),
    "an empty loader": ({"data": []}, ValueError, "the data hold no samples"),
    "an iterator": ({"data": iter([DATA])}, TypeError, "can be read only once"),
    "one sink, bare": ({"sinks": print}, TypeError, "give a list of callables"),
    "a file name for a sink": ({"sinks": ["rows.jsonl"]}, TypeError, "give a list of callables"),
    "another mode": ({"mode": "train"}, ValueError, "mode='train' is not allowed; give 'eval' or 'as is'"),
    "too many eigenvalues": ({"k": 1000}, ValueError, "k=1000 is not allowed"),
    "a loss without a second derivative": (
        {"loss": lambda o, t: OnceOnly.apply(o).square().sum()},
        ValueError,
        "cannot be differentiated twice",
    ),
    "an operation without a second derivative": (
        {"loss": lambda o, t: torch.cdist(o, o, p=3).mean()},
        ValueError,
        "cannot be differentiated twice: .*cdist.* not implemented",
    ),
    "a loss of no weights": ({"loss": lambda o, t: o.detach().sum()}, ValueError, "does not depend on the parameters"),
}


@pytest.mark.parametrize("mistake", WRONG)
def test_each_mistake_is_named_before_training_starts(mistake: str) -> None:
    changed, kind, message = WRONG[mistake]
    arguments = {
        "model": MODEL,
        "loss": cross_entropy,
        "data": DATA,
        "optimizer": torch.optim.SGD(MODEL.parameters(), lr=0.1),
    }
    with pytest.raises(kind, match=message):
        lb.SharpnessMonitor(**{**arguments, **changed}).__enter__()


def test_weights_that_are_no_numbers_are_named() -> None:
    model = plain_network()
    with torch.no_grad():
        model[2].bias[1] = math.nan
    monitor = lb.SharpnessMonitor(model, cross_entropy, batch(), OPTIMIZERS["SGD"](model))
    with pytest.raises(ValueError, match=r"parameter 2\.bias holds NaN or infinity in 1 of 3"):
        monitor.__enter__()


def test_a_monitor_watches_one_training_at_a_time() -> None:
    model = plain_network()
    monitor = lb.SharpnessMonitor(model, cross_entropy, batch(), OPTIMIZERS["SGD"](model))
    with monitor, pytest.raises(RuntimeError, match="watching already"):
        monitor.__enter__()


def test_adam_has_no_sharpness_before_its_first_step() -> None:
    model = plain_network()
    monitor = lb.SharpnessMonitor(model, cross_entropy, batch(), OPTIMIZERS["AdamW"](model))
    with monitor, pytest.raises(ValueError, match="has taken no step yet"):
        monitor.measure()


def test_a_compiled_step_is_named() -> None:
    optimizer = torch.optim.SGD(nn.Linear(2, 1).parameters(), lr=0.1)
    optimizer.step = torch.compile(optimizer.step, backend="eager")  # type: ignore[method-assign]
    with pytest.raises(TypeError, match=r"SGD whose step torch\.compile has replaced"):
        lb.edge_of_stability(optimizer)


def test_its_repr_is_one_short_line_that_says_where_it_stands() -> None:
    """A quadratic loss w^2 / 2 in one weight: its sharpness is 1, and at lr 0.5 normalised 0.5."""
    model = nn.Linear(1, 1, bias=False)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    loss, batch = (lambda outputs, targets: outputs.square().mean() / 2), (torch.ones(1, 1), torch.zeros(1, 1))
    monitor = lb.SharpnessMonitor(model, loss, batch, optimizer, every=2)
    assert repr(monitor) == "<SharpnessMonitor: step 0, 0 rows, not watching>"
    with monitor:
        for _ in range(3):
            optimizer.zero_grad()
            loss(model(batch[0]), batch[1]).backward()
            optimizer.step()
        assert repr(monitor) == "<SharpnessMonitor: step 3, 1 row, normalised 0.5 at step 2, watching>"
    assert repr(monitor).endswith(", not watching>")


@pytest.mark.parametrize("given", ["loader", "size"])
def test_batch_sharpness_is_measured_beside_and_changes_nothing(given: str) -> None:
    """At the same weights as a measurement of its own, over all batches, and with the training's bits."""
    ends, fields = [], {}
    for watched in (False, True):
        model = network()
        optimizer = OPTIMIZERS["AdamW"](model)
        if not watched:
            steps(model, optimizer)
        else:
            loader = DataLoader(TensorDataset(*batch()), batch_size=10, shuffle=True)
            batches = loader if given == "loader" else 10
            with lb.SharpnessMonitor(
                model, cross_entropy, batch(), optimizer, every=12, batch_sharpness=batches
            ) as monitor:
                steps(model, optimizer)
            fields = dict(monitor.rows[-1].batch or {})
            assert monitor.rows[-1].scalars()["batch_sharpness"] == fields["sharpness"]
            model.eval()
            own = lb.BatchSharpness(model, cross_entropy, batch(), optimizer=optimizer, batch_size=10, batches=300)
            wide = own.measure()
            model.train()
            model[4].eval()
            assert wide.sharpness == pytest.approx(fields["sharpness"], rel=0.3)
            assert fields["edge"] == wide.edge == lb.edge_of_stability(optimizer, batch="small")[0].value
        ends.append(state_after(model, optimizer))
    assert ends[0] == ends[1]
    assert fields["step"] == 12
    assert fields["batches"] == (3 if given == "loader" else 32)


def test_batches_that_cannot_be_drawn_are_refused_when_the_monitor_is_made() -> None:
    model = plain_network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(lb.LastbitError, match="more than the 30 samples"):
        lb.SharpnessMonitor(model, cross_entropy, batch(), optimizer, batch_sharpness=31)
