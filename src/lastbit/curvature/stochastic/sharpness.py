"""Batch sharpness along a training: E g'H_B g / |g|^2 over its batches, beside the edge of small batches."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from lastbit.curvature.loss.batches import Batches, Piece
from lastbit.curvature.loss.objective import Objective
from lastbit.curvature.loss.parameters import Choice, chosen, without_fixed_loss
from lastbit.curvature.stochastic.products import SteppedLoss, batch_curvature
from lastbit.curvature.stochastic.row import BatchRow
from lastbit.curvature.untouched.undisturbed import undisturbed
from lastbit.errors import LastbitError, LastbitTypeError
from lastbit.optimizers.edge import coupled_weight_decay, edges_of, preconditioner
from lastbit.samples import Loss

BATCHES = 32  # measured, by default
LARGEST = 4  # of them, by default, whose largest eigenvalue is looked for
_ALIKE = 1e-3  # relative difference of the sum of two losses from the loss of both batches together
_ONE = (
    "there is one batch only, so that nothing varies: this is its curvature along its own gradient, without an "
    "interval, and nothing is known of the noise"
)


class BatchSharpness:
    """Measures batch sharpness, with a confidence interval, and gradient noise: see `BatchRow`.

        measured = lb.BatchSharpness(model, loss, train_loader, optimizer=optimizer)
        print(measured.measure())  # 2 is the edge of small batches

    Of each batch it takes the gradient, one Hessian product along it and, for interaction-aware sharpness, one along
    another batch's gradient. A loader is read once, at the first measurement, and left as it was: batches drawn at
    random where it has an index, else its first ones. From one batch with `batch_size` new ones are drawn each time.
    Smaller batches, such as the last of a pass, are left out.

    Args:
        model: the network, in the modes it is to be measured in.
        loss: `loss(model(inputs), targets)`, one number.
        data: the training's batches, as an iterable such as a `DataLoader`; or one batch, with `batch_size`.
        optimizer: its edge of small batches, coupled weight decay and preconditioner count; None for the bare loss.
        batch_size: samples of a batch, where batches are to be drawn from one large batch.
        batches: how many are measured.
        largest: of how many of them the largest eigenvalue is estimated too, with up to 20 products each.
        parameters: glob patterns of names, or the parameters themselves by name.
        seed: of the draw of batches, from a generator of its own.

    Raises:
        LastbitTypeError: an argument is of the wrong kind.
        LastbitError: an option is out of range, or `batch_size` does not fit the data.
    """

    def __init__(
        self,
        model: nn.Module,
        loss: Loss,
        data: Any,
        *,
        optimizer: torch.optim.Optimizer | None = None,
        batch_size: int | None = None,
        batches: int = BATCHES,
        largest: int = LARGEST,
        parameters: Choice = "*",
        seed: int = 0,
    ) -> None:
        _refuse(batch_size, batches, largest)
        if optimizer is not None:
            parameters = without_fixed_loss(model, loss, optimizer, parameters)
        self._model, self._loss, self._optimizer = model, loss, optimizer
        self._parameters = chosen(model, parameters, loss)
        self._data, self._batch_size = Batches(data), batch_size
        self._batches, self._largest = batches, largest
        self._generator = torch.Generator().manual_seed(seed)
        self._whole = None if batch_size is None else _whole(self._data, batch_size)
        self._held: list[Piece] = []  # the loader's
        self._remarks: list[str] | None = None  # that hold for every row; None before the first

    def prepare(self) -> None:
        """Read the batches of a loader, and check the loss on one; the first measurement does so where nothing has yet.

        Raises:
            LastbitError: the loss has no Hessian to be measured (as for `HessianOperator`), or the data are empty.
        """
        if self._remarks is None:
            with undisturbed(self._model, self._loss):
                self._remarks = self._checked(self._drawn())

    def measure(self, *, seed: int | None = None) -> BatchRow:
        """Measure at the present weights.

        Args:
            seed: of this draw of batches, for one that does not depend on those before.

        Raises:
            LastbitError: as `prepare` does; or an adaptive optimizer has taken no step yet, so that it has no
                preconditioner.
        """
        self.prepare()
        if seed is not None:
            self._generator.manual_seed(seed)
        started = time.perf_counter()
        with undisturbed(self._model, self._loss):
            pieces = self._drawn()
            found = batch_curvature(self._stepped(), pieces, self._largest)
        sums = found.sums
        return BatchRow(
            samples=pieces[0].samples,
            batches=len(pieces),
            estimate=sums.sharpness(),
            largest=found.largest,
            interaction=sums.interaction(),
            noise=sums.noise(),
            signal_to_noise=sums.signal_to_noise(),
            edge=self._edge(),
            matvecs=found.matvecs,
            seconds=time.perf_counter() - started,
            note="; ".join([*(self._remarks or ()), *_flat(sums.squared.tolist())]),
        )

    def _drawn(self) -> list[Piece]:
        """The batches to measure now."""
        if self._whole is not None:
            return list(itertools.islice(self._cut(self._whole), self._batches))
        if not self._held:
            pieces = self._data.some(self._batches, self._generator)
            if not pieces:
                raise LastbitError("the data hold no samples: the loader is empty, or every batch in it is")
            full = max(piece.samples for piece in pieces)
            self._held = [piece for piece in pieces if piece.samples == full]
        return self._held

    def _cut(self, whole: Piece) -> Iterator[Piece]:
        """Batches of one large batch in a random order, and in another where that has no more."""
        size = self._batch_size or whole.samples
        while True:
            order = torch.randperm(whole.samples, generator=self._generator, device="cpu")
            yield from (piece for piece in whole.shuffled(order).cut(size) if piece.samples == size)

    def _checked(self, pieces: list[Piece]) -> list[str]:
        """Check the loss on one batch, and return what is to be said of loss, loader and optimizer."""
        batch = pieces[0].inputs, pieces[0].targets
        Objective(self._model, self._loss, batch, parameters=self._parameters).check()
        remarks = [_ONE] if len(pieces) == 1 else []
        if len(pieces) > 1 and self._adds(pieces[0], pieces[1]):
            remarks.append(
                f"the loss adds up its samples instead of averaging them: batch sharpness and edge hold for batches of "
                f"{pieces[0].samples}, and both gradients and curvature grow with their size"
            )
        return [*remarks, *self._no_edge()]

    def _adds(self, one: Piece, other: Piece) -> bool:
        """Whether the loss of two batches together is the sum of their own."""
        joined = one.joined(other)
        if joined is None:
            return False
        stepped = self._bare()
        left, right, both = (stepped.value(piece) for piece in (one, other, joined))
        return math.isfinite(both) and abs(left + right - both) <= _ALIKE * abs(both) > 0

    def _no_edge(self) -> list[str]:
        if self._optimizer is None:
            return []
        try:
            edges_of(self._optimizer, (), batch="small")
        except LastbitTypeError as error:
            return [f"no edge of small batches is known, and this is the curvature of the bare loss: {error}"]
        return []

    def _bare(self) -> SteppedLoss:
        return SteppedLoss(self._model, self._loss, self._parameters, {}, None)

    def _stepped(self) -> SteppedLoss:
        if self._optimizer is None or self._no_edge():
            return self._bare()
        decay, diagonal = coupled_weight_decay(self._optimizer), preconditioner(self._optimizer)
        return SteppedLoss(self._model, self._loss, self._parameters, decay, diagonal)

    def _edge(self) -> float:
        if self._optimizer is None or self._no_edge():
            return math.nan
        return min(edge.value for edge in edges_of(self._optimizer, self._parameters.values(), batch="small"))


def _refuse(batch_size: int | None, batches: int, largest: int) -> None:
    """Check the options.

    Raises:
        LastbitError: one is out of range.
    """
    counts = {"batch_size": (batch_size, 1), "batches": (batches, 1), "largest": (largest, 0)}
    for name, (value, least) in counts.items():
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < least):
            raise LastbitError(f"{name}={value!r} is not allowed; give a whole number of {least} or more")


def _whole(data: Batches, batch_size: int) -> Piece:
    """The one batch from which others are drawn.

    Raises:
        LastbitError: the data are several batches or a loader, or fewer samples than a batch takes.
    """
    whole = data.single()
    if whole is None:
        raise LastbitError(
            f"batch_size={batch_size} beside several batches or a loader, which have a size of their own; give one of "
            "the two: one batch of all the samples with batch_size, or the loader alone"
        )
    if whole.samples < batch_size:
        raise LastbitError(f"batch_size={batch_size} is more than the {whole.samples} samples that the data hold")
    return whole


def _flat(squared: list[float]) -> list[str]:
    none = squared.count(0.0)
    return [f"{none} of {len(squared)} batches have no gradient and are left out of batch sharpness"] if none else []
