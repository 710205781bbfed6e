"""Updates of bfloat16 and half weights with Kahan's compensation: what rounding cuts off is kept for the next step."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.utils.weak import WeakTensorKeyDictionary

from lastbit.remedies.remedy import Remedy, Setting
from lastbit.remedies.wide_steps import LOW, NO_LOW_WEIGHTS, WideSteps, has_low_weights, put_on_program, said_of_steps
from lastbit.tensors import local


def compensated(optimizer: Optimizer) -> Optimizer:
    """Let an optimizer step its bfloat16 and half weights with compensated (Kahan) sums.

    A weight w of 8 bits takes no update below |w| / 512: it stands still. Beside each weight a compensation c is kept,
    in the format of the weight. The optimizer steps v = w + c in float32, to v', and then

        w <- round(v'),    c <- round(v' - w)

    which is Kahan's summation of the updates. After n steps of bfloat16 w + c is within about n |w| 2^-18 of the exact
    sum, where plain sums are within n |w| 2^-9. Costs as many bytes as the weights, and the optimizer's state is in
    float32. Weights of other formats are stepped as they are.

    Example:
        >>> import torch
        >>> weight = torch.nn.Parameter(torch.ones(1, dtype=torch.bfloat16))
        >>> optimizer = lb.remedies.compensated(torch.optim.SGD([weight], lr=0.001))
        >>> for _ in range(100):
        ...     weight.grad = torch.ones_like(weight)
        ...     optimizer.step()
        >>> weight.item()  # without it, 1
        0.8984375

    Args:
        optimizer: of any class, changed in place; state dictionaries have the compensations under `compensation`.

    Returns:
        The optimizer.
    """
    return _CompensatedSteps().put_on(optimizer)


class _CompensatedSteps(WideSteps):
    def __init__(self) -> None:
        super().__init__(torch.float32, LOW)
        self._compensations: Any = WeakTensorKeyDictionary()  # of each weight, that of its part on this process

    def read(self, weight: Tensor) -> Tensor:
        """The weight and its compensation."""
        value = super().read(weight)
        local(value).add_(self._of(weight))
        return value

    def write(self, weight: Tensor, value: Tensor) -> None:
        """Round to nearest, and keep what that cuts off."""
        super().write(weight, value)
        self._of(weight).copy_(local(value) - local(weight))

    def state(self, weights: list[Tensor]) -> Mapping[str, Any]:
        """The compensations, in the order of the weights."""
        return {"compensation": [self._of(weight) for weight in weights if weight.dtype in LOW]}

    def load(self, weights: list[Tensor], state: Mapping[str, Any]) -> None:
        """Go on with the compensations of a checkpoint."""
        low = [weight for weight in weights if weight.dtype in LOW]
        for weight, compensation in zip(low, state.get("compensation", ()), strict=False):
            self._of(weight).copy_(compensation)

    def _of(self, weight: Tensor) -> Tensor:
        if weight not in self._compensations:
            self._compensations[weight] = torch.zeros_like(local(weight), requires_grad=False)
        compensation: Tensor = self._compensations[weight]
        return compensation


@dataclass(frozen=True)
class CompensatedRemedy(Remedy):
    """`compensated` as a plug-in."""

    name = "compensated"
    help = "bfloat16 and half weights are updated by compensated (Kahan) sums"
    changes = "the rounding of updates"
    source = "Kahan 1965; Zamirai et al. 2020, arXiv 2010.06192"
    excludes = frozenset({"stochastic_rounding", "capped"})

    @property
    def hides(self) -> frozenset[str]:
        """The paper's k, which then acts in float32."""
        return frozenset({"scale"})

    def on_optimizer(self, optimizer: Optimizer, setting: Setting) -> Optimizer:
        """The optimizer with compensated steps, and a warning where no weight is of few bits."""
        if not has_low_weights(optimizer):
            warnings.warn(f"no update was compensated: {NO_LOW_WEIGHTS}", stacklevel=2)
        return compensated(optimizer)

    def on_program(self, refuse: Callable[[str], NoReturn]) -> Callable[[], str]:
        """Say in the end where there was nothing to compensate."""
        return lambda: said_of_steps(self)

    def on_made(self, optimizer: Optimizer) -> None:
        """Compensate the updates of an optimizer that a script has made."""
        put_on_program(self, _CompensatedSteps(), optimizer)
