"""Products against dense float64 Hessians, closed forms, and every way of cutting the data."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.func import functional_call

from lastbit.curvature import CurvatureOperator, GaussNewtonOperator, HessianOperator

LOSSES = {"cross-entropy": nn.CrossEntropyLoss(), "squared error": nn.MSELoss()}


def network(seed: int = 0, dtype: torch.dtype = torch.float64) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)).to(dtype)


def batch(samples: int = 12, seed: int = 0, *, loss: str = "cross-entropy") -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(samples, 4, generator=generator, dtype=torch.float64)
    if loss == "cross-entropy":
        return inputs, torch.randint(3, (samples,), generator=generator)
    return inputs, torch.randn(samples, 3, generator=generator, dtype=torch.float64)


def dense_hessian(model: nn.Module, loss: nn.Module, data: tuple[Tensor, Tensor]) -> Tensor:
    """By torch's own nested differentiation of the loss as a function of one flat vector."""
    names, weights = zip(*model.named_parameters(), strict=True)
    sizes = [w.numel() for w in weights]

    def value(flat: Tensor) -> Tensor:
        parts = [p.reshape(w.shape) for p, w in zip(flat.split(sizes), weights, strict=True)]
        return loss(functional_call(model, dict(zip(names, parts, strict=True)), (data[0],)), data[1])

    return torch.autograd.functional.hessian(value, torch.cat([w.detach().reshape(-1) for w in weights]))


def dense_gauss_newton(model: nn.Module, loss: nn.Module, data: tuple[Tensor, Tensor]) -> Tensor:
    names, weights = zip(*model.named_parameters(), strict=True)

    def outputs(*parts: Tensor) -> Tensor:
        return functional_call(model, dict(zip(names, parts, strict=True)), (data[0],)).reshape(-1)

    jacobians = torch.autograd.functional.jacobian(outputs, tuple(w.detach() for w in weights))
    jacobian = torch.cat([j.reshape(j.shape[0], -1) for j in jacobians], dim=1)
    z = model(data[0]).detach()
    bend = torch.autograd.functional.hessian(lambda flat: loss(flat.reshape(z.shape), data[1]), z.reshape(-1))
    return jacobian.T @ bend @ jacobian


def matrix_of(operator: CurvatureOperator) -> Tensor:
    return operator @ torch.eye(operator.size, dtype=operator.dtype)


