"""Gradient and Hessian products of a network's loss at given weights, on a copy of it in float64."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from lastbit.divergence.activation_sides import Sides, kept_sides
from lastbit.errors import LastbitError
from lastbit.samples import Loss, on_device

Parts = list[Tensor | None]  # of each weight, in its shape; None where the loss does not depend on it


class Derivatives:
    """A copy of a network in float64 that follows its modes and buffers, and of which derivatives are taken.

    The loss is that of the network as it trains: batch normalisation in training mode takes the batch's statistics, and
    the derivatives go through them.

    Args:
        model: the network.
        loss: `loss(model(inputs), targets)`, one number.
        names: of the weights in which it is derived.
    """

    def __init__(self, model: nn.Module, loss: Loss, names: Sequence[str]) -> None:
        self._model, self._copy = model, _in_float64(model)
        self._loss = _in_float64(loss) if isinstance(loss, nn.Module) else loss
        named = dict(self._copy.named_parameters())
        self._weights = [named[name] for name in names]
        self._trained = [weight for weight in self._weights if weight.requires_grad]

    def at(
        self,
        weights: Sequence[Tensor],
        inputs: Any,
        targets: Any,
        *,
        sides: Sides,
        vectors: Sequence[Sequence[Tensor]] = (),
    ) -> tuple[Parts, list[Parts]]:
        """The gradient at some weights, and the product of the Hessian there with each of some vectors.

        Args:
            weights: of each name, in its shape.
            inputs: of a batch.
            targets: of the same.
            sides: on which activations with kinks are kept: those of the real pass, which rounding may have decided.
            vectors: each of a part for each name, in its shape, in float64.

        Raises:
            LastbitError: the network draws random numbers, or an operation has no second derivative in float64.
        """
        self._place(weights)
        device, before = self._weights[0].device, torch.get_rng_state()
        try:
            with kept_sides(self._copy, sides):
                outputs = self._copy(on_device(inputs, device, torch.float64))
            value = self._loss(outputs, on_device(targets, device, torch.float64))
            found = torch.autograd.grad(value, self._trained, create_graph=True, allow_unused=True)
            slopes = self._all(found)
            products = [self._product(slopes, vector) for vector in vectors]
        except (RuntimeError, NotImplementedError) as error:
            raise LastbitError(f"no products with the Hessian in float64: {str(error).splitlines()[0]}") from error
        if not torch.equal(before, torch.get_rng_state()):
            torch.set_rng_state(before)
            raise LastbitError("the network draws random numbers, as dropout does: its steps have no known derivative")
        return [None if slope is None else slope.detach() for slope in slopes], products

    @torch.no_grad()
    def _place(self, weights: Sequence[Tensor]) -> None:
        """Bring weights, buffers, modes and other plain settings of the copy up to date."""
        for own, module in zip(self._model.modules(), self._copy.modules(), strict=True):
            plain = {name: value for name, value in vars(own).items() if isinstance(value, bool | int | float)}
            vars(module).update(plain)
        for value, buffer in zip(self._model.buffers(), self._copy.buffers(), strict=True):
            buffer.copy_(value)
        for weight, value in zip(self._weights, weights, strict=True):
            weight.copy_(value)

    def _all(self, parts: Sequence[Tensor | None]) -> Parts:
        """A part for each weight from those of the trained ones."""
        left = iter(parts)
        return [next(left) if weight.requires_grad else None for weight in self._weights]

    def _product(self, slopes: Parts, vector: Sequence[Tensor]) -> Parts:
        """The Hessian's product with a vector, from the graph of the gradient."""
        pairs = [(slope, part) for slope, part in zip(slopes, vector, strict=True) if slope is not None]
        curved = [(slope, part) for slope, part in pairs if slope.requires_grad]
        rates: Parts = [None] * len(slopes)
        if curved:  # otherwise the loss is linear
            outputs, cotangents = zip(*curved, strict=True)
            found = torch.autograd.grad(outputs, self._trained, cotangents, retain_graph=True, allow_unused=True)
            rates = self._all(found)
        return [
            None if slope is None else torch.zeros_like(slope) if rate is None else rate
            for slope, rate in zip(slopes, rates, strict=True)
        ]


def _in_float64(module: nn.Module) -> nn.Module:
    return copy.deepcopy(module).to(torch.float64)
