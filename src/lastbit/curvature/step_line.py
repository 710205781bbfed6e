"""The loss along the line through the weights before and after an optimizer's step."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from lastbit.curvature.line_search import LineCrossing, crossing
from lastbit.curvature.loss.batches import Batches, Piece
from lastbit.curvature.loss.calls import arguments, bare, loss_of_call, outputs_of
from lastbit.curvature.loss.point import scalar
from lastbit.curvature.untouched.undisturbed import evaluation_mode, undisturbed
from lastbit.errors import LastbitError
from lastbit.optimizers.family import Optimizer
from lastbit.samples import Loss, on_device
from lastbit.tensors import is_split, local

_UNITS = 4  # of the loss's last place, below which a change of it may be rounding


@dataclass(frozen=True)
class LineSearch:
    """Where the loss along a step begins to rise."""

    crossing: LineCrossing | None  # in multiples of the step; None where the loss is not finite or no weight has moved
    loss: float  # before the step
    lr: float  # of the step, the largest of the parameter groups'
    resolved: bool  # the loss changes by more than its rounding at both bounds
    seconds: float  # wall time


class StepLine:
    """Loss of one batch at w + f (w' - w), w and w' the weights before and after a step.

    The model is called as it is, in place: whatever wraps, compiles or shards it goes on working. Weights are written
    without raising their version, and everything else is put back by `undisturbed`.

    Args:
        model: the network as the training calls it.
        loss: `loss(model(inputs), targets)`, one number.
        batch: one batch.
        optimizer: the one that steps the weights.
        mode: "eval" or "as is".
        context: makes what forward passes run in.
    """

    def __init__(
        self,
        model: nn.Module,
        loss: Loss,
        batch: Any,
        optimizer: Optimizer,
        *,
        mode: str,
        context: Callable[[], AbstractContextManager[Any]] = nullcontext,
    ) -> None:
        self._model, self._loss, self._optimizer, self._mode, self._context = model, loss, optimizer, mode, context
        self.put(batch)
        self._ends: list[tuple[Tensor, Tensor, Tensor]] = []  # weight, before, after
        self._old: list[tuple[Tensor, Tensor]] = []
        self._lr = math.nan  # of the step
        self._last: float | None = None  # where the loss began to rise at the last step that was measured, times its lr

    def put(self, batch: Any) -> None:
        """Measure on another batch from now on.

        Raises:
            LastbitError: it is several.
        """
        piece = Batches(batch).single()
        if piece is None:
            raise LastbitError("a forward pass takes one batch, and these are several or a loader: give one of them")
        self._piece: Piece = piece

    @property
    def begun(self) -> bool:
        """Whether the weights before a step are kept."""
        return bool(self._old)

    @property
    def batch(self) -> tuple[Any, Any]:
        """Inputs and targets."""
        return self._piece.inputs, self._piece.targets

    def begin(self) -> None:
        """Keep the weights before a step, and its learning rate, which a schedule may change right after it."""
        self._lr = max(float(group["lr"]) for group in self._optimizer.param_groups)
        weights = [local(weight) for group in self._optimizer.param_groups for weight in group["params"]]
        self._old = [(weight, weight.detach().clone()) for weight in weights]

    def search(self) -> LineSearch:
        """Look for where the loss begins to rise, after a step."""
        started = time.perf_counter()
        self._ends, self._old = [(weight, old, weight.detach().clone()) for weight, old in self._old], []
        lr = self._lr
        try:
            with self._measuring():
                base, unit = self._at(0.0)
                moved = self._agreed(float(any(not torch.equal(old, new) for _, old, new in self._ends))) > 0
                if not moved or not math.isfinite(base):
                    return LineSearch(None, base, lr, False, time.perf_counter() - started)
                start = 1.0 if self._last is None or not lr else self._last / lr
                found = crossing(lambda f: self._at(f)[0] - base, start=start, known=self._last is not None)
        finally:
            self._ends = []
        found = _above_rounding(found, _UNITS * unit)
        self._last = (found.multiple * lr or None) if found.lower > 0 and math.isfinite(found.upper) else None
        changes = [abs(change) for at, change in found.changes if at in (found.lower, found.upper)]
        return LineSearch(found, base, lr, min(changes) > _UNITS * unit, time.perf_counter() - started)

    def _at(self, multiple: float) -> tuple[float, float]:
        """The loss so far along the step, and one unit in its last place."""
        try:
            for weight, old, new in self._ends:
                weight.data.copy_(new if multiple == 1 else torch.lerp(old, new, multiple))
            with undisturbed(self._model, self._loss, exact=False), torch.no_grad(), self._context():
                value = self._evaluated()
                _reshard(self._model)
        finally:
            for weight, _, new in self._ends:
                weight.data.copy_(new)
        loss = self._agreed(float(value))
        return loss, torch.finfo(value.dtype).eps * abs(loss)

    def _evaluated(self) -> Tensor:
        device = next(iter(self._ends))[0].device
        inner = bare(getattr(self._model, "_orig_mod", self._model))[0]  # which says how it is called

        def called(inputs: Any) -> Any:
            """Return the outputs of the model as training calls it."""
            positional, named = arguments(inner, on_device(inputs, device, None))
            return self._model(*positional, **named)

        outputs = outputs_of(called, self._piece.inputs, self._piece.targets)
        targets = on_device(self._piece.targets, device, None)
        return scalar(loss_of_call(self._loss, outputs, targets, training=self._model.training))

    @contextmanager
    def _measuring(self) -> Iterator[None]:
        with ExitStack() as stack:
            if self._mode == "eval":
                stack.enter_context(evaluation_mode(self._model, self._loss))
            stack.enter_context(undisturbed(self._model, self._loss, exact=False))
            yield

    def _agreed(self, value: float) -> float:
        """The mean over the processes that train one model, so that all of them decide alike."""
        if not _is_spread(self._model):
            return value
        total = torch.tensor(value, dtype=torch.float64, device=self._ends[0][0].device)
        torch.distributed.all_reduce(total)
        return float(total) / torch.distributed.get_world_size()


def _above_rounding(found: LineCrossing, rounding: float) -> LineCrossing:
    """Of a step that raised the loss at every rate tried, the shortest trial that did so by more than rounding."""
    raised = [at for at, change in found.changes if change > rounding]
    return replace(found, upper=min(raised)) if found.lower == 0 and raised else found


def _reshard(model: nn.Module) -> None:
    """Free what FSDP2 has gathered for a forward pass, since `undisturbed` puts the sharded parameters back."""
    for module in model.modules():
        if type(module).__name__.startswith("FSDP") and callable(getattr(module, "reshard", None)):
            module.reshard()  # type: ignore[operator]


def _is_spread(model: nn.Module) -> bool:
    """Whether several processes train this model: by DDP, FSDP or tensor parallelism."""
    if "torch.distributed" not in sys.modules or not torch.distributed.is_available():
        return False
    if not torch.distributed.is_initialized():
        return False
    wrapped = ("DistributedDataParallel", "FullyShardedDataParallel")
    return any(type(module).__name__ in wrapped for module in model.modules()) or any(map(is_split, model.parameters()))
