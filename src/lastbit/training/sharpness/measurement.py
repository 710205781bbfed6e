"""Sharpness, of the whole network and layer by layer, and the distance to the gradient flow along a descent."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import nn

from lastbit.curvature import SharpnessTracker, edge
from lastbit.training.descent import Point, RecipeDescent
from lastbit.training.sharpness.beside_flow import BesideFlow
from lastbit.training.sharpness.row import LayerSharpness, Row, diverged_row, row_of


class Measurement:
    """Measures a descent at its points, and changes nothing of it.

    The network is measured in eval mode, where batch normalisation uses its running statistics: in training mode the
    loss is no mean over samples. Networks without it or dropout are the same in both modes.

    Args:
        prepared: the descent, and the images to measure on.
        k: largest eigenvalues wanted.
        layers: measure every linear and convolutional layer too.
        flow: follow the gradient flow from the present weights too.

    Raises:
        LastbitError: k is out of range, or the training is no gradient descent, so that it has no flow.
    """

    def __init__(self, prepared: RecipeDescent, *, k: int = 1, layers: bool = False, flow: bool = False) -> None:
        self._prepared, self._descent, self._k = prepared, prepared.descent, k
        self._tracker = self._track(k, "*")
        self._layers = {name: self._track(1, names) for name, names in _layers(self.model).items()} if layers else None
        self.flow = BesideFlow(prepared) if flow else None

    @property
    def model(self) -> nn.Module:
        """The network that is trained."""
        return self._descent.model

    @property
    def first_step(self) -> int:
        """The first that can be measured: an adaptive optimizer has no preconditioner before its first update."""
        return 0 if isinstance(self._descent.optimizer, torch.optim.SGD) else 1

    def row(self, point: Point) -> Row:
        """Measure at the point that is in hand."""
        bound = edge(self._descent.optimizer)[0]  # a recipe has one parameter group
        if point.diverged:
            return diverged_row(point.step, point.loss, bound, self._k)
        with in_eval_mode(self.model):
            loss = point.loss if self._prepared.full_batch else self._loss()
            found = self._tracker.measure()
            layers = None if self._layers is None else {name: _layer(each) for name, each in self._layers.items()}
            flow = None if self.flow is None else self.flow.row(point.step)
        return row_of(point.step, loss, found, bound, layers=layers, flow=flow)

    def _track(self, k: int, names: str | Sequence[str]) -> SharpnessTracker:
        descent = self._descent
        return SharpnessTracker(
            descent.model, descent.loss, self._prepared.batch, k, optimizer=descent.optimizer, parameters=names
        )

    def _loss(self) -> float:
        images, labels = self._prepared.batch
        with torch.no_grad():
            return float(self._descent.loss(self.model(images), labels))


def _layer(tracker: SharpnessTracker) -> LayerSharpness:
    found = tracker.measure()
    return LayerSharpness(found.value, found.residual, found.matvecs)


def _layers(model: nn.Module) -> dict[str, list[str]]:
    """Names of the parameters of each linear and convolutional layer, by the layer's name."""
    return {
        name: [f"{name}.{parameter}" for parameter, _ in module.named_parameters(recurse=False)]
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear | nn.Conv2d)
    }


@contextmanager
def in_eval_mode(model: nn.Module) -> Iterator[None]:
    """Put a network into eval mode, and back into its own at the end."""
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)
