import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.func import functional_call
from torch.nn import functional as F

from lastbit.pde.layers.operator import ForwardPass

torch.set_num_threads(1)


class Residual(nn.Module):
    """A block with a skip and an in-place activation, its normalisation optional."""

    def __init__(self, channels, groups, norm):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding="same", groups=groups, bias=False)
        self.norm = nn.BatchNorm2d(channels) if norm else nn.Identity()

    def forward(self, x):
        return F.silu(x + self.norm(self.conv(x)), inplace=True)


@st.composite
def problems(draw):
    """Small float64 networks with every option of a convolution varied, and a batch."""
    torch.manual_seed(draw(st.integers(0, 10**6)))
    groups = draw(st.sampled_from([1, 2]))
    first = nn.Conv2d(
        2,
        2 * draw(st.integers(1, 2)),
        (draw(st.integers(1, 3)), draw(st.integers(1, 3))),
        stride=(draw(st.integers(1, 3)), draw(st.integers(1, 2))),
        padding=draw(st.sampled_from([0, 1, (0, 2)])),
        dilation=draw(st.sampled_from([1, 2])),
        groups=groups,
        padding_mode=draw(st.sampled_from(["zeros", "reflect", "circular", "replicate"])),
    )
    norm = draw(st.booleans())
    activation = draw(st.sampled_from([nn.SiLU(inplace=True), nn.Tanh(), nn.GELU(), nn.ReLU(inplace=True)]))
    model = nn.Sequential(
        first,
        activation,
        Residual(first.out_channels, groups, norm),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(first.out_channels, 3),
    ).double()
    model.train(draw(st.booleans()))
    batch = torch.randn(3, 2, 7, 6, dtype=torch.float64), torch.tensor([0, 2, 1])
    return model, batch


def dense_blocks(model, loss, batch, name):
    """The block and its two parts, written out by autograd on a plain function of the weight."""
    weight = model.get_submodule(name).weight.detach().clone()
    buffers = {key: value.clone() for key, value in model.named_buffers()}

    def outputs(w):
        return functional_call(model, {f"{name}.weight": w} | {k: b.clone() for k, b in buffers.items()}, (batch[0],))

    free = outputs(weight).detach().requires_grad_()
    (residual,) = torch.autograd.grad(loss(free, batch[1]), free)
    size = weight.numel()
    hessian, jacobian = torch.autograd.functional.hessian, torch.autograd.functional.jacobian
    slope = jacobian(outputs, weight).reshape(-1, size)
    curvature = hessian(lambda f: loss(f, batch[1]), free.detach()).reshape(len(slope), -1)
    return {
        "hessian": hessian(lambda w: loss(outputs(w), batch[1]), weight).reshape(size, size),
        "frozen": hessian(lambda w: (residual * outputs(w)).sum(), weight).reshape(size, size),
        "gauss_newton": slope.T @ curvature @ slope,
    }


def written_out(product, weight):
    """The matrix of a product."""
    columns = [product(unit.reshape(weight.shape)).flatten() for unit in torch.eye(weight.numel()).to(weight)]
    return torch.stack(columns, 1)


def evaluation_of(model, loss, batch):
    layers = {name: module for name, module in model.named_modules() if isinstance(module, nn.Conv2d)}
    return ForwardPass(model, loss, batch, layers), layers


@settings(max_examples=25, deadline=None)
@given(problem=problems())
def test_products_are_those_of_the_dense_blocks(problem):
    model, batch = problem
    evaluation, layers = evaluation_of(model, F.cross_entropy, batch)
    for name in layers:
        block = evaluation.block(name)
        for part, expected in dense_blocks(model, F.cross_entropy, batch, name).items():
            found = written_out(getattr(block, part), block.weight)
            torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)


def test_output_curvature_is_exact_for_a_pointwise_end_and_unbiased_elsewhere():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 2, 2), nn.SiLU(), nn.Conv2d(2, 1, 2), nn.Tanh(), nn.Flatten(), nn.Linear(4, 1))
    model = model.double()
    batch = torch.randn(2, 1, 4, 4, dtype=torch.float64), torch.randn(2, 1, dtype=torch.float64)
    evaluation, _ = evaluation_of(model, F.mse_loss, batch)
    residual = 2 * (evaluation.outputs.detach() - batch[1]) / 2
    generator = torch.Generator().manual_seed(0)
    for name, above, exact in (("2", model[3:], True), ("0", model[1:], False)):
        block = evaluation.block(name)
        (call,) = block.calls
        z = call.output.detach()
        dense = torch.autograd.functional.hessian(lambda z, net=above: (residual * net(z)).sum(), z)
        diagonal = dense.reshape(z.numel(), -1).diagonal().reshape(z.shape)

        signs = torch.randint(0, 2, (2000, *z.shape), generator=generator).to(z) * 2 - 1
        if exact:
            (estimate,) = block.output_curvature(call, signs[:1])
            torch.testing.assert_close(estimate, diagonal, rtol=1e-10, atol=1e-14)
        else:
            samples = torch.stack(list(block.output_curvature(call, signs)))
            error = samples.std(0) / 2000**0.5
            assert ((samples.mean(0) - diagonal).abs() <= 5 * error + 1e-14).all()
            assert (error > 0).any()


