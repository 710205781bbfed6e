"""The mean loss over the data as a function of some of a model's parameters."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from lastbit.curvature.loss.batches import Batches, Piece
from lastbit.curvature.loss.checks import (
    calls_noted,
    refuse_batch_statistics,
    refuse_bypassed,
    refuse_different,
    refuse_random,
    refuse_reentrant,
)
from lastbit.curvature.loss.derivatives import SAMPLES, moved, refuse_no_derivatives
from lastbit.curvature.loss.parameters import Choice, chosen
from lastbit.curvature.loss.point import LossPoint, attempted
from lastbit.curvature.loss.reduction import BY_SAMPLES, Denominator, Reduction, reduction_of
from lastbit.curvature.untouched.undisturbed import undisturbed
from lastbit.samples import Loss

_MANY = 32  # samples; fewer take little memory, and some models fail at a single one


class Objective:
    """Mean loss over the data as a function of the chosen parameters; the model keeps its own tensors untouched.

    Args:
        model: the network, in the modes it is to be measured in.
        loss: `loss(model(inputs), targets)`, one number.
        data: one (inputs, targets) batch, or an iterable of them.
        parameters: glob patterns of names, or parameters by name; those of a loss module begin with `loss.`.
        micro_batch: samples whose training step fills the memory that a product may take.
        dtype: floating-point type to evaluate in; None for the model's own.
        denominator: what the loss divides its sum by, of inputs and targets; None to infer it where it matters.
        stepped: what the optimizer steps. Where all of it that model and loss hold is measured, a loss that depends on
            more of it is refused.
    """

    def __init__(
        self,
        model: nn.Module,
        loss: Loss,
        data: Any,
        *,
        parameters: Choice = "*",
        micro_batch: int | None = None,
        dtype: torch.dtype | None = None,
        denominator: Denominator | None = None,
        stepped: Iterable[nn.Parameter] = (),
    ) -> None:
        self.model, self.loss, self.dtype = model, loss, dtype
        self.parameters = chosen(model, parameters, loss)
        self.batches = Batches(data, micro_batch=_one_pass(micro_batch))
        self._denominator, self._reduction = denominator, BY_SAMPLES
        trained = set(chosen(model, "*", loss).values()) & set(stepped)
        self._stepped = frozenset(stepped if trained <= set(self.parameters.values()) else ())
        self.checked = False

    def point(self) -> LossPoint:
        """The objective at the parameters as they are now."""
        return self._point(self.dtype)

    def mean_loss(self) -> float:
        """The mean loss at the parameters as they are now."""
        point = self.point()
        return float(point.mean(lambda piece: point.piece_loss(piece).detach()))

    def check(self) -> None:
        """Refuse an objective that has no Hessian to be measured, and infer how pieces of the data are weighted.

        Raises:
            LastbitError: the loss is random, couples samples through batch statistics or otherwise where the data come
                in pieces, depends on trained parameters that are not measured, or autograd's derivatives are not its
                derivatives. See the modules `checks`, `reduction` and `derivatives` of this package.
        """
        refuse_batch_statistics(self.model)
        point, trial, twin = self.point(), self._trial(torch.float64), self._trial(torch.float64)
        with undisturbed(self.model, self.loss, *point.writable, *trial.writable, *twin.writable) as state:
            with point.evaluating(), calls_noted(state.modules) as called:
                piece = next(self.batches.pieces())
                before = state.random_states()
                loss = point.piece_loss(piece)
                refuse_random(called, self.model, before, state.random_states())
                refuse_reentrant(loss)
                refuse_bypassed(loss, self.parameters, self._stepped)
                del loss
            refuse_batch_statistics(self.model, called)
            if self.batches.single() is None:
                self._reduction = self._inferred_reduction(trial)
                point = self.point()
            refuse_different(point.gradient(), point.gradient())
            refuse_no_derivatives(trial, twin, next(piece.cut(SAMPLES)))
        self.checked = True

    def _inferred_reduction(self, wide: LossPoint) -> Reduction:
        """How pieces are weighted, inferred in float64 on a CPU, where that costs little."""
        narrow = self._trial(torch.promote_types(self.dtype or torch.float32, torch.float32))
        wide_first = narrow.weights[0].device.type == "cpu"

        def value(piece: Piece) -> Tensor:
            """Return a piece's loss, in float64 where it can be."""
            if wide_first:
                with wide.in_float64(), torch.no_grad():
                    loss = attempted(lambda: wide.piece_loss(piece))
                if loss is not None:
                    return loss
            with narrow.evaluating(), torch.no_grad():
                return narrow.piece_loss(piece)

        with undisturbed(self.model, self.loss, *narrow.writable, *wide.writable):
            return reduction_of(self.loss, self._denominator, _quartered(self.batches.pieces()), value)

    def _trial(self, dtype: torch.dtype) -> LossPoint:
        """A point at other weights, none of which is exactly zero or at a minimum, to try code at."""
        devices = {parameter.device.type for parameter in self.parameters.values()}
        return moved(self._point(torch.float32 if "mps" in devices and dtype == torch.float64 else dtype))

    def _point(self, dtype: torch.dtype | None) -> LossPoint:
        return LossPoint(self.model, self.loss, self.parameters, self.batches, dtype=dtype, reduction=self._reduction)


def _quartered(pieces: Iterable[Piece]) -> Iterator[Piece]:
    """The pieces, each in four where it holds many samples.

    Two parts are evaluated together in float64, in which a convolution on the CPU unfolds its whole input: two whole
    pieces would take more memory than a product.
    """
    for piece in pieces:
        yield from piece.cut(-(-piece.samples // 4)) if piece.samples >= _MANY else (piece,)


def _one_pass(micro_batch: int | None) -> int | None:
    """Samples of a forward pass: a graph to be differentiated twice holds over twice what a training step's does."""
    return max(1, 2 * micro_batch // 5) if isinstance(micro_batch, int) and micro_batch > 0 else micro_batch
