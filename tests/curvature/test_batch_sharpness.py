"""Batch sharpness against dense float64 Hessians, closed forms of Gaussian linear regression, and wrong input."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import cross_entropy, mse_loss
from torch.utils.data import DataLoader, IterableDataset, TensorDataset
from watched_training import samples

import lastbit as lb
from lastbit.curvature import BatchRow
from lastbit.curvature.stochastic.estimates import BatchMean, BatchSums


def network() -> nn.Sequential:
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)).double()


def batches(count: int, size: int = 6) -> list[tuple[Tensor, Tensor]]:
    inputs, labels = samples(count * size)
    return list(zip(inputs.double().split(size), labels.split(size), strict=True))


def dense(model: nn.Module, batch: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Gradient and Hessian of a batch's loss, flat, by autograd alone."""
    names = [name for name, _ in model.named_parameters()]
    shapes = [parameter.shape for parameter in model.parameters()]
    flat = torch.cat([parameter.detach().reshape(-1) for parameter in model.parameters()])

    def value(vector: Tensor) -> Tensor:
        parts = torch.split(vector, [shape.numel() for shape in shapes])
        state = {name: part.reshape(shape) for name, part, shape in zip(names, parts, shapes, strict=True)}
        return cross_entropy(functional_call(model, state, (batch[0],)), batch[1])

    gradient: Tensor = torch.func.grad(value)(flat)
    return gradient, torch.autograd.functional.hessian(value, flat)


def stepped(kind: str, model: nn.Module, data: list[tuple[Tensor, Tensor]]) -> torch.optim.Optimizer:
    made: dict[str, Callable[[], torch.optim.Optimizer]] = {
        "SGD": lambda: torch.optim.SGD(model.parameters(), lr=0.1),
        "heavy ball, decayed": lambda: torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=0.3),
        "Adam": lambda: torch.optim.Adam(model.parameters(), lr=0.01),
    }
    optimizer = made[kind]()
    for inputs, labels in data:
        optimizer.zero_grad()
        cross_entropy(model(inputs), labels).backward()
        optimizer.step()
    return optimizer


def seen(kind: str, model: nn.Module, optimizer: torch.optim.Optimizer, batch: Any) -> tuple[Tensor, Tensor]:
    """What the optimizer makes of gradient and Hessian, from its state and the formulas of the documentation."""
    gradient, hessian = dense(model, batch)
    flat = torch.cat([parameter.detach().reshape(-1) for parameter in model.parameters()])
    if kind == "heavy ball, decayed":
        return gradient + 0.3 * flat, hessian + 0.3 * torch.eye(len(flat))
    if kind == "Adam":
        states = [optimizer.state[parameter] for parameter in model.parameters()]
        count = float(states[0]["step"])
        second = torch.cat([state["exp_avg_sq"].reshape(-1) for state in states])
        root = ((1 - 0.9**count) * ((second / (1 - 0.999**count)).sqrt() + 1e-8)).rsqrt()
        return root * gradient, root[:, None] * hessian * root
    return gradient, hessian


@pytest.mark.parametrize("kind", ["SGD", "heavy ball, decayed", "Adam"])
def test_every_number_is_that_of_dense_hessians(kind: str) -> None:
    model, data = network(), batches(7)
    optimizer = stepped(kind, model, data)
    row = lb.BatchSharpness(model, cross_entropy, data, optimizer=optimizer, largest=7).measure()
    pairs = [seen(kind, model, optimizer, batch) for batch in data]
    ratios = [float(g @ h @ g / (g @ g)) for g, h in pairs]
    assert row.sharpness == pytest.approx(np.mean(ratios))
    reach = 2.4469118 * np.std(ratios, ddof=1) / math.sqrt(7)  # Student's, 6 degrees of freedom
    assert (row.lower, row.upper) == pytest.approx((np.mean(ratios) - reach, np.mean(ratios) + reach))
    gradients = torch.stack([g for g, _ in pairs])
    trace = float(gradients.var(0).sum())
    assert row.noise.value == pytest.approx(trace)
    norm = float(gradients.mean(0).square().sum()) - trace / 7  # without bias
    assert row.signal_to_noise.value == pytest.approx(norm / trace)
    couples = [(0, 1), (1, 0), (2, 3), (3, 2), (4, 5), (5, 4)]  # the seventh has no partner
    top = sum(float(pairs[i][0] @ pairs[j][1] @ pairs[i][0]) for i, j in couples)
    assert row.interaction.value == pytest.approx(top / float(gradients[:6].square().sum()))
    eigenvalues = [float(torch.linalg.eigvalsh(h)[-1]) for _, h in pairs]
    assert row.largest.value == pytest.approx(np.mean(eigenvalues), rel=0.01)
    assert row.largest.value <= np.mean(eigenvalues)
    assert row.edge == lb.edge_of_stability(optimizer, batch="small")[0].value
    assert row.normalised == pytest.approx(2 * row.sharpness / row.edge)
    assert (row.batches, row.samples, row.note) == (7, 6, "")


