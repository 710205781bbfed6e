"""A network from its settings."""

from collections.abc import Callable
from functools import partial

import torch
from torch import nn

from lastbit.training.models.activation import make_activation
from lastbit.training.models.resnet import ResNet
from lastbit.training.models.small_cnn import SmallCNN
from lastbit.training.models.vgg import VGG16BN
from lastbit.training.recipe import ModelSettings


def build_model(settings: ModelSettings, *, channels: int, classes: int, seed: int, dtype: torch.dtype) -> nn.Module:
    """Return the network with weights drawn in float32 from `seed` and then cast to `dtype`.

    Drawing in float32 gives every dtype the same initial weights up to rounding. The global generator stays as it was.

    Args:
        settings: network, activation and β.
        channels: channels of the input images.
        classes: number of labels.
        seed: of the initial weights.
        dtype: of the weights and buffers returned.
    """
    activation = partial(make_activation, settings.activation, beta=settings.beta)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return _network(settings.name, channels, classes, activation).to(dtype)


def _network(name: str, channels: int, classes: int, activation: Callable[[], nn.Module]) -> nn.Module:
    if name == "small-cnn":
        return SmallCNN(channels, classes, activation)
    if name == "vgg16bn":
        return VGG16BN(channels, classes, activation)
    return ResNet(int(name.removeprefix("resnet")), channels, classes, activation)
