"""Whether autograd gives the derivatives of the loss: compare them with finite differences.

Straight-through estimators, gradient reversal, clipped or otherwise altered gradients, detached parts and custom
functions whose backward is no derivative can train a network well, but their products belong to no Hessian.

Everything is computed in float64, at a few samples and at weights moved a little from the model's: where zero weights
and zero inputs hit a kink of ReLU or a tie of max-pooling exactly, there is no derivative to compare with. A step in
the weights is as short as rounding allows, so that kinks hardly ever lie between its ends. Where rounding drowns it a
longer one is tried, and a loss is refused only if three directions in a row show the difference.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from lastbit.curvature.loss.batches import Piece
from lastbit.curvature.loss.checks import custom_functions, refuse_once_differentiable
from lastbit.curvature.loss.parameters import flatten, flatten_slopes, unflatten
from lastbit.curvature.loss.point import FAILURES, LossPoint, attempted, grad_of
from lastbit.errors import LastbitError

SAMPLES = 8  # that are tested
_MOVED = 0.01  # of the weights' size
_SIGNAL = 1e-8  # change of the loss that a step is to make, relative to it: a hundred million times its rounding
_LONGEST = 1e-3  # step, relative to the weights' norm
_STEPS = (1e-9, 1e-7, 1e-5)  # the same, between two gradients: short for kinks, longer where rounding drowns that
_OFF = 1e-3  # relative difference beyond rounding and kinks
_DIRECTIONS = 3


def moved(point: LossPoint) -> LossPoint:
    """The point with its copies of the weights moved a little, into a general position."""
    generator = torch.Generator().manual_seed(0)
    typical = float(flatten(point.weights, point.dtype).square().mean().sqrt()) or 1.0
    with torch.no_grad():
        for weight in point.weights:
            size = float(weight.detach().double().square().mean().sqrt()) or typical
            drawn = torch.randn(weight.shape, generator=generator, dtype=torch.float32, device="cpu")
            weight.add_((_MOVED * size * drawn).to(weight))
    return point


def refuse_no_derivatives(point: LossPoint, twin: LossPoint, piece: Piece) -> None:
    """Refuse a loss of which autograd's first or second derivatives are not the derivatives.

    A loss that cannot be evaluated in float64 passes.

    Args:
        point: in float64, moved.
        twin: the same, to step away from it.
        piece: a few samples.

    Raises:
        LastbitError: they are not; the message names custom functions and parameters that look responsible.
    """
    try:
        with point.in_float64():
            loss = attempted(lambda: point.piece_loss(piece))
            comparison = _Comparison(point, twin, piece, loss) if loss is not None and loss.requires_grad else None
        if comparison is not None:
            comparison.refuse()
    except FAILURES as error:
        if isinstance(error, LastbitError) and error.__cause__ is None:
            raise
        # No second derivative, or none in float64: the measurement itself raises.


class _Comparison:
    """Compares autograd's derivatives at one piece with differences of the loss and its gradient."""

    def __init__(self, point: LossPoint, twin: LossPoint, piece: Piece, loss: Tensor) -> None:
        self._point, self._twin, self._piece, self._value = point, twin, piece, float(loss.detach())
        slopes = grad_of(loss, point.weights, create_graph=True)
        refuse_once_differentiable([slope for slope in slopes if slope is not None])
        self._without = [index for index, slope in enumerate(slopes) if slope is None]
        self._with = [index for index, slope in enumerate(slopes) if slope is not None]
        self._slope = flatten_slopes(slopes, point.weights, point.dtype)
        self._generator = torch.Generator().manual_seed(1)
        self._length = float(flatten(point.weights, point.dtype).norm()) or 1.0
        self._functions = custom_functions(loss)

    def refuse(self) -> None:
        """Test the gradient first: where it is no derivative, its own derivative means nothing.

        Raises:
            LastbitError: see `refuse_no_derivatives`.
        """
        if not bool(self._slope.isfinite().all()):
            return
        self._refuse_gradient()
        self._refuse_unreached()
        self._refuse_products()

    def _refuse_gradient(self) -> None:
        """Test the loss's change along the gradient and along a random direction of the parameters that have one."""
        norm = float(self._slope.norm())
        for direction in (self._slope / (norm or 1.0), self._random(self._with)):
            expected = float(self._slope @ direction)
            scale = max(1.0, abs(self._value))
            step = _SIGNAL * scale / abs(expected) if expected else 1.0
            if not norm or step > _LONGEST * self._length:
                continue  # too flat to test
            change, check = (self._change_along(direction, size) for size in (step, 4 * step))
            steady = abs(change - check) <= _OFF * max(map(abs, (change, check, expected)))
            if steady and not _near(change, expected):
                raise LastbitError(
                    f"the gradient is not the loss's derivative: along one direction the loss changes by {change:.4g} "
                    f"a unit where its gradient says {expected:.4g}{self._suspects()}, so that the loss has no Hessian "
                    "to be measured; measure the network without that"
                )

    def _refuse_unreached(self) -> None:
        """Test the loss's change along the parameters that no gradient reaches: all at once, then each."""
        if not self._without or not self._moves(self._without):
            return
        for index in self._without:
            if self._moves([index]):
                name = list(self._point.parameters)[index]
                raise LastbitError(
                    f"the loss depends on {name}, but no gradient reaches it{self._suspects()}; "
                    "where it is not to be trained call its requires_grad_(False), or name others by parameters="
                )

    def _moves(self, indices: Sequence[int]) -> bool:
        """Whether the loss changes with some of the weights; each is moved as far as it would be alone."""
        parts = [torch.zeros_like(weight) for weight in self._point.weights]
        for index in indices:
            drawn = torch.randn(parts[index].shape, generator=self._generator, dtype=torch.float64, device="cpu")
            parts[index] = (drawn / drawn.norm()).to(parts[index])
        direction = flatten(parts, self._point.dtype)
        there, back = (self._loss_at(direction, size) for size in (1e-6 * self._length, 0.0))
        return abs(there - back) > 1e-11 * max(1.0, abs(back))

    def _refuse_products(self) -> None:
        """Test products against differences of gradients, and their symmetry."""
        unsymmetric = 0.0
        for _ in range(_DIRECTIONS):
            direction = self._random(self._with)
            product = self._product(direction)
            size = float(product.norm())
            if size:
                back = float(self._product(product / size) @ direction)
                unsymmetric = max(unsymmetric, abs(back - size) / size)
            if not unsymmetric > _OFF and any(self._agrees(product, direction, step) for step in _STEPS):
                return
        reason = "products with the Hessian are not the derivative of the gradient"
        if unsymmetric > _OFF:
            reason = f"products are not those of a symmetric matrix ({unsymmetric:.1e} relative)"
        raise LastbitError(
            f"{reason}{self._suspects()}: the backward pass of a function is no derivative or has none, so that the "
            "loss has no Hessian to be measured; measure the network without that"
        )

    def _agrees(self, product: Tensor, direction: Tensor, share: float) -> bool:
        """Whether a product is the difference of two gradients that lie a share of the weights' norm apart."""
        step = share * self._length
        change = (self._slope_at(direction, step) - self._slope_at(direction, -step)) / (2 * step)
        largest = max(float(product.norm()), float(change.norm()))
        return float((change - product).norm()) <= _OFF * (largest + float(self._slope.norm()) / self._length)

    def _random(self, indices: Sequence[int]) -> Tensor:
        """A unit direction in some of the weights, each moved by its size."""
        parts = [torch.zeros_like(weight) for weight in self._point.weights]
        for index in indices:
            weight = self._point.weights[index].detach()
            drawn = torch.randn(weight.shape, generator=self._generator, dtype=torch.float64, device="cpu")
            parts[index] = ((float(weight.square().mean().sqrt()) or 1.0) * drawn).to(weight)
        flat = flatten(parts, self._point.dtype)
        if bool((flat * self._slope).any()):
            flat = flat * (self._slope != 0)  # an embedding's row for padding has no gradient, and is not trained
        unit: Tensor = flat / flat.norm()
        return unit

    def _change_along(self, direction: Tensor, size: float) -> float:
        """The loss's slope by a central difference."""
        return (self._loss_at(direction, size) - self._loss_at(direction, -size)) / (2 * size)

    def _loss_at(self, direction: Tensor, size: float) -> float:
        self._step(direction, size)
        with self._twin.in_float64(), torch.no_grad():
            return float(self._twin.piece_loss(self._piece))

    def _slope_at(self, direction: Tensor, size: float) -> Tensor:
        self._step(direction, size)
        twin = self._twin
        with twin.in_float64():
            return flatten_slopes(grad_of(twin.piece_loss(self._piece), twin.weights), twin.weights, twin.dtype)

    def _step(self, direction: Tensor, size: float) -> None:
        """Put the twin that far from the point."""
        parts = unflatten(direction * size, self._point.weights)
        with torch.no_grad():
            for weight, start, part in zip(self._twin.weights, self._point.weights, parts, strict=True):
                weight.copy_(start + part)

    def _product(self, direction: Tensor) -> Tensor:
        """A product from a new graph: a loss that writes to its weights leaves none that can be used twice."""
        point = self._point
        with point.in_float64():
            return point.product(grad_of(point.piece_loss(self._piece), point.weights, create_graph=True), direction)

    def _suspects(self) -> str:
        if self._functions:
            return f" (on its way: {', '.join(self._functions[:4])})"
        return " (look for detach(), torch.no_grad(), rounding and hooks that alter gradients)"


def _near(one: float, other: float) -> bool:
    return abs(one - other) <= 5 * _OFF * max(abs(one), abs(other))