@pytest.mark.parametrize(("count", "size", "features", "shift", "noise"), [(16, 1, 6, 0.0, 1.0), (32, 8, 6, 1.0, 0.3)])
def test_intervals_hold_the_closed_forms_of_gaussian_linear_regression(
    count: int, size: int, features: int, shift: float, noise: float
) -> None:
    """x is normal with unit covariance, y = w'x + noise, and the weights are `shift` away from w.

    The gradients of batches of b have the covariance ((s^2 + n^2) I + ss') / b for a shift s and a noise n, and H is I.
    For s = 0 the residuals are independent of x, and batch sharpness is (d + b - 1) / b; for b = 1 it is d.
    """
    generator, inside = np.random.default_rng(3), []
    away = np.full(features, shift / math.sqrt(features))
    trace = ((shift**2 + noise**2) * features + shift**2) / size
    expected = {"noise": trace, "signal_to_noise": shift**2 / trace, "interaction": 1.0}
    if shift == 0 or size == 1:
        expected["sharpness"] = (features + size - 1) / size
    for _ in range(150):
        inputs = generator.normal(size=(count, size, features))
        residuals = inputs @ away + noise * generator.normal(size=(count, size))
        gradients = np.einsum("cbd,cb->cd", inputs, residuals) / size
        curved = np.square(np.einsum("cbd,cd->cb", inputs, gradients)).mean(1)
        crossed = np.square(np.einsum("cbd,cd->cb", inputs[np.arange(count) ^ 1], gradients)).mean(1)
        sums = BatchSums(curved, np.square(gradients).sum(1), crossed, gradients @ gradients.sum(0))
        estimates: dict[str, BatchMean] = {name: getattr(sums, name)() for name in expected}
        inside.append([estimates[name].lower <= value <= estimates[name].upper for name, value in expected.items()])
    assert np.mean(inside, axis=0).min() > 0.88  # the benchmark counts 1,000
    assert np.mean(inside, axis=0).max() <= 1


def test_the_measurement_itself_gives_the_closed_form_of_linear_regression() -> None:
    """At the true weights, batches of one: |x|^2 for each, and so d on average."""
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(400, 6, generator=generator, dtype=torch.float64)
    weights = torch.arange(6.0, dtype=torch.float64)
    targets = (inputs @ weights + torch.randn(400, generator=generator, dtype=torch.float64))[:, None]
    model = nn.Linear(6, 1, bias=False).double()
    with torch.no_grad():
        model.weight.copy_(weights[None])
    row = lb.BatchSharpness(
        model, lambda outputs, wanted: mse_loss(outputs, wanted) / 2, (inputs, targets), batch_size=1, batches=400
    ).measure()
    assert row.sharpness == pytest.approx(float(inputs.square().sum(1).mean()))  # all samples once
    assert row.lower < 6 < row.upper
    assert row.interaction.lower < 1 < row.interaction.upper
    assert row.noise.lower < 6 < row.noise.upper
    assert row.signal_to_noise.lower < 0 < row.signal_to_noise.upper


class Stream(IterableDataset[Any]):
    """Without an index, and with random augmentation."""

    def __iter__(self) -> Iterator[Any]:
        for inputs, labels in zip(*samples(40), strict=True):
            yield inputs + torch.randn(4) / 10, labels