def test_tied_and_repeated_layers_count_every_use():
    torch.manual_seed(0)
    first, second = (nn.Conv2d(1, 1, 2, bias=False) for _ in range(2))
    model = nn.Sequential(first, nn.Tanh(), second, nn.Tanh(), nn.Flatten(), nn.Linear(9, 2)).double()
    model[2].weight = model[0].weight
    batch = torch.randn(3, 1, 5, 5, dtype=torch.float64), torch.tensor([0, 1, 1])
    evaluation, _ = evaluation_of(model, F.cross_entropy, batch)
    expected = dense_blocks(model, F.cross_entropy, batch, "0")["hessian"]
    for name in ("0", "2"):
        block = evaluation.block(name)
        torch.testing.assert_close(written_out(block.hessian, block.weight), expected)

    repeated = nn.Sequential(model[0], nn.Tanh(), model[0], nn.Tanh(), nn.Flatten(), model[5])
    evaluation, _ = evaluation_of(repeated, F.cross_entropy, batch)
    block = evaluation.block("0")
    assert len(block.calls) == 2
    torch.testing.assert_close(written_out(block.hessian, block.weight), expected)


def test_a_layer_that_is_never_called_has_no_curvature():
    class Idle(nn.Module):
        def __init__(self):
            super().__init__()
            self.idle = nn.Conv2d(1, 1, 2)
            self.used = nn.Conv2d(1, 1, 2)

        def forward(self, x):
            return self.used(x).tanh().flatten(1)

    evaluation, _ = evaluation_of(Idle(), F.mse_loss, (torch.ones(1, 1, 3, 3), torch.zeros(1, 4)))
    block = evaluation.block("idle")
    assert block.calls == ()
    for product in (block.frozen, block.gauss_newton, block.hessian):
        assert not product(torch.ones(1, 1, 2, 2)).any()


def test_a_loss_linear_in_the_outputs_has_no_gauss_newton_part():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 2, 2), nn.SiLU())
    batch = torch.randn(2, 1, 3, 3), torch.randn(2, 2, 2, 2)
    evaluation, _ = evaluation_of(model, lambda f, y: (f * y).sum(), batch)
    block = evaluation.block("0")
    vector = torch.randn(block.weight.shape)
    assert not block.gauss_newton(vector).any()
    torch.testing.assert_close(block.hessian(vector), block.frozen(vector))


def test_unbatched_inputs_and_keyword_calls_are_a_batch_of_one():
    class Keyword(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(2, 3, 2)

        def forward(self, x):
            return self.conv(input=x).relu_().mean((-1, -2))

    evaluation, _ = evaluation_of(Keyword(), F.mse_loss, (torch.randn(2, 4, 4), torch.zeros(3)))
    (call,) = evaluation.block("conv").calls
    assert call.input.shape == (1, 2, 4, 4)
    assert call.output.shape == (1, 3, 3, 3)
    assert (call.output < 0).any()  # recorded before the in-place activation


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (nn.Dropout(0.5), "1: Dropout"),
        (nn.RReLU(), "1: RReLU"),
        (type("Noisy", (nn.Module,), {"forward": lambda self, x: x + torch.randn_like(x)})(), "functional calls"),
    ],
)
def test_a_random_forward_pass_is_refused_and_the_random_state_restored(layer, message):
    model = nn.Sequential(nn.Conv2d(1, 1, 1), layer)
    batch = torch.randn(1, 1, 9, 9), torch.zeros(1, 1, 9, 9)
    before = torch.get_rng_state()
    with pytest.raises(ValueError, match=message):
        evaluation_of(model, F.mse_loss, batch)
    assert torch.equal(before, torch.get_rng_state())
    assert not model[0]._forward_hooks


def test_a_dropout_that_drops_nothing_is_accepted():
    batch = torch.ones(1, 1, 2, 2), torch.zeros(1, 1, 2, 2)
    for dropout in (nn.Dropout(0.0), nn.Dropout(0.5).eval()):
        evaluation, _ = evaluation_of(nn.Sequential(nn.Conv2d(1, 1, 1), dropout), F.mse_loss, batch)
        assert evaluation.loss.isfinite()


def test_other_returns_than_one_tensor_and_one_number_are_refused():
    class Two(nn.Sequential):
        def forward(self, x):
            return super().forward(x), x

    batch = torch.ones(1, 1, 2, 2), torch.zeros(1, 1, 2, 2)
    with pytest.raises(TypeError, match="returns tuple, not one tensor"):
        evaluation_of(Two(nn.Conv2d(1, 1, 1)), F.mse_loss, batch)
    plain = nn.Sequential(nn.Conv2d(1, 1, 1))
    with pytest.raises(TypeError, match=r"shape \(1, 1, 2, 2\), not one number"):
        evaluation_of(plain, lambda f, y: (f - y) ** 2, batch)
    with pytest.raises(TypeError, match="returns float"):
        evaluation_of(plain, lambda f, y: 0.0, batch)


def test_the_network_is_left_byte_for_byte_as_it_was():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 2, 2), nn.BatchNorm2d(2), nn.ReLU(inplace=True), nn.Dropout(0.5).eval())
    model[0].weight.requires_grad_(False)
    model[1].weight.grad = torch.ones(2)
    before, gradients = copy.deepcopy(model), [None if p.grad is None else p.grad.clone() for p in model.parameters()]
    batch = torch.randn(3, 1, 4, 4), torch.zeros(3, 2, 3, 3)
    copies = [part.clone() for part in batch]
    state = torch.get_rng_state()
    evaluation, _ = evaluation_of(model, F.mse_loss, batch)
    block = evaluation.block("0")
    block.hessian(torch.ones_like(block.weight))
    assert torch.equal(state, torch.get_rng_state())
    for (key, now), was in zip(model.state_dict().items(), before.state_dict().values(), strict=True):
        assert torch.equal(now, was), key
    for now, was, gradient in zip(model.parameters(), before.parameters(), gradients, strict=True):
        assert now.requires_grad == was.requires_grad
        assert (now.grad is None) == (gradient is None)
        assert gradient is None or torch.equal(now.grad, gradient)
    for now, was in zip(model.modules(), before.modules(), strict=True):
        assert now.training == was.training
        assert not now._forward_hooks
    assert all(map(torch.equal, batch, copies))
