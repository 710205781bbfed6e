from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.noise.stepping import Course, courses, numbers, same_bits, walked

from lastbit.noise import Scale, perturb

ADAMS = [torch.optim.Adam, torch.optim.AdamW]
ODD = (3, 5, 7, 9, 11, 257)


adam_options = st.fixed_dictionaries(
    {
        "lr": numbers(1e-3, 0.5),
        "betas": st.tuples(numbers(0, 0.99), numbers(0.5, 0.9999)),
        "eps": st.sampled_from([1e-8, 1e-3]),
        "weight_decay": st.just(0.0) | numbers(1e-4, 0.1),
        "amsgrad": st.booleans(),
        "maximize": st.booleans(),
    }
)
classes = st.sampled_from(ADAMS)


@settings(max_examples=120, deadline=None)
@given(
    cls=classes,
    course=courses,
    options=adam_options,
    foreach=st.sampled_from([None, True, False]),
    k=st.sampled_from([1, 2, 4, 8, 256]),
)
def test_powers_of_two_equal_torch_to_the_last_bit(cls, course, options, foreach, k):
    ours = walked(course, cls, k, foreach=foreach, **options)
    assert same_bits(ours, walked(course, cls, foreach=foreach, **options))


@settings(max_examples=40, deadline=None)
@given(cls=classes, course=courses, options=adam_options, k=st.integers(1, 300))
def test_k_and_2k_agree_to_the_last_bit(cls, course, options, k):
    once, twice = (walked(course, cls, factor, **options) for factor in (k, 2 * k))
    assert same_bits(once, twice)


def stepped(cls: type[torch.optim.Optimizer], k: int | None, dtype: torch.dtype, **options: Any):
    """A parameter before and after its third step, and the optimizer."""
    generator = torch.Generator().manual_seed(0)
    param = torch.nn.Parameter(torch.randn(500, generator=generator, dtype=torch.float64).to(dtype))
    optimizer = cls([param], **options)
    optimizer = optimizer if k is None else perturb(optimizer, Scale(k))
    for _ in range(3):
        before = param.detach().clone()
        param.grad = torch.randn(500, generator=generator, dtype=torch.float64).to(dtype)
        optimizer.step()
    return before, param, optimizer


@pytest.mark.parametrize("cls", ADAMS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("k", ODD)
@pytest.mark.parametrize("amsgrad", [False, True])
def test_odd_k_is_the_formula_written_out(cls, dtype, k, amsgrad):
    lr, betas, eps, decay = 0.01, (0.9, 0.99), 1e-8, 0.1
    options = {"lr": lr, "betas": betas, "eps": eps, "amsgrad": amsgrad}
    before, param, optimizer = stepped(cls, k, dtype, weight_decay=decay if cls is torch.optim.AdamW else 0, **options)
    state = optimizer.state[param]
    number = before.numpy().dtype.type
    start = before.numpy() * (number(1 - lr * decay) if cls is torch.optim.AdamW else number(1))
    # The library's own square root, for it need not be correctly rounded; all else is written out.
    root = torch.sqrt(state["max_exp_avg_sq" if amsgrad else "exp_avg_sq"]).numpy()
    denominator = root / number((1 - betas[1] ** 3) ** 0.5) + number(eps)
    numerator = state["exp_avg"].numpy() / number(k)
    expected = start + number(-(lr / (1 - betas[0] ** 3)) * k) * numerator / denominator
    assert np.array_equal(param.detach().numpy(), expected)


@pytest.mark.parametrize("cls", ADAMS)
@pytest.mark.parametrize("k", ODD)
def test_moments_do_not_know_of_k_and_weights_nearly_not(cls, k):
    _, torchs, reference = stepped(cls, None, torch.float64, lr=0.01, weight_decay=0)
    _, ours, optimizer = stepped(cls, k, torch.float64, lr=0.01, weight_decay=0)
    assert same_bits(list(reference.state[torchs].values()), list(optimizer.state[ours].values()))
    assert not torch.equal(torchs, ours)
    torch.testing.assert_close(torchs, ours, rtol=1e-15, atol=1e-17)


@pytest.mark.parametrize("cls", ADAMS)
@pytest.mark.parametrize("foreach", [None, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_lr_may_be_a_tensor(cls, foreach, dtype):
    options = {"lr": torch.tensor(0.1), "weight_decay": 0.01, "foreach": foreach}
    course = Course(dtype=dtype)
    assert same_bits(walked(course, cls, 4, **options), walked(course, cls, **options))


@pytest.mark.parametrize("cls", ADAMS)
@pytest.mark.parametrize("foreach", [None, True])
@pytest.mark.parametrize("options", [{}, {"amsgrad": True, "weight_decay": 0.1, "maximize": True}])
def test_complex_parameters(cls, foreach, options):
    def results(k: int | None) -> list[torch.Tensor]:
        generator = torch.Generator().manual_seed(0)
        param = torch.nn.Parameter(torch.randn(50, dtype=torch.complex64, generator=generator))
        optimizer = cls([param], lr=0.1, foreach=foreach, **options)
        optimizer = optimizer if k is None else perturb(optimizer, Scale(k))
        for _ in range(3):
            param.grad = torch.randn(50, dtype=torch.complex64, generator=generator)
            optimizer.step()
        return [param.detach(), *optimizer.state[param].values()]

    assert same_bits(results(None), results(2))
    assert not same_bits(results(1), results(3))


@pytest.mark.parametrize("cls", ADAMS)
@pytest.mark.parametrize("foreach", [None, True])
def test_gradients_are_left_alone(cls, foreach):
    param = torch.nn.Parameter(torch.ones(3, 4))
    param.grad = torch.tensor(0.5).expand(3, 4)
    perturb(cls([param], lr=0.1, maximize=True, weight_decay=0.1, foreach=foreach), Scale(3)).step()
    assert torch.equal(param.grad, torch.full((3, 4), 0.5))


@pytest.mark.parametrize("cls", ADAMS)
def test_sparse_gradients_are_refused_as_by_torch(cls):
    table = torch.nn.Embedding(6, 4, sparse=True)
    optimizer = perturb(cls(table.parameters()), Scale(3))
    table(torch.tensor([1])).sum().backward()
    with pytest.raises(RuntimeError, match="does not support sparse gradients"):
        optimizer.step()
