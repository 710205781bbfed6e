"""Sharpness of a recipe's network and of its layers, and the distance to the gradient flow, along its training."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import nn

from lastbit.curvature import BatchSharpness, SharpnessRow, SharpnessTracker
from lastbit.curvature.critical import critical_row
from lastbit.curvature.sharpness import diverged_row
from lastbit.curvature.step_line import StepLine
from lastbit.curvature.untouched.undisturbed import evaluation_mode
from lastbit.optimizers import edge_of_stability
from lastbit.training.descent import DescentPoint, RecipeDescent
from lastbit.training.sharpness.beside import BesideCentral, BesideFlow


class Measurement:
    """Measures a descent at its points without changing it.

    The network is measured in evaluation mode, where batch normalisation uses its running statistics: in training mode
    the loss is no mean over samples. Networks without batch normalisation or dropout are the same in both modes.

    Args:
        prepared: the descent, and the images to measure on.
        k: largest eigenvalues wanted.
        layers: measure every linear and convolutional layer too.
        flow: follow the gradient flow from the present weights too.
        central_flow: follow the central flow from the present weights too.
        critical: search along each update that leads to a measured point for where the loss begins to rise.
        batch_sharpness: measure batch sharpness too, over batches of the training's size of the images measured on.

    Raises:
        LastbitError: k is out of range, or the training is no gradient descent, so that it has no flow.
    """

    def __init__(
        self,
        prepared: RecipeDescent,
        *,
        k: int = 1,
        layers: bool = False,
        flow: bool = False,
        central_flow: bool = False,
        critical: bool = False,
        batch_sharpness: bool = False,
    ) -> None:
        self._prepared, self._descent, self._k = prepared, prepared.descent, k
        self._tracker = self._track(k, "*")
        named = _layers(self._descent.model) if layers else {}
        self._layers = {name: self._track(1, parameters) for name, parameters in named.items()}
        self.flow = BesideFlow(prepared) if flow else None
        self.central = BesideCentral(prepared) if central_flow else None
        own = self._descent
        self._line = StepLine(own.model, own.loss, prepared.batch, own.optimizer, mode="eval") if critical else None
        self._batches = self._over_batches() if batch_sharpness else None

    @property
    def first_step(self) -> int:
        """The first that can be measured: an adaptive optimizer has no preconditioner before its first update."""
        return 0 if isinstance(self._descent.optimizer, torch.optim.SGD) else 1

    def before_update(self) -> None:
        """Keep what is needed of the present point where the next one is to be measured."""
        if self._line is not None:
            self._line.begin()

    def row(self, point: DescentPoint) -> SharpnessRow:
        """Measure at the present point of the descent; a diverged one has no curvature."""
        if point.diverged:
            edges = tuple(group.value for group in edge_of_stability(self._descent.optimizer))
            return diverged_row(self._k, edges=edges, step=point.step, loss=point.loss, mode="eval")
        with evaluation_mode(self._descent.model):
            loss = point.loss if self._prepared.full_batch else self._loss()
            row = self._tracker.measure()
            layers = {name: _block(tracker.measure()) for name, tracker in self._layers.items()}
            flow = None if self.flow is None else self.flow.distance(point.step)
            central = None if self.central is None else self.central.at(point.step)
            batch = None if self._batches is None else self._batches.measure(seed=point.step).as_dict()
        critical = self._critical(point.step)
        beside: dict[str, Any] = {
            "layers": layers or None,
            "flow": flow,
            "central": central,
            "batch": batch,
            "critical": critical,
        }
        return replace(row, step=point.step, loss=loss, mode="eval", **beside)

    def _critical(self, step: int) -> dict[str, Any] | None:
        """The search along the last update; None before the first."""
        if self._line is None or not self._line.begun:
            return None
        return critical_row(self._line.search(), step=step).as_dict()

    def _over_batches(self) -> BatchSharpness:
        model, loss, optimizer = self._descent.model, self._descent.loss, self._descent.optimizer
        size = self._prepared.batch_size
        if size is None:
            return BatchSharpness(model, loss, [self._prepared.batch], optimizer=optimizer)
        return BatchSharpness(model, loss, self._prepared.batch, optimizer=optimizer, batch_size=size)

    def _track(self, k: int, parameters: str | list[str]) -> SharpnessTracker:
        model, loss, optimizer = self._descent.model, self._descent.loss, self._descent.optimizer
        return SharpnessTracker(model, loss, self._prepared.batch, k, optimizer=optimizer, parameters=parameters)

    def _loss(self) -> float:
        images, labels = self._prepared.batch
        with torch.no_grad():
            return float(self._descent.loss(self._descent.model(images), labels))


def _block(row: SharpnessRow) -> dict[str, int | float]:
    """What is kept of a layer: its sharpness is never above the network's (Cauchy's interlacing)."""
    return {"sharpness": row.sharpness, "residual": row.residual, "matvecs": row.matvecs}


def _layers(model: nn.Module) -> dict[str, list[str]]:
    """Names of the parameters of each linear and convolutional layer, by the layer's name."""
    return {
        name: [f"{name}.{parameter}" for parameter, _ in module.named_parameters(recurse=False)]
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear | nn.Conv2d)
    }
