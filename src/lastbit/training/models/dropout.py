"""Dropout before the last layer of a network, whose masks are decided by a seed and the step alone."""

from collections.abc import Sequence
from hashlib import blake2b

import torch
from torch import Tensor, nn

from lastbit.errors import LastbitError


class Dropout(nn.Module):
    """In training, set each number to 0 with probability p, and divide the others by 1 - p.

    Unlike torch's own, it draws nothing from the global generator. `stream` decides its mask: two passes with one
    stream have the same mask, so that products with the Hessian are of one loss, and a training that continues from a
    checkpoint needs no state of a generator. Masks are drawn on the CPU, so that they are the same on every device.

    Args:
        p: probability of a 0, in [0, 1).
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p
        self.stream = 0  # set by `draw_masks` before each step

    def forward(self, features: Tensor) -> Tensor:
        """Return the features, of any shape, with some of them dropped; in evaluation, as they are."""
        if not self.training:
            return features
        generator = torch.Generator().manual_seed(self.stream)
        kept = torch.rand(features.shape, generator=generator) >= self.p
        return features * kept.to(features) / (1 - self.p)

    def extra_repr(self) -> str:
        """Show p in the module's repr."""
        return f"p={self.p:g}"


def drop_before_last(model: nn.Module, p: float) -> nn.Module:
    """Put dropout on the inputs of the model's last layer, its attribute `linear`, and return the model.

    The names and initial values of the weights stay as they are.

    Raises:
        LastbitError: the model has no such layer.
    """
    layer = getattr(model, "linear", None)
    if not isinstance(layer, nn.Linear):
        raise LastbitError(f"model.dropout = {p:g}: this network has no linear layer to drop the inputs of")
    layer.add_module("dropout", Dropout(p))
    layer.register_forward_pre_hook(_drop_inputs)
    return model


def _drop_inputs(layer: nn.Module, inputs: tuple[Tensor]) -> Tensor:
    dropped: Tensor = layer.dropout(inputs[0])  # type: ignore[operator]
    return dropped


def dropouts_of(model: nn.Module) -> list[Dropout]:
    """Every `Dropout` of a model, in its order."""
    return [module for module in model.modules() if isinstance(module, Dropout)]


def draw_masks(dropouts: Sequence[Dropout], *, seed: int, step: int) -> None:
    """Choose the masks of the `Dropout`s of a model for a step.

    Args:
        dropouts: those that `dropouts_of` has found.
        seed: of the dropout in this training.
        step: updates so far.
    """
    for place, dropout in enumerate(dropouts):
        digest = blake2b(f"dropout/{seed}/{step}/{place}".encode(), digest_size=4).digest()
        dropout.stream = int.from_bytes(digest)  # of 32 bits: torch's generator on the CPU takes no more