def cut(data: tuple[Tensor, Tensor], sizes: list[int]) -> list[tuple[Tensor, Tensor]]:
    return list(zip(data[0].split(sizes), data[1].split(sizes), strict=True))


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("seed", [0, 1])
def test_hessian_is_the_dense_one(loss: str, seed: int) -> None:
    model, data = network(seed), batch(seed=seed, loss=loss)
    expected = dense_hessian(model, LOSSES[loss], data)
    torch.testing.assert_close(matrix_of(HessianOperator(model, LOSSES[loss], data)), expected, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("loss", LOSSES)
def test_gauss_newton_is_the_dense_one(loss: str) -> None:
    model, data = network(), batch(loss=loss)
    expected = dense_gauss_newton(model, LOSSES[loss], data)
    actual = matrix_of(GaussNewtonOperator(model, LOSSES[loss], data))
    torch.testing.assert_close(actual, expected, rtol=1e-11, atol=1e-13)
    assert float(torch.linalg.eigvalsh(actual)[0]) > -1e-12


def test_linear_regression_in_closed_form() -> None:
    inputs, targets = batch(loss="squared error")
    model = nn.Linear(4, 3, bias=False).double()
    moment = 2 * inputs.T @ inputs / inputs.shape[0] / 3  # of a mean over 12 samples and 3 outputs
    for operator in (HessianOperator, GaussNewtonOperator):
        expected = torch.block_diag(moment, moment, moment)
        torch.testing.assert_close(matrix_of(operator(model, nn.MSELoss(), (inputs, targets))), expected)


def test_softmax_regression_in_closed_form() -> None:
    inputs, targets = batch()
    model = nn.Linear(4, 3, bias=False).double()
    p = model(inputs).softmax(1).detach()
    bend = torch.diag_embed(p) - p[:, :, None] * p[:, None, :]
    expected = torch.einsum("ncd,ni,nj->cidj", bend, inputs, inputs).reshape(12, 12) / inputs.shape[0]
    torch.testing.assert_close(matrix_of(HessianOperator(model, nn.CrossEntropyLoss(), (inputs, targets))), expected)


@settings(deadline=None, max_examples=8)
@given(sizes=st.lists(st.integers(1, 6), min_size=1, max_size=5), micro=st.none() | st.integers(1, 7))
def test_uneven_batches_and_pieces_make_no_difference(sizes: list[int], micro: int | None) -> None:
    model, data = network(), batch(sum(sizes))
    loss = nn.CrossEntropyLoss()
    for operator in (HessianOperator, GaussNewtonOperator):
        whole = operator(model, loss, data)
        vectors = torch.randn(whole.size, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
        expected = whole @ vectors
        for given_data in (cut(data, sizes), list(map(list, cut(data, sizes)))):
            actual = operator(model, loss, given_data, micro_batch=micro) @ vectors
            torch.testing.assert_close(actual, expected, rtol=1e-11, atol=1e-13)


def test_a_loader_is_read_anew_for_each_product() -> None:
    model, data = network(), batch(10)
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(*data), batch_size=4)
    operator = HessianOperator(model, nn.CrossEntropyLoss(), loader)
    torch.testing.assert_close(matrix_of(operator), dense_hessian(model, nn.CrossEntropyLoss(), data))


def test_a_shuffling_loader_has_one_matrix() -> None:
    model, data = network(), batch(10)
    dataset = torch.utils.data.TensorDataset(*data)
    operator = HessianOperator(
        model, nn.CrossEntropyLoss(), torch.utils.data.DataLoader(dataset, batch_size=4, shuffle=True, drop_last=True)
    )
    first = matrix_of(operator)
    torch.rand(3)
    assert torch.equal(matrix_of(operator), first)


def test_a_batch_as_a_loader_yields_it_is_one_batch() -> None:
    model, data = network(), batch(2)
    expected = dense_hessian(model, nn.CrossEntropyLoss(), data)
    torch.testing.assert_close(matrix_of(HessianOperator(model, nn.CrossEntropyLoss(), list(data))), expected)


def test_nested_inputs_are_cut_by_samples() -> None:
    class Sum(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = network()

        def forward(self, inputs: dict[str, Tensor]) -> Tensor:
            return self.inner(inputs["left"] + inputs["right"])

    inputs, targets = batch(9)
    model, data = Sum(), ({"left": 0.25 * inputs, "right": 0.75 * inputs}, targets)
    expected = dense_hessian(model.inner, nn.CrossEntropyLoss(), (inputs, targets))
    torch.testing.assert_close(matrix_of(HessianOperator(model, nn.CrossEntropyLoss(), data, micro_batch=2)), expected)


def test_parameters_by_glob_give_the_block() -> None:
    model, data = network(), batch()
    full = dense_hessian(model, nn.CrossEntropyLoss(), data)
    operator = HessianOperator(model, nn.CrossEntropyLoss(), data, parameters="2.*")
    assert operator.names == ("2.weight", "2.bias")
    torch.testing.assert_close(matrix_of(operator), full[25:, 25:])
    both = HessianOperator(model, nn.CrossEntropyLoss(), data, parameters=("0.bias", "2.bias"))
    index = torch.tensor([*range(20, 25), *range(40, 43)])
    torch.testing.assert_close(matrix_of(both), full[index][:, index])


def test_frozen_parameters_do_not_count() -> None:
    model, data = network(), batch()
    model[0].requires_grad_(False)
    full = dense_hessian(model, nn.CrossEntropyLoss(), data)
    torch.testing.assert_close(matrix_of(HessianOperator(model, nn.CrossEntropyLoss(), data)), full[25:, 25:])


def test_weight_decay_and_preconditioner() -> None:
    model, data = network(), batch()
    plain = dense_hessian(model, nn.CrossEntropyLoss(), data)
    eye = torch.eye(len(plain), dtype=torch.float64)
    decayed = HessianOperator(model, nn.CrossEntropyLoss(), data, weight_decay=0.3)
    torch.testing.assert_close(matrix_of(decayed), plain + 0.3 * eye)
    scale = {p: torch.rand_like(p) + 0.5 for p in model.parameters()}
    decay = {model[0].weight: 0.7}
    operator = HessianOperator(model, nn.CrossEntropyLoss(), data, weight_decay=decay, preconditioner=scale)
    root = torch.cat([s.reshape(-1) for s in scale.values()]).rsqrt()
    expected = root[:, None] * (plain + torch.diag(torch.tensor([0.7] * 20 + [0.0] * 23))) * root
    torch.testing.assert_close(matrix_of(operator), expected)


def test_a_snapshot_does_not_follow_training() -> None:
    model, data = network(), batch()
    expected = dense_hessian(model, nn.CrossEntropyLoss(), data)
    operators = [HessianOperator(model, nn.CrossEntropyLoss(), data, micro_batch=m) for m in (None, 5)]
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(3)
    for operator in operators:
        torch.testing.assert_close(matrix_of(operator), expected)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 0.05)])
