"""Another learning rate during the steps of an optimizer, whose script and schedule go on to see their own."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

from torch.optim import Optimizer

_Factor = Callable[[int], float]
_FACTORS: WeakKeyDictionary[Optimizer, list[_Factor]] = WeakKeyDictionary()  # of those that step with some


def step_with(optimizer: Optimizer, factor: _Factor) -> None:
    """Let an optimizer step with a factor on the rates of its groups, by hooks around each step; factors multiply.

    Args:
        optimizer: changed in place.
        factor: of the rate, given how many steps were before.
    """
    if optimizer in _FACTORS:
        _FACTORS[optimizer].append(factor)
        return
    _FACTORS[optimizer] = factors = [factor]
    kept: list[Any] = []
    steps = 0

    def before(optimizer: Optimizer, *_: Any) -> None:
        """Put the factors on."""
        kept[:] = [group["lr"] for group in optimizer.param_groups]
        for group in optimizer.param_groups:
            group["lr"] = group["lr"] * math.prod(each(steps) for each in factors)

    def after(optimizer: Optimizer, *_: Any) -> None:
        """Take them off."""
        nonlocal steps
        steps += 1
        for group, rate in zip(optimizer.param_groups, kept, strict=True):
            group["lr"] = rate

    optimizer.register_step_pre_hook(before)
    optimizer.register_step_post_hook(after)