@pytest.mark.parametrize("kind", ["list", "shuffled", "stream"])
def test_any_loader_is_read_and_left_as_it_was(kind: str) -> None:
    model = network().float()
    loaders: dict[str, Any] = {
        "list": batches(5),
        "shuffled": DataLoader(TensorDataset(*samples(20)), batch_size=6, shuffle=True),  # the last batch has two
        "stream": DataLoader(Stream(), batch_size=6),
    }
    data = [(inputs.float(), labels) for inputs, labels in loaders[kind]] if kind == "list" else loaders[kind]
    before = torch.get_rng_state().tolist(), [parameter.clone() for parameter in model.parameters()]
    measured = lb.BatchSharpness(model, cross_entropy, data, batches=5)
    row, again = measured.measure(), measured.measure()
    assert (row.samples, row.batches) == (6, 3 if kind == "shuffled" else 5)
    assert math.isfinite(row.sharpness)
    assert again.sharpness == row.sharpness  # the batches are kept
    assert torch.get_rng_state().tolist() == before[0]
    assert all(torch.equal(old, new) for old, new in zip(before[1], model.parameters(), strict=True))
    assert all(parameter.grad is None for parameter in model.parameters())


def row_of(data: Any, loss: Any = cross_entropy, optimizer: Any = torch.optim.SGD, **options: Any) -> BatchRow:
    model = network()
    return lb.BatchSharpness(model, loss, data, optimizer=optimizer(model.parameters(), lr=0.1), **options).measure()


def test_one_batch_has_no_interval_and_says_so() -> None:
    row = row_of(batches(1))
    assert "one batch only" in row.note
    assert math.isfinite(row.sharpness)
    assert all(math.isnan(value) for value in (row.lower, row.upper, row.noise.value, row.interaction.value))


def test_a_loss_that_sums_is_right_for_its_batches_and_says_so() -> None:
    mean, summed = row_of(batches(4)), row_of(batches(4), nn.CrossEntropyLoss(reduction="sum"))
    assert "adds up its samples" in summed.note
    assert not mean.note
    assert summed.sharpness == pytest.approx(6 * mean.sharpness)  # as the step that training takes


def test_an_optimizer_without_an_edge_is_measured_and_named() -> None:
    row = row_of(batches(4), optimizer=lambda weights, lr: torch.optim.Rprop(weights, lr=lr))
    assert row.note.startswith("no edge of small batches is known")
    assert "Rprop" in row.note
    assert math.isnan(row.edge)
    assert row.sharpness == row_of(batches(4)).sharpness


def test_batches_without_a_gradient_are_left_out_and_counted() -> None:
    def hinge(outputs: Tensor, labels: Tensor) -> Tensor:
        return (outputs.square().sum(1) * (labels == 0)).mean()

    inputs, _ = samples(24)
    data = list(zip(inputs.double().split(6), torch.tensor([0, 1, 0, 1]).repeat_interleave(6).split(6), strict=True))
    row = row_of(data, hinge)
    assert "2 of 4 batches have no gradient" in row.note
    assert math.isfinite(row.sharpness)


def test_weights_without_a_number_make_a_diverged_row() -> None:
    model = network()
    measured = lb.BatchSharpness(model, cross_entropy, batches(4))
    measured.measure()
    with torch.no_grad():
        model[0].weight[0, 0] = math.nan
    assert measured.measure().diverged


@pytest.mark.parametrize(
    ("data", "options", "says"),
    [
        (batches(3), {"batch_size": 2}, "a size of their own"),
        (batches(1)[0], {"batch_size": 7}, "more than the 6 samples"),
        (batches(3), {"batches": 0}, "batches=0"),
        (batches(3), {"largest": -1}, "largest=-1"),
        ([], {}, "the loader is empty"),
    ],
)
def test_wrong_input_is_one_line(data: Any, options: dict[str, Any], says: str) -> None:
    with pytest.raises(lb.LastbitError, match=says) as error:
        row_of(data, **options)
    assert "\n" not in str(error.value)


def test_the_row_says_it_in_words_and_as_json() -> None:
    row = row_of(batches(4))
    assert repr(row).startswith("<BatchRow: batches 4 of 6, batch sharpness ")
    told = row.as_dict()
    assert told["interaction"]["value"] == row.interaction.value
    assert told["sharpness"] == row.sharpness
    assert {"batch_sharpness", "batch_normalised", "batch_noise", "batch_largest"} <= row.scalars().keys()
