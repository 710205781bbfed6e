"""The steps with k of Adagrad, NAdam, RMSprop and Muon: torch's bits at powers of two, the formula at odd k."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.noise.stepping import MULTIPLY_ADDS, courses, numbers, same_bits, walked
from torch.optim import _muon

from lastbit.noise import Scale, perturb

ODD = (3, 5, 257)
rmsprop_options = st.fixed_dictionaries(
    {
        "lr": numbers(1e-3, 0.5),
        "alpha": numbers(0.5, 0.999),
        "eps": st.sampled_from([1e-8, 1e-3]),
        "weight_decay": st.just(0.0) | numbers(1e-4, 0.1),
        "momentum": st.just(0.0) | numbers(0.1, 0.99),
        "centered": st.booleans(),
        "maximize": st.booleans(),
    }
)
common = {"lr": numbers(1e-3, 0.5), "weight_decay": st.just(0.0) | numbers(1e-4, 0.1), "maximize": st.booleans()}
adagrad_options = st.fixed_dictionaries(
    common | {"lr_decay": st.just(0.0) | numbers(1e-3, 0.5), "initial_accumulator_value": st.sampled_from([0.0, 0.1])}
)
nadam_options = st.fixed_dictionaries(
    common
    | {
        "betas": st.tuples(numbers(0, 0.99), numbers(0.5, 0.9999)),
        "momentum_decay": st.sampled_from([4e-3, 0.3]),
        "decoupled_weight_decay": st.booleans(),
    }
)
OPTIONS = {
    torch.optim.RMSprop: rmsprop_options,
    torch.optim.Adagrad: adagrad_options,
    torch.optim.NAdam: nadam_options,
}
muon_options = st.fixed_dictionaries(
    {
        "lr": numbers(1e-3, 0.5),
        "weight_decay": st.just(0.0) | numbers(1e-4, 0.1),
        "momentum": numbers(0, 0.99),
        "nesterov": st.booleans(),
        "adjust_lr_fn": st.sampled_from([None, "original", "match_rms_adamw"]),
    }
)


@pytest.mark.parametrize("kind", OPTIONS)
@settings(max_examples=50, deadline=None)
@given(
    data=st.data(),
    course=courses,
    foreach=st.sampled_from([None, True, False]),
    k=st.sampled_from([1, 2, 4, 256]),
)
def test_powers_of_two_equal_torch_to_the_last_bit(kind: Any, data: Any, course: Any, foreach: Any, k: int) -> None:
    options = data.draw(OPTIONS[kind])
    plain = walked(course, kind, foreach=foreach, **options)
    assert same_bits(walked(course, kind, k, foreach=foreach, **options), plain)


def trained(kind: Any, k: int | None, dtype: torch.dtype, *, steps: int = 3, **options: Any) -> Any:
    """A matrix before and after its last step, the optimizer, and everything that is left."""
    generator = torch.Generator().manual_seed(0)
    param = torch.nn.Parameter(torch.randn(9, 6, generator=generator, dtype=torch.float64).to(dtype))
    optimizer = kind([param], **options)
    optimizer = optimizer if k is None else perturb(optimizer, Scale(k))
    for _ in range(steps):
        before = param.detach().clone()
        param.grad = torch.randn(9, 6, generator=generator, dtype=torch.float64).to(dtype)
        optimizer.step()
    return before, param.detach(), optimizer, [param.detach(), *optimizer.state[param].values()]


@settings(max_examples=30, deadline=None)
@given(
    dtype=st.sampled_from([torch.float32, torch.float64, torch.bfloat16]),
    options=muon_options,
    k=st.sampled_from([1, 2, 4, 256]),
)
def test_muon_equals_torch_to_the_last_bit_at_powers_of_two(dtype: Any, options: Any, k: int) -> None:
    plain, ours = (trained(torch.optim.Muon, own, dtype, **options)[3] for own in (None, k))
    assert same_bits(ours, plain)


@pytest.mark.parametrize("k", ODD)
@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_odd_k_of_rmsprop_is_the_formula_written_out(k: int, momentum: float, dtype: torch.dtype) -> None:
    options = {"lr": 0.01, "alpha": 0.9, "eps": 1e-3, "momentum": momentum}
    before, after, optimizer, _ = trained(torch.optim.RMSprop, k, dtype, **options)
    (param,) = optimizer.param_groups[0]["params"]
    number, start = before.numpy().dtype.type, before.numpy()
    if momentum:
        direction = optimizer.state[param]["momentum_buffer"].numpy() / number(k)
        expected = [add(start.ravel(), -(0.01 * k), direction.ravel()) for add in MULTIPLY_ADDS]
    else:
        root = torch.sqrt(optimizer.state[param]["square_avg"]).numpy() + number(1e-3)
        expected = [(start + number(-(0.01 * k)) * (param.grad.numpy() / number(k)) / root).ravel()]
    assert any(np.array_equal(after.numpy().ravel(), each) for each in expected)
    assert not torch.equal(after, trained(torch.optim.RMSprop, None, dtype, **options)[1])


@pytest.mark.parametrize("k", ODD)
def test_odd_k_of_muon_is_the_formula_written_out(k: int) -> None:
    """D / k is rounded in the weights' float32, though D itself has the digits of bfloat16."""
    before, after, optimizer, _ = trained(torch.optim.Muon, k, torch.float32, lr=0.01, weight_decay=0.1)
    group = optimizer.param_groups[0]
    (param,) = group["params"]
    along = param.grad.lerp(optimizer.state[param]["momentum_buffer"], group["momentum"])
    factor = _muon._zeropower_via_newtonschulz(along, group["ns_coefficients"], group["ns_steps"], group["eps"])
    direction = factor.float().numpy() / np.float32(k)
    decayed = before.numpy() * np.float32(1 - 0.01 * 0.1)
    rate = -(0.01 * (9 / 6) ** 0.5 * k)
    expected = [add(decayed.ravel(), rate, direction.ravel()) for add in MULTIPLY_ADDS]
    assert any(np.array_equal(after.numpy().ravel(), each) for each in expected)
    plain = trained(torch.optim.Muon, None, torch.float32, lr=0.01, weight_decay=0.1)[1]
    assert not torch.equal(after, plain)
    torch.testing.assert_close(after, plain, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("k", ODD)
@pytest.mark.parametrize("foreach", [False, True])
def test_odd_k_of_adagrad_is_the_formula_written_out(k: int, foreach: bool) -> None:
    before, after, optimizer, _ = trained(torch.optim.Adagrad, k, torch.float32, lr=0.01, lr_decay=0.5, foreach=foreach)
    (param,) = optimizer.param_groups[0]["params"]
    root = torch.sqrt(optimizer.state[param]["sum"]).numpy() + np.float32(1e-10)
    divided, rate = param.grad.numpy() / np.float32(k), np.float32(-(0.01 / 2) * k)
    assert np.array_equal(after.numpy(), before.numpy() + rate * divided / root)
    assert not torch.equal(after, trained(torch.optim.Adagrad, None, torch.float32, lr=0.01, lr_decay=0.5)[1])


@pytest.mark.parametrize("k", ODD)
def test_odd_k_of_nadam_is_the_formula_written_out(k: int) -> None:
    options = {"lr": 0.01, "betas": (0.9, 0.99), "eps": 1e-8, "momentum_decay": 0.3, "foreach": False}
    before, after, optimizer, _ = trained(torch.optim.NAdam, k, torch.float64, **options)
    (param,) = optimizer.param_groups[0]["params"]
    state = optimizer.state[param]
    mus = [0.9 * (1 - 0.5 * 0.96 ** (0.3 * count)) for count in (1, 2, 3, 4)]
    product = float(state["mu_product"])  # of float32
    assert product == pytest.approx(mus[0] * mus[1] * mus[2])
    root = torch.sqrt(state["exp_avg_sq"] / (1 - 0.99**3)).numpy() + 1e-8
    first = -0.01 * (1 - mus[2]) / (1 - product) * k * (param.grad.numpy() / k) / root
    second = -0.01 * mus[3] / (1 - product * mus[3]) * k * (state["exp_avg"].numpy() / k) / root
    assert np.array_equal(after.numpy(), before.numpy() + first + second)
    assert not torch.equal(after, trained(torch.optim.NAdam, None, torch.float64, **options)[1])


def test_sparse_gradients_of_adagrad_are_refused_in_a_line() -> None:
    table = torch.nn.Embedding(6, 4, sparse=True)
    optimizer = perturb(torch.optim.Adagrad(table.parameters()), Scale(3))
    table(torch.tensor([1])).sum().backward()
    with pytest.raises(ValueError, match="Adagrad's step on sparse gradients cannot be perturbed"):
        optimizer.step()


COMPLEX: dict[Any, dict[str, Any]] = {
    torch.optim.RMSprop: {"momentum": 0.5, "centered": True},
    torch.optim.Adagrad: {"lr_decay": 0.1},
    torch.optim.NAdam: {},
}


@pytest.mark.parametrize("kind", COMPLEX)
@pytest.mark.parametrize("foreach", [None, True])
def test_complex_parameters(kind: Any, foreach: bool | None) -> None:
    def results(k: int | None) -> list[torch.Tensor]:
        generator = torch.Generator().manual_seed(0)
        param = torch.nn.Parameter(torch.randn(50, dtype=torch.complex64, generator=generator))
        options = {"lr": 0.1, "foreach": foreach, "weight_decay": 0.1, "maximize": True}
        optimizer = kind([param], **options, **COMPLEX[kind])
        optimizer = optimizer if k is None else perturb(optimizer, Scale(k))
        for _ in range(3):
            param.grad = torch.randn(50, dtype=torch.complex64, generator=generator)
            optimizer.step()
        return [param.detach(), *optimizer.state[param].values()]

    assert same_bits(results(None), results(2))
    assert not same_bits(results(1), results(3))