def test_narrow_parameters(dtype: torch.dtype, tolerance: float) -> None:
    model, (inputs, targets) = network(dtype=dtype), batch()
    data = inputs.to(dtype), targets
    exact_model = network()
    exact_model.load_state_dict({name: value.double() for name, value in model.state_dict().items()})
    exact = dense_hessian(exact_model, nn.CrossEntropyLoss(), (data[0].double(), targets))
    operator = HessianOperator(model, nn.CrossEntropyLoss(), data)
    assert operator.dtype == torch.float32
    assert float((matrix_of(operator).double() - exact).norm() / exact.norm()) < tolerance
    reference = HessianOperator(model, nn.CrossEntropyLoss(), data, dtype=torch.float64)
    torch.testing.assert_close(matrix_of(reference), exact)


def test_scipy_sees_the_same_matrix() -> None:
    from scipy.sparse.linalg import eigsh

    model, data = network(), batch()
    dense = dense_hessian(model, nn.CrossEntropyLoss(), data).numpy()
    linear = HessianOperator(model, nn.CrossEntropyLoss(), data).as_linear_operator()
    np.testing.assert_allclose(linear @ np.eye(43), dense, atol=1e-13)
    np.testing.assert_allclose(linear @ np.arange(43.0), dense @ np.arange(43.0), atol=1e-12)
    top = eigsh(linear, k=1, which="LA", return_eigenvectors=False)[0]
    assert math.isclose(top, np.linalg.eigvalsh(dense)[-1], rel_tol=1e-10)


def test_a_loss_linear_in_the_weights_has_a_zero_hessian() -> None:
    inputs, targets = batch(loss="squared error")
    model = nn.Linear(4, 3).double()

    def linear(outputs: Tensor, _: Tensor) -> Tensor:
        return outputs.sum(1).mean()

    for operator in (HessianOperator, GaussNewtonOperator):
        assert not matrix_of(operator(model, linear, (inputs, targets))).any()


def test_tied_weights_count_once() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one = nn.Linear(4, 4, bias=False)
            self.two = self.one

        def forward(self, inputs: Tensor) -> Tensor:
            return self.two(torch.tanh(self.one(inputs)))

    torch.manual_seed(3)
    model = Tied().double()
    inputs, _ = batch()
    data = inputs, inputs.flip(0)

    def value(weight: Tensor) -> Tensor:
        return nn.functional.mse_loss(torch.tanh(inputs @ weight.T) @ weight.T, data[1])

    expected = torch.autograd.functional.hessian(value, model.one.weight.detach()).reshape(16, 16)
    torch.testing.assert_close(matrix_of(HessianOperator(model, nn.MSELoss(), data)), expected)
