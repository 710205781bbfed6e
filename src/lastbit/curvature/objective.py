"""The mean loss over the data as a function of some of a model's parameters, at one point."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from lastbit.curvature.batches import Batches, Piece
from lastbit.curvature.calls import arguments, bare, loss_called, model_called
from lastbit.curvature.differentiable import twice_differentiable
from lastbit.curvature.nests import placed
from lastbit.curvature.parameters import chosen, flat_dtype, flatten
from lastbit.curvature.untouched import (
    calls_noted,
    random_states,
    refuse_batch_statistics,
    refuse_different,
    refuse_random,
    undisturbed,
)
from lastbit.errors import LastbitError, LastbitTypeError

Loss = Callable[[Any, Any], Tensor]


class Objective:
    """Mean loss over the data, a function of the chosen parameters; the model keeps its own tensors untouched.

    Args:
        model: the network, in the modes it is to be measured in.
        loss: `loss(model(inputs), targets)`, a mean over samples.
        data: one (inputs, targets) batch, an iterable of them, or another objective's batches.
        parameters: glob patterns of parameter names.
        micro_batch: samples whose training step fills the memory that a product may take.
        dtype: floating-point type to evaluate in; None for the model's own.
    """

    def __init__(
        self,
        model: nn.Module,
        loss: Loss,
        data: Any,
        *,
        parameters: str | Sequence[str] = "*",
        micro_batch: int | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        self.model, self.loss, self.dtype = model, loss, dtype
        self.parameters = chosen(model, parameters)
        self.batches = data if isinstance(data, Batches) else Batches(data, micro_batch=_one_pass(micro_batch))

    def point(self) -> Point:
        """The objective at the parameters as they are now."""
        return Point(self)

    def check(self) -> None:
        """Refuse an objective that is random, or couples samples through batch statistics.

        Raises:
            LastbitError: see `lastbit.curvature.untouched`.
        """
        refuse_batch_statistics(self.model)
        point = self.point()
        with undisturbed(self.model, self.loss, *point.buffers) as state, calls_noted(state.modules) as called:
            for piece in self.batches.pieces():
                before = random_states(state)
                with torch.no_grad():
                    point.piece_loss(piece)
                refuse_random(called, self.model, before, random_states(state))
                break
        refuse_batch_statistics(self.model, called)
        refuse_different(point.gradient(), point.gradient())


class Point:
    """The objective at copies of the parameters and buffers: training may go on, and measuring cannot touch it."""

    def __init__(self, objective: Objective) -> None:
        self.objective = objective
        model, dtype = objective.model, objective.dtype
        state = {**dict(model.named_parameters()), **dict(model.named_buffers())}
        self._state = {name: _copy(tensor, dtype) for name, tensor in state.items()}
        self.buffers = [self._state[name] for name, _ in model.named_buffers()]
        self.weights = [self._state[name].requires_grad_() for name in objective.parameters]
        self.dtype = flat_dtype(self.weights)

    @property
    def size(self) -> int:
        """Number of entries of the chosen parameters."""
        return sum(weight.numel() for weight in self.weights)

    def outputs(self, piece: Piece) -> Any:
        """The model's outputs at a piece of the data."""
        inputs = placed(piece.inputs, self.weights[0].device, self.objective.dtype)
        model, prefix = bare(self.objective.model)
        positional, named = arguments(model, inputs)
        state = {name.removeprefix(prefix): tensor for name, tensor in self._state.items()}
        with model_called(piece.inputs):
            return functional_call(model, state, positional, named)

    def loss_of(self, outputs: Any, piece: Piece) -> Tensor:
        """The loss of outputs at the targets of a piece."""
        targets = placed(piece.targets, self.weights[0].device, self.objective.dtype)
        with loss_called(self.objective.model, outputs, piece.targets):
            value = self.objective.loss(outputs, targets)
        return _scalar(value)

    def piece_loss(self, piece: Piece) -> Tensor:
        """The mean loss of a piece."""
        return self.loss_of(self.outputs(piece), piece)

    def mean(self, of_piece: Callable[[Piece], Tensor]) -> Tensor:
        """Mean over samples of a flat vector that each piece yields; torch's random states stay as they are."""
        total, samples = None, 0
        with undisturbed(self.objective.model, self.objective.loss, *self.buffers), twice_differentiable():
            # A loader that shuffles then yields the same batches at every pass, whatever was drawn in between.
            torch.default_generator.manual_seed(0)
            for piece in self.objective.batches.pieces():
                share = of_piece(piece) * piece.samples
                total = share if total is None else total.add_(share)
                samples += piece.samples
        assert total is not None  # pieces() raises where there are none
        return total.div_(samples)

    def gradient(self) -> Tensor:
        """Gradient of the mean loss, flat."""
        return self.mean(lambda piece: flatten(self.slopes(self.piece_loss(piece)), self.dtype))

    def slopes(self, loss: Tensor, *, create_graph: bool = False) -> tuple[Tensor, ...]:
        """Gradient of a loss in the chosen parameters; zero in those it does not depend on.

        Raises:
            LastbitError: it depends on none of them.
        """
        slopes = grad_of(loss, self.weights, create_graph=create_graph) if loss.requires_grad else [None]
        if all(slope is None for slope in slopes):
            raise LastbitError(
                f"the loss does not depend on the parameters {', '.join(list(self.objective.parameters)[:4])}...: "
                "look for detach(), torch.no_grad(), argmax or numpy on its way"
            )
        pairs = zip(slopes, self.weights, strict=True)
        return tuple(torch.zeros_like(weight) if slope is None else slope for slope, weight in pairs)


def grad_of(
    output: Tensor | Sequence[Tensor],
    variables: Sequence[Tensor],
    cotangent: Sequence[Tensor] | None = None,
    *,
    create_graph: bool = False,
    retain_graph: bool | None = None,
) -> tuple[Tensor | None, ...]:
    """`torch.autograd.grad`, None where the output does not depend on a variable."""
    return torch.autograd.grad(
        output, variables, cotangent, create_graph=create_graph, retain_graph=retain_graph, allow_unused=True
    )


def _one_pass(micro_batch: int | None) -> int | None:
    """Samples in one forward pass: a graph to be differentiated twice holds over twice what a training step's does."""
    return max(1, 2 * micro_batch // 5) if isinstance(micro_batch, int) and micro_batch > 0 else micro_batch


def _copy(tensor: Tensor, dtype: torch.dtype | None) -> Tensor:
    """A tensor's own copy, in another floating-point type where one is asked for."""
    return tensor.detach().to(dtype=dtype if tensor.is_floating_point() else None, copy=True)


def _scalar(value: object) -> Tensor:
    """The loss, which must be one number."""
    if isinstance(value, Tensor) and value.numel() == 1:
        return value.reshape(())
    shape = f"a tensor of shape {tuple(value.shape)}" if isinstance(value, Tensor) else f"a {type(value).__name__}"
    raise LastbitTypeError(
        f"loss(outputs, targets) returns {shape}, not one number; reduce it, for instance by its mean"
    )
