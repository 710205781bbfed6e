from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.noise.stepping import MULTIPLY_ADDS, Course, courses, numbers, same_bits, walked

from lastbit.noise import Scale, perturb

ODD = (3, 5, 7, 9, 11, 257)


@st.composite
def sgd_options(draw: st.DrawFn) -> dict[str, Any]:
    momentum = draw(st.just(0.0) | numbers(0.01, 0.99))
    nesterov = momentum > 0 and draw(st.booleans())
    return {
        "lr": draw(numbers(1e-3, 0.5)),
        "momentum": momentum,
        "nesterov": nesterov,
        "dampening": 0.0 if nesterov else draw(st.just(0.0) | numbers(0.01, 0.99)),
        "weight_decay": draw(st.just(0.0) | numbers(1e-4, 0.1)),
        "maximize": draw(st.booleans()),
    }


@settings(max_examples=120, deadline=None)
@given(
    course=courses,
    options=sgd_options(),
    foreach=st.sampled_from([None, True, False]),
    k=st.sampled_from([1, 2, 4, 8, 256]),
)
def test_powers_of_two_equal_torch_to_the_last_bit(course, options, foreach, k):
    ours = walked(course, torch.optim.SGD, k, foreach=foreach, **options)
    assert same_bits(ours, walked(course, torch.optim.SGD, foreach=foreach, **options))


@settings(max_examples=40, deadline=None)
@given(course=courses, options=sgd_options(), k=st.integers(1, 300))
def test_k_and_2k_agree_to_the_last_bit(course, options, k):
    once, twice = (walked(course, torch.optim.SGD, factor, **options) for factor in (k, 2 * k))
    assert same_bits(once, twice)


def literal_sgd(p, g, b, madd, *, k, lr, momentum, nesterov, dampening, weight_decay, maximize):
    """One step of the formula, in the arrays' own precision; `madd` rounds `a + alpha b`."""
    d = madd(-g if maximize else g, weight_decay, p) if weight_decay else (-g if maximize else g)
    if momentum:
        b = madd(p.dtype.type(momentum) * b, 1 - dampening, d)
        d = madd(d, momentum, b) if nesterov else b
    return madd(p, -(lr * k), d / p.dtype.type(k)), b


@settings(max_examples=60, deadline=None)
@given(
    options=sgd_options(),
    k=st.sampled_from(ODD),
    dtype=st.sampled_from(["float32", "float64"]),
    seed=st.integers(0, 99),
)
def test_odd_k_is_the_formula_written_out(options, k, dtype, seed):
    p, g, b = np.random.default_rng(seed).normal(size=(3, 40)).astype(dtype)
    param = torch.nn.Parameter(torch.from_numpy(p.copy()))
    param.grad = torch.from_numpy(g.copy())
    optimizer = perturb(torch.optim.SGD([param], **options), Scale(k))
    optimizer.state[param]["momentum_buffer"] = torch.from_numpy(b.copy())
    optimizer.step()
    expected = [literal_sgd(p, g, b, madd, k=k, **options) for madd in MULTIPLY_ADDS]
    buffer = optimizer.state[param]["momentum_buffer"].numpy()
    assert any(
        np.array_equal(param.detach().numpy(), weights) and np.array_equal(buffer, momentum)
        for weights, momentum in expected
    )
    assert np.array_equal(param.grad.numpy(), g)


@pytest.mark.parametrize("k", ODD)
def test_bfloat16_is_the_formula_within_its_last_place(k):
    generator = torch.Generator().manual_seed(0)
    p, g = (torch.randn(2000, generator=generator).bfloat16() for _ in range(2))
    param = torch.nn.Parameter(p.clone())
    param.grad = g
    perturb(torch.optim.SGD([param], lr=0.1), Scale(k)).step()
    divided = (g.double() / k).bfloat16().double()
    exact = p.double() - torch.tensor(0.1 * k).bfloat16().double() * divided
    unit = 2.0 ** (torch.floor(torch.log2(exact.abs())) - 7)
    # The product may be rounded before the sum, so near cancellation its own last place counts.
    product_unit = 2.0 ** (torch.floor(torch.log2((p.double() - exact).abs())) - 7)
    assert ((param.double() - exact).abs() <= torch.maximum(unit, product_unit)).all()


def small_network() -> torch.nn.Module:
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Conv2d(1, 8, 3, stride=2, bias=False),
        torch.nn.BatchNorm2d(8),
        torch.nn.ReLU(),
        torch.nn.Conv2d(8, 16, 3, stride=2, bias=False),
        torch.nn.BatchNorm2d(16),
        torch.nn.ReLU(),
        torch.nn.Flatten(),
        torch.nn.Linear(16 * 3 * 3, 10),
    )


def train(k: int | None, steps: int) -> tuple[torch.Tensor, list[float]]:
    """Weights and losses of a small network trained on noise images."""
    network = small_network()
    images = torch.randn(32, 1, 16, 16, generator=torch.Generator().manual_seed(1))
    labels = torch.arange(32) % 10
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9, nesterov=True, weight_decay=5e-4)
    if k is not None:
        optimizer = perturb(optimizer, Scale(k))
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(network(images), labels)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return torch.nn.utils.parameters_to_vector(network.parameters()).detach(), losses


def test_training_with_powers_of_two_is_torchs_training():
    weights, losses = train(None, 15)
    for k in (1, 2, 8):
        ours, our_losses = train(k, 15)
        assert same_bits([weights], [ours])
        assert losses == our_losses
    assert losses[-1] < losses[0] / 2


