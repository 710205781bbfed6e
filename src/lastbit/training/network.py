"""Building a network from a recipe's settings."""

from functools import partial
from importlib import import_module
from typing import Protocol

import torch
from torch import nn

from lastbit.training.models import NETWORKS
from lastbit.training.models.activation import Activation, make_activation
from lastbit.training.models.dropout import drop_before_last
from lastbit.training.recipe import ModelSettings

Shape = tuple[int, int, int]  # of an image: channels, height, width


class Maker(Protocol):
    """Makes a network, with weights drawn from torch's global generator."""

    def __call__(self, shape: Shape, classes: int, activation: Activation, **sizes: int) -> nn.Module:
        """Return the network.

        Args:
            shape: channels, height and width of the input images.
            classes: number of labels.
            activation: makes a fresh activation module.
            **sizes: those that `Network.sizes` and `Network.fixed` name.

        Raises:
            LastbitError: the network cannot take such images or labels.
        """


def build_model(settings: ModelSettings, *, shape: Shape, classes: int, seed: int, dtype: torch.dtype) -> nn.Module:
    """Return the network with weights drawn in float32 from `seed` and then cast to `dtype`.

    Drawing in float32 gives every dtype the same initial weights up to rounding. The global generator is unchanged.

    Args:
        settings: network, activation, β, dropout, and depth and width where they are free.
        shape: channels, height and width of the input images.
        classes: number of labels.
        seed: of the initial weights.
        dtype: of the weights and buffers returned.

    Raises:
        LastbitError: the network cannot take such images or labels.
    """
    network = NETWORKS[settings.name]
    module, _, function = network.maker.partition(":")
    make: Maker = getattr(import_module(f"lastbit.training.models.{module}"), function)
    sizes = {**network.fixed, **{name: getattr(settings, name) for name in network.sizes}}
    activation = partial(make_activation, settings.activation, beta=settings.beta)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = make(shape, classes, activation, **sizes).to(dtype)
    return drop_before_last(model, settings.dropout) if settings.dropout else model


def check_fit(settings: ModelSettings, *, shape: Shape, classes: int) -> None:
    """Check that a network can take images of a shape and this many classes, without allocating its weights.

    Raises:
        LastbitError: it cannot.
    """
    with torch.device("meta"):
        build_model(settings, shape=shape, classes=classes, seed=0, dtype=torch.float32)
