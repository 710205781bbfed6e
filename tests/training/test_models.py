import math

import pytest
import torch
from torch import nn
from torch.nn import functional

from lastbit.training.models.activation import Swish, make_activation
from lastbit.training.models.deep import VGG16BN, ResNet
from lastbit.training.models.small import OneChannelConv, SmallCNN
from lastbit.training.network import build_model
from lastbit.training.recipe import ModelSettings


def weights(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


# Weights of the two projection shortcuts: 1x1 convolutions 16 -> 32 and 32 -> 64, each with a BatchNorm.
PROJECTIONS = 16 * 32 + 2 * 32 + 32 * 64 + 2 * 64


@pytest.mark.parametrize(
    ("depth", "published"), [(20, 269_722), (32, 464_154), (44, 658_586), (56, 853_018), (110, 1_727_962)]
)
def test_resnets_have_the_published_size_plus_their_projections(depth, published):
    """He et al. count shortcuts without weights; the paper's authors project."""
    assert weights(ResNet(depth, 3, 10, nn.ReLU)) == published + PROJECTIONS


def test_vgg16_has_the_published_size_without_the_biases_that_batchnorm_cancels():
    convolution_biases = 2 * 64 + 2 * 128 + 3 * 256 + 6 * 512
    assert weights(VGG16BN(3, 10, nn.ReLU)) == 14_728_266 - convolution_biases


def test_small_cnn_has_three_halving_blocks():
    model = SmallCNN(1, 10, nn.ReLU)
    assert weights(model) == 9 * (16 + 16 * 32 + 32 * 64) + 2 * (16 + 32 + 64) + 64 * 10 + 10
    assert model.blocks(torch.zeros(2, 1, 28, 28)).shape == (2, 64, 4, 4)


@pytest.mark.parametrize("name", ["small-cnn", "resnet8", "resnet20", "vgg16bn"])
@pytest.mark.parametrize("activation", ["relu", "swish"])
def test_every_network_gives_logits_and_a_gradient_for_every_weight(name, activation):
    model = build_model(
        ModelSettings(name=name, activation=activation), shape=(3, 32, 32), classes=7, seed=0, dtype=torch.float32
    )
    logits = model(torch.randn(2, 3, 32, 32))
    assert logits.shape == (2, 7)
    functional.cross_entropy(logits, torch.tensor([0, 1])).backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in model.parameters())
    kinds = {type(module) for module in model.modules()}
    assert (Swish in kinds, nn.ReLU in kinds) == (activation == "swish", activation == "relu")


def test_resnet_convolutions_start_as_the_authors_do():
    model = build_model(ModelSettings(name="resnet56"), shape=(3, 32, 32), classes=10, seed=0, dtype=torch.float32)
    kernel = model.stage3[4].conv1.weight.detach()
    assert float(kernel.std()) == pytest.approx(math.sqrt(2 / (9 * 64)), rel=0.02)
    assert float(kernel.mean()) == pytest.approx(0, abs=0.001)


@pytest.mark.parametrize("depth", [2, 21, 55])
def test_refuses_a_depth_that_is_no_cifar_resnet(depth):
    with pytest.raises(ValueError, match=f"6n \\+ 2 .* got {depth}"):
        ResNet(depth, 3, 10, nn.ReLU)


@pytest.mark.parametrize("beta", [1.0, 5.0, 0.3])
def test_swish_is_z_times_the_sigmoid_of_beta_z(beta):
    z = torch.linspace(-20, 20, 401, dtype=torch.float64)
    assert torch.allclose(Swish(beta)(z), z * torch.sigmoid(beta * z), rtol=1e-14, atol=1e-14)


def test_swish_tends_to_relu():
    z = torch.linspace(-3, 3, 101)
    assert torch.allclose(Swish(1e4)(z), z.relu(), atol=1e-4)


def test_refuses_unknown_activations_and_beta():
    with pytest.raises(ValueError, match="'gelu': allowed are 'relu', 'swish' and 'tanh'"):
        make_activation("gelu")
    with pytest.raises(ValueError, match="beta > 0, got -1"):
        Swish(-1)


def test_initial_weights_depend_on_the_seed_alone_and_leave_the_generator_be():
    settings = ModelSettings(name="small-cnn")
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    one, same, other = (
        build_model(settings, shape=(1, 28, 28), classes=10, seed=seed, dtype=torch.float32) for seed in (0, 0, 1)
    )
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), same.parameters(), strict=True))
    assert not torch.equal(one.linear.weight, other.linear.weight)


def test_float64_networks_start_from_the_same_weights():
    settings = ModelSettings(name="small-cnn")
    single, double = (
        build_model(settings, shape=(1, 28, 28), classes=10, seed=0, dtype=dtype)
        for dtype in (torch.float32, torch.float64)
    )
    assert all(torch.equal(a.double(), b) for a, b in zip(single.parameters(), double.parameters(), strict=True))


def test_a_fully_connected_network_is_its_formula():
    settings = ModelSettings(name="fully-connected", activation="tanh", depth=3, width=5)
    model = build_model(settings, shape=(2, 3, 4), classes=7, seed=0, dtype=torch.float64)
    w1, b1, w2, b2, w3, b3, w4, b4 = model.parameters()
    x = torch.randn(6, 24, dtype=torch.float64)
    hidden = torch.tanh(torch.tanh(torch.tanh(x @ w1.T + b1) @ w2.T + b2) @ w3.T + b3)
    assert torch.allclose(model(x.view(6, 2, 3, 4)), hidden @ w4.T + b4, rtol=1e-14)
    assert weights(model) == 24 * 5 + 5 + 2 * (5 * 5 + 5) + 5 * 7 + 7


@pytest.mark.parametrize("depth", [1, 3])
def test_the_one_channel_network_is_torchs_convolutions_under_binary_cross_entropy(depth):
    model = OneChannelConv(depth, lambda: Swish(2.0)).double()
    images, labels = torch.randn(5, 1, 9, 8, dtype=torch.float64), torch.tensor([0, 1, 1, 0, 1])
    hidden = images
    for kernel in model.parameters():
        z = functional.conv2d(hidden, kernel)
        hidden = z * torch.sigmoid(2.0 * z)
    pooled = hidden.mean((1, 2, 3))
    expected = functional.binary_cross_entropy_with_logits(pooled, labels.double())
    loss = functional.cross_entropy(model(images), labels)
    assert float(loss.detach()) == pytest.approx(float(expected.detach()), rel=1e-14)
    parameters = list(model.parameters())
    assert [tuple(kernel.shape) for kernel in parameters] == [(1, 1, 3, 3)] * depth
    for ours, theirs in zip(
        torch.autograd.grad(loss, parameters), torch.autograd.grad(expected, parameters), strict=True
    ):
        assert torch.allclose(ours, theirs, rtol=1e-12, atol=1e-15)
    assert torch.equal(model(images).argmax(1), (pooled > 0).long())


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"name": "fully-connected", "depth": 2}, "fully-connected needs a width"),
        ({"name": "fully-connected", "width": 2}, "fully-connected needs a depth"),
        ({"name": "one-channel-conv", "depth": 2, "width": 2}, "one-channel-conv has no width"),
        ({"name": "resnet8", "depth": 8}, "resnet8 has no depth"),
    ],
)
def test_networks_are_told_the_sizes_they_have(fields, complaint):
    with pytest.raises(ValueError, match=complaint):
        ModelSettings(**fields)
