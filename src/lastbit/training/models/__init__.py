"""The networks that recipes can name. A new one is a function in a file of this folder and an entry of `NETWORKS`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Network:
    """The function that makes a network; its module is imported only when it is called, so that names need no torch."""

    maker: str  # `module:function`: the function is a `lastbit.training.network.Maker`
    sizes: tuple[str, ...] = ()  # fields of a recipe's [model] that it needs: `depth`, `width`
    fixed: Mapping[str, int] = field(default_factory=dict)  # sizes that its name decides


NETWORKS: Mapping[str, Network] = {
    "small-cnn": Network("small:small_cnn"),
    **{f"resnet{depth}": Network("deep:resnet", fixed={"depth": depth}) for depth in (8, 20, 32, 44, 56, 110)},
    "vgg16bn": Network("deep:vgg16bn"),
    "fully-connected": Network("small:fully_connected", sizes=("depth", "width")),
    "one-channel-conv": Network("small:one_channel_conv", sizes=("depth",)),
}
