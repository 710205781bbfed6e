"""Gradient descent beside its gradient flow."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from lastbit.errors import LastbitError
from lastbit.training.descent import RecipeDescent
from lastbit.training.gradient_flow import FlowStoppedError, GradientFlow
from lastbit.training.sharpness.row import FlowRow


class BesideFlow:
    """Follows the gradient flow from a descent's present weights, and says how far the two are apart.

    Args:
        prepared: gradient descent at a constant learning rate, before its first step.

    Raises:
        LastbitError: it is something else, and so discretises no gradient flow.
    """

    def __init__(self, prepared: RecipeDescent) -> None:
        self._descent, self._batch = prepared.descent, prepared.batch
        group = self._descent.optimizer.param_groups[0]
        _refuse_others(prepared)
        self._lr, self._decay = float(group["lr"]), float(group["weight_decay"])
        self._flow: GradientFlow | None = self._from(self._descent.model, 0)

    def row(self, step: int) -> FlowRow:
        """The distance after so many steps of the descent; NaN once the flow cannot be followed."""
        time, nan = self._lr * step, math.nan
        if self._flow is None:
            return FlowRow(time, nan, nan, 0)
        before = self._flow.evaluations
        try:
            self._flow.advance(time)
        except FlowStoppedError:
            spent, self._flow = self._flow.evaluations - before, None
            return FlowRow(time, nan, nan, spent)
        apart = self._flow.distance(self._descent.model)
        return FlowRow(time, apart.relative_l2, apart.rel_l1, self._flow.evaluations - before)

    def weights(self) -> dict[str, Tensor]:
        """The flow's weights at the last row, by name; none once it cannot be followed."""
        return {} if self._flow is None else self._flow.weights

    def take_up(self, weights: Mapping[str, Tensor], step: int) -> None:
        """Go on from the weights that `weights()` gave at a step."""
        model = copy.deepcopy(self._descent.model).double()
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                parameter.copy_(weights.get(name, parameter))
        self._flow = self._from(model, step) if weights else None

    def _from(self, model: nn.Module, step: int) -> GradientFlow:
        return GradientFlow(model, self._descent.loss, self._batch, weight_decay=self._decay, time=self._lr * step)


def _refuse_others(prepared: RecipeDescent) -> None:
    optimizer = prepared.descent.optimizer
    group = optimizer.param_groups[0]
    if not prepared.full_batch:
        reason = "this recipe trains on batches"
    elif not isinstance(optimizer, torch.optim.SGD):
        reason = f"this recipe's optimizer is {type(optimizer).__name__}"
    elif group["momentum"]:
        reason = f"this recipe has momentum {group['momentum']:g}"
    elif prepared.has_schedule:
        reason = "this recipe changes its learning rate"
    else:
        return
    raise LastbitError(f"the gradient flow is what full-batch gradient descent without momentum discretises; {reason}")
