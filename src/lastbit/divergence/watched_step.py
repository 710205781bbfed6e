"""One training step of a network as it happens: its pass, the gradient that is stepped, the weights around it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from lastbit.divergence.activation_sides import Sides, activation_sides
from lastbit.errors import LastbitError
from lastbit.optimizers.tangent import Position, position_of


class WatchedStep:
    """What one twin does in a block."""

    before: Position
    after: Position
    gradients: list[Tensor | None]
    sides: Sides
    epsilon = 0.0  # of its least precise weights

    def __init__(self, network: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        self._network, self._optimizer, self._count = network, optimizer, 0

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Look at its pass and its step; the optimizer's own hooks before a step have run by then.

        Raises:
            LastbitError: the optimizer took no step in the block, or more than one.
        """
        hooks = (
            self._optimizer.register_step_pre_hook(self._begin),
            self._optimizer.register_step_post_hook(self._end),
        )
        try:
            with activation_sides(self._network) as self.sides:
                yield
        finally:
            for hook in hooks:
                hook.remove()
        if self._count != 1:
            raise LastbitError(f"an optimizer of the twins took {self._count} steps in the block; let it take one")

    def _begin(self, *_: Any) -> None:
        weights = [weight for group in self._optimizer.param_groups for weight in group["params"]]
        self.before = position_of(self._optimizer)
        self.gradients = [None if w.grad is None else w.grad.to(torch.float64, copy=True) for w in weights]
        self.epsilon = max(torch.finfo(weight.dtype).eps for weight in weights)

    def _end(self, *_: Any) -> None:
        self.after, self._count = position_of(self._optimizer), self._count + 1


def names_of(network: nn.Module, optimizer: torch.optim.Optimizer) -> list[str]:
    """Names of the weights that an optimizer steps, in its order.

    Raises:
        LastbitError: the network does not hold one of them.
    """
    named = {weight: name for name, weight in network.named_parameters()}
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    if any(weight not in named for weight in weights):
        raise LastbitError("an optimizer steps weights that its network does not hold; give networks with all of them")
    return [named[weight] for weight in weights]