def test_training_with_odd_k_differs_and_barely():
    weights, losses = train(1, 15)
    ours, our_losses = train(3, 15)
    assert not torch.equal(weights, ours)
    assert torch.equal(ours, train(3, 15)[0])
    assert losses == pytest.approx(our_losses, rel=1e-3)


@pytest.mark.parametrize("k", [3, 5, 7, 9, 11])
def test_one_step_changes_a_few_percent_of_float32_weights_in_the_last_bit(k):
    generator = torch.Generator().manual_seed(0)
    before = torch.randn(50_000, generator=generator) * 0.1
    grad = torch.randn(50_000, generator=generator) * 0.02
    after = []
    for factor in (1, k):
        param = torch.nn.Parameter(before.clone())
        param.grad = grad
        perturb(torch.optim.SGD([param], lr=0.1), Scale(factor)).step()
        after.append(param.detach().numpy())
    changed = (after[0] != after[1]).mean()
    assert 0.01 < changed < 0.05
    step = np.abs(after[0] - before.numpy())
    last_place = np.spacing(np.maximum(np.abs(after[0]), np.abs(after[1])))
    assert (np.abs(after[0] - after[1]) <= last_place + 4 * 2.0**-24 * step).all()


def test_learning_rate_shift_is_as_documented():
    def shifts(dtype: torch.dtype) -> list[float]:
        rounded = {k: torch.tensor(0.1 * k, dtype=torch.float64).to(dtype).item() for k in (1, 3, 5, 7, 9, 11)}
        return [rounded[k] / k / rounded[1] - 1 for k in (3, 5, 7, 9, 11)]

    assert shifts(torch.float32) == pytest.approx([2.5e-8, -1.5e-8, -3.2e-8, -4.1e-8, 0.7e-8], abs=0.05e-8)
    assert shifts(torch.bfloat16) == pytest.approx([1.6e-3, -1.0e-3, -2.1e-3, -2.7e-3, 0.4e-3], abs=0.05e-3)


@pytest.mark.parametrize("k", [1, 3, 7])
def test_lr_times_k_is_formed_in_double_and_rounded_once(k):
    lr = 0.1 + 2.0**-30
    param = torch.nn.Parameter(torch.zeros(1))
    param.grad = torch.full((1,), float(k))  # d / k is exactly 1
    perturb(torch.optim.SGD([param], lr=lr), Scale(k)).step()
    assert param.item() == -float(np.float32(lr * k))


@pytest.mark.parametrize("lr", [torch.tensor(0.1), torch.tensor([0.1], dtype=torch.float64)])
@pytest.mark.parametrize("foreach", [None, True, False])
def test_lr_may_be_a_tensor(lr, foreach):
    options = {"lr": lr, "momentum": 0.9, "weight_decay": 0.01, "foreach": foreach}
    assert same_bits(walked(Course(), torch.optim.SGD, 4, **options), walked(Course(), torch.optim.SGD, **options))


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("foreach", [None, True])
@pytest.mark.parametrize("maximize", [False, True])
@pytest.mark.parametrize("k", [1, 2, 3])
def test_sparse_gradients(momentum, foreach, maximize, k):
    def trained(perturbed: bool) -> torch.Tensor:
        table = torch.nn.Embedding(6, 4, sparse=True)
        table.weight.data = torch.linspace(-1, 1, 24).reshape(6, 4)
        options = {"lr": 0.1, "momentum": momentum, "foreach": foreach, "maximize": maximize}
        optimizer = torch.optim.SGD(table.parameters(), **options)
        optimizer = perturb(optimizer, Scale(k)) if perturbed else optimizer
        for indices in ([0, 2, 2], [2, 5], [1, 1, 1]):
            optimizer.zero_grad()
            table(torch.tensor(indices)).square().sum().backward()
            optimizer.step()
        return table.weight.detach()

    ours, torchs = trained(True), trained(False)
    if k == 3:
        assert not torch.equal(ours, torchs)
        torch.testing.assert_close(ours, torchs, rtol=1e-5, atol=1e-6)
    else:
        assert same_bits([ours], [torchs])


@pytest.mark.parametrize("foreach", [None, True])
@pytest.mark.parametrize("options", [{}, {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1, "maximize": True}])
def test_complex_parameters(foreach, options):
    def stepped(k: int | None) -> list[torch.Tensor]:
        generator = torch.Generator().manual_seed(0)
        param = torch.nn.Parameter(torch.randn(50, dtype=torch.complex64, generator=generator))
        optimizer = torch.optim.SGD([param], lr=0.1, foreach=foreach, **options)
        optimizer = optimizer if k is None else perturb(optimizer, Scale(k))
        for _ in range(3):
            param.grad = torch.randn(50, dtype=torch.complex64, generator=generator)
            optimizer.step()
        return [param.detach()]

    assert same_bits(stepped(None), stepped(2))
    assert not same_bits(stepped(1), stepped(3))


@pytest.mark.parametrize("foreach", [None, True])
def test_gradients_with_broadcast_memory_are_left_alone(foreach):
    param = torch.nn.Parameter(torch.ones(3, 4))
    param.grad = torch.tensor(0.5).expand(3, 4)
    perturb(torch.optim.SGD([param], lr=0.1, momentum=0.9, nesterov=True, foreach=foreach), Scale(3)).step()
    assert torch.equal(param.grad, torch.full((3, 4), 0.5))
    torch.testing.assert_close(param.detach(), torch.full((3, 4), 1 - 0.1 * 0.95))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_divergence_is_carried_not_raised(value):
    param = torch.nn.Parameter(torch.ones(2))
    param.grad = torch.tensor([value, 1.0])
    perturb(torch.optim.SGD([param], lr=0.5), Scale(3)).step()
    assert not param[0].isfinite()
    assert param[1] == 0.5
