"""The central flow beside a recipe's descent: what it predicts of the loss, and how far away the weights are."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from lastbit.curvature import CentralFlow, CentralPoint
from lastbit.divergence import relative_l2
from lastbit.errors import LastbitError
from lastbit.training.descent import RecipeDescent


class BesideCentral:
    """Follows the central flow from a descent's present weights.

    Args:
        prepared: gradient descent at a constant learning rate, before its first step.
    """

    def __init__(self, prepared: RecipeDescent) -> None:
        self._descent, self._batch = prepared.descent, prepared.batch
        group = self._descent.optimizer.param_groups[0]
        self._lr, self._decay = float(group["lr"]), float(group["weight_decay"])
        self._begun = 0  # the descent's step at which the flow begins
        self._flow: CentralFlow | None = self._from(self._descent.model)

    def at(self, step: int) -> dict[str, float]:
        """The flow after so many steps of the descent; NaN once it cannot be followed.

        Returns:
            `loss` at the flow's weights, `predicted_loss` of the descent on average, `normalised` (lr * sharpness),
            `variance` (the sum over the oscillation's directions) and `relative_l2` (‖θ − w‖ / ‖w‖, w the flow's).
        """
        point = self._advanced(step)
        if point is None or self._flow is None:
            return dict.fromkeys(("loss", "predicted_loss", "normalised", "variance", "relative_l2"), math.nan)
        apart = relative_l2(dict(self._descent.model.named_parameters()), self._flow.weights).value
        told = {"loss": point.loss, "predicted_loss": point.predicted_loss, "relative_l2": apart}
        return told | {"normalised": self._lr * point.sharpness, "variance": float(sum(point.variances))}

    def weights(self) -> dict[str, Tensor]:
        """The flow's weights at the last step, by name; none once it cannot be followed."""
        return {} if self._flow is None else self._flow.weights

    def resume(self, weights: Mapping[str, Tensor], step: int) -> None:
        """Continue from the weights that `weights()` gave at a step; the covariance is found anew."""
        model = copy.deepcopy(self._descent.model).double()
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                parameter.copy_(weights.get(name, parameter))
        self._begun = step
        self._flow = self._from(model) if weights else None

    def _advanced(self, step: int) -> CentralPoint | None:
        if self._flow is None:
            return None
        try:
            return self._flow.advance(step - self._begun)
        except LastbitError:  # its loss is no longer finite
            self._flow = None
            return None

    def _from(self, model: nn.Module) -> CentralFlow:
        return CentralFlow(model, self._descent.loss, self._batch, self._lr, weight_decay=self._decay)
