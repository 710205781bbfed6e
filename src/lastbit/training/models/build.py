"""A network from its settings."""

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import nn

from lastbit.errors import LastbitError
from lastbit.training.models.activation import make_activation
from lastbit.training.models.fully_connected import FullyConnected
from lastbit.training.models.one_channel_conv import OneChannelConv
from lastbit.training.models.resnet import ResNet
from lastbit.training.models.small_cnn import SmallCNN
from lastbit.training.models.vgg import VGG16BN
from lastbit.training.recipe import ModelSettings

Shape = tuple[int, int, int]  # of an image: channels, height, width


def build_model(settings: ModelSettings, *, shape: Shape, classes: int, seed: int, dtype: torch.dtype) -> nn.Module:
    """Return the network with weights drawn in float32 from `seed` and then cast to `dtype`.

    Drawing in float32 gives every dtype the same initial weights up to rounding. The global generator stays as it was.

    Args:
        settings: network, activation, β, and depth and width where they are free.
        shape: channels, height and width of the input images.
        classes: number of labels.
        seed: of the initial weights.
        dtype: of the weights and buffers returned.

    Raises:
        LastbitError: the network cannot take such images or labels.
    """
    check_fit(settings, shape=shape, classes=classes)
    activation = partial(make_activation, settings.activation, beta=settings.beta)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return _network(settings, shape, classes, activation).to(dtype)


def _network(settings: ModelSettings, shape: Shape, classes: int, activation: Callable[[], nn.Module]) -> nn.Module:
    channels = shape[0]
    match settings.name:
        case "small-cnn":
            return SmallCNN(channels, classes, activation)
        case "vgg16bn":
            return VGG16BN(channels, classes, activation)
        case "fully-connected":
            sizes = {"depth": settings.depth, "width": settings.width}
            return FullyConnected(math.prod(shape), classes, **sizes, activation=activation)
        case "one-channel-conv":
            return OneChannelConv(settings.depth, activation)
        case resnet:
            return ResNet(int(resnet.removeprefix("resnet")), channels, classes, activation)


def check_fit(settings: ModelSettings, *, shape: Shape, classes: int) -> None:
    """Check that a network can take such images and labels.

    Args:
        settings: of the network.
        shape: channels, height and width of the images.
        classes: number of labels.

    Raises:
        LastbitError: it cannot.
    """
    channels, *sides = shape
    if settings.name != "one-channel-conv":
        return
    if (channels, classes) != (1, 2):
        raise LastbitError(
            f"model.name = one-channel-conv tells 2 classes apart in images of 1 channel; these are {classes} classes "
            f"and {channels} channel(s)"
        )
    if settings.depth > (most := (min(sides) - 1) // 2):
        raise LastbitError(
            f"model.depth = {settings.depth}: images of {min(sides)} pixels leave room for {most} at most"
        )
