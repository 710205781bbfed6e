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
    kept: list[tuple[Any, Any]] = []  # of each group, its own rate and that of the step
    steps = 0

    def restore(optimizer: Optimizer) -> None:
        """Give groups their own rates again, but for those that were given another meanwhile."""
        for group, (own, scaled) in zip(optimizer.param_groups, kept, strict=False):
            if group["lr"] is scaled:
                group["lr"] = own
        kept.clear()

    def before(optimizer: Optimizer, *_: Any) -> None:
        """Put the factors on; first take them off where the step before ended in an error."""
        restore(optimizer)
        for group in optimizer.param_groups:
            own = group["lr"]
            group["lr"] = own * math.prod(each(steps) for each in factors)
            kept.append((own, group["lr"]))

    def after(optimizer: Optimizer, *_: Any) -> None:
        """Take them off."""
        nonlocal steps
        steps += 1
        restore(optimizer)

    optimizer.register_step_pre_hook(before)
    optimizer.register_step_post_hook(after)
