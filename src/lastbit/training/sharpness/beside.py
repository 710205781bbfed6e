"""Flows beside a recipe's descent: how far it is from the gradient flow, and what the central flow predicts of it."""

from __future__ import annotations

import copy
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

from lastbit.curvature import CentralFlow, CentralPoint
from lastbit.divergence import relative_l2
from lastbit.errors import LastbitError
from lastbit.training.descent import RecipeDescent
from lastbit.training.gradient_flow import FlowStoppedError, GradientFlow

Flow = TypeVar("Flow", GradientFlow, CentralFlow)


class _Beside(ABC, Generic[Flow]):
    """Follows a flow from a descent's present weights.

    Args:
        prepared: gradient descent at a constant learning rate, before its first step.

    Raises:
        LastbitError: it is something else, and so discretises no gradient flow.
    """

    def __init__(self, prepared: RecipeDescent) -> None:
        _refuse_others(prepared)
        self._descent, self._batch = prepared.descent, prepared.batch
        group = self._descent.optimizer.param_groups[0]
        self._lr, self._decay = float(group["lr"]), float(group["weight_decay"])
        self._flow: Flow | None = self._from(self._descent.model, 0)

    def weights(self) -> dict[str, Tensor]:
        """The flow's weights at the last step, by name; none once it cannot be followed."""
        return {} if self._flow is None else self._flow.weights

    def resume(self, weights: Mapping[str, Tensor], step: int) -> None:
        """Continue from the weights that `weights()` gave at a step; what else a flow holds is found anew."""
        model = copy.deepcopy(self._descent.model).double()
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                parameter.copy_(weights.get(name, parameter))
        self._flow = self._from(model, step) if weights else None

    @abstractmethod
    def _from(self, model: nn.Module, step: int) -> Flow:
        """The flow from a model's weights, which are those at a step."""


class BesideFlow(_Beside[GradientFlow]):
    """Follows the gradient flow from a descent's present weights, and measures the distance between the two."""

    def distance(self, step: int) -> dict[str, int | float]:
        """The distance after so many steps of the descent; NaN once the flow cannot be followed.

        Returns:
            `time` (lr * step), `relative_l2` (‖θ − φ‖ / ‖φ‖, φ the flow's weights), `rel_l1` (in [0, 2]), and
            `evaluations`, the gradients that the flow took since the last time.
        """
        time, flow, evaluations = self._lr * step, self._flow, 0
        relative_l2 = rel_l1 = math.nan
        if flow is not None:
            before = flow.evaluations
            try:
                flow.advance(time)
                apart = flow.distance(self._descent.model)
                relative_l2, rel_l1 = apart.relative_l2, apart.rel_l1
            except FlowStoppedError:
                self._flow = None
            evaluations = flow.evaluations - before
        return {"time": time, "relative_l2": relative_l2, "rel_l1": rel_l1, "evaluations": evaluations}

    def _from(self, model: nn.Module, step: int) -> GradientFlow:
        return GradientFlow(model, self._descent.loss, self._batch, weight_decay=self._decay, time=self._lr * step)


class BesideCentral(_Beside[CentralFlow]):
    """Follows the central flow from a descent's present weights, and says what it predicts."""

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

    def _advanced(self, step: int) -> CentralPoint | None:
        if self._flow is None:
            return None
        try:
            return self._flow.advance(step - self._begun)
        except LastbitError:  # its loss is no longer finite
            self._flow = None
            return None

    def _from(self, model: nn.Module, step: int) -> CentralFlow:
        self._begun = step  # the flow counts its steps from there
        return CentralFlow(model, self._descent.loss, self._batch, self._lr, weight_decay=self._decay)


def _refuse_others(prepared: RecipeDescent) -> None:
    optimizer = prepared.descent.optimizer
    momentum = optimizer.param_groups[0].get("momentum")
    reasons = {
        "this recipe trains on batches": not prepared.full_batch,
        f"this recipe's optimizer is {type(optimizer).__name__}": not isinstance(optimizer, torch.optim.SGD),
        f"this recipe has momentum {momentum}": bool(momentum),
        "this recipe changes its learning rate": prepared.has_schedule,
    }
    for reason, applies in reasons.items():
        if applies:
            raise LastbitError(
                f"the gradient flow is what full-batch gradient descent without momentum discretises; {reason}"
            )
