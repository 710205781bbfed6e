import math

import pytest
import torch
from torch import nn
from torch.nn import functional

from lastbit.training.models import VGG16BN, ResNet, SmallCNN, Swish, build_model, make_activation
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
        ModelSettings(name=name, activation=activation), channels=3, classes=7, seed=0, dtype=torch.float32
    )
    logits = model(torch.randn(2, 3, 32, 32))
    assert logits.shape == (2, 7)
    functional.cross_entropy(logits, torch.tensor([0, 1])).backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in model.parameters())
    kinds = {type(module) for module in model.modules()}
    assert (Swish in kinds, nn.ReLU in kinds) == (activation == "swish", activation == "relu")


def test_resnet_convolutions_start_as_the_authors_do():
    model = build_model(ModelSettings(name="resnet56"), channels=3, classes=10, seed=0, dtype=torch.float32)
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
    with pytest.raises(ValueError, match="'tanh': allowed are 'relu' and 'swish'"):
        make_activation("tanh")
    with pytest.raises(ValueError, match="beta > 0, got -1"):
        Swish(-1)


def test_initial_weights_depend_on_the_seed_alone_and_leave_the_generator_be():
    settings = ModelSettings(name="small-cnn")
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    one, same, other = (
        build_model(settings, channels=1, classes=10, seed=seed, dtype=torch.float32) for seed in (0, 0, 1)
    )
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), same.parameters(), strict=True))
    assert not torch.equal(one.linear.weight, other.linear.weight)


def test_float64_networks_start_from_the_same_weights():
    settings = ModelSettings(name="small-cnn")
    single, double = (
        build_model(settings, channels=1, classes=10, seed=0, dtype=dtype) for dtype in (torch.float32, torch.float64)
    )
    assert all(torch.equal(a.double(), b) for a, b in zip(single.parameters(), double.parameters(), strict=True))
