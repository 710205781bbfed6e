"""Sharpness against the edge of stability, measured inside a training loop of the user's own."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any, Self

import torch
from torch import Tensor, nn

from lastbit.curvature.critical import critical_row
from lastbit.curvature.loss.calls import CallError, SwappedError
from lastbit.curvature.loss.parameters import chosen_and_stepped, refuse_nan
from lastbit.curvature.loss.reduction import Denominator
from lastbit.curvature.operator import HessianOperator
from lastbit.curvature.sharpness import SharpnessRow
from lastbit.curvature.step_line import LineSearch, StepLine
from lastbit.curvature.step_watch import StepMonitor, refuse_wrong
from lastbit.curvature.stepped_gradient import Comparisons, SteppedGradient, stepped_gradient, training_differs
from lastbit.curvature.stochastic.sharpness import BatchSharpness
from lastbit.curvature.tracker import SharpnessTracker
from lastbit.curvature.untouched.undisturbed import evaluation_mode, undisturbed, without_autocast
from lastbit.optimizers.edge import edges_of
from lastbit.optimizers.family import innermost
from lastbit.samples import Loss
from lastbit.schedules import Schedule, as_schedule, log_spaced

Sink = Callable[[SharpnessRow], object]
_LOG_SPACED = log_spaced()
_COMPARED = 5  # rows at which the stepped gradient is compared, since a comparison costs a gradient
_COMPARED_AGAIN = 10  # rows from one comparison to the next after these


class SharpnessMonitor(StepMonitor[SharpnessRow]):
    """Measures the sharpness of a training on a schedule, and never changes the training.

        with lb.SharpnessMonitor(model, loss, (inputs, targets), optimizer, every=100) as monitor:
            for epoch in range(epochs):
                ...  # as before
        print(monitor.rows[-1].normalised)  # 2 is the edge

    Inside the `with` block it counts the optimizer's steps by a hook, so the loop itself stays as it is. Steps that a
    gradient scaler or gradient accumulation leaves out are not counted. Weights, buffers, `.grad`, modes and torch's
    random states are bit for bit what they would be without it. An exception in the loop passes through; the rows so
    far are kept, and the sinks have received them.

    It measures the curvature of the mean loss over `data`, with the optimizer's coupled weight decay and preconditioner
    as in `SharpnessTracker(..., optimizer=optimizer)`, in the parameters that the optimizer steps. Where parameter
    groups have different edges, the network is compared with the smallest, above which it need not be unstable;
    `parameters` singles a group out.

    The edge is that of steps along the monitored loss's gradient. So at the first rows, and every tenth after, the
    stepped gradient is compared with it: the row's `note` names accumulation that adds up, scaled losses and
    clipping.

    The first row at which a weight, the loss or the curvature is not finite is marked `diverged` and is the last.

    Args:
        model: the network in training.
        loss: `loss(model(inputs), targets)`, one number. The parameters of a loss module count too where the optimizer
            steps them.
        data: one batch, which is the quickest, or an iterable of batches such as a `DataLoader`, which is read when
            watching begins and left as it was. A batch is a pair (inputs, targets), or a mapping, which is both and
            goes into the model by keyword. A fixed batch of training samples will do; its size decides what a
            measurement costs.
        optimizer: the one that steps the model, with a known edge (`edge_of_stability`).
        every: updates from one measurement to the next, or a schedule: a callable from the number of updates to True
            or False, such as `lb.log_spaced()`.
        sinks: callables that receive each row, such as those of `lastbit.integrations`, or `print`.
        k: eigenvalues wanted.
        tol: largest error: distance from a value to its upper bound, relative to the largest value.
        parameters: glob patterns of parameter names.
        micro_batch: samples whose training step fills the memory that a measurement may take.
        denominator: what the loss divides its sum by, a callable of inputs and targets; None to infer it.
        mode: "eval" measures with every module in evaluation mode, and so without dropout and with the running
            statistics of batch normalisation, also in other networks that the loss goes through; "as is" leaves the
            modes alone, and refuses these two in training mode.
        critical: measure critical sharpness too, at each step that is due, on data of one batch and in this mode, but
            compiled where the model is; see `CriticalSharpness`.
        batch_sharpness: measure batch sharpness and gradient noise too (see `BatchSharpness`): over the batches of a
            loader, such as the training's own; or a number of samples, for batches of that size drawn from `data`.
        start: updates already made, where a training is resumed.

    Raises:
        LastbitTypeError: an argument is of the wrong kind, or the optimizer of no supported class.
        LastbitError: an option is out of range, or the optimizer steps none of the chosen parameters.
    """

    def __init__(
        self,
        model: nn.Module,
        loss: Loss,
        data: Any,
        optimizer: torch.optim.Optimizer,
        every: Schedule | int = _LOG_SPACED,
        *,
        sinks: Sequence[Sink] = (),
        k: int = 1,
        tol: float = 1e-3,
        parameters: str | Sequence[str] = "*",
        micro_batch: int | None = None,
        denominator: Denominator | None = None,
        mode: str = "eval",
        critical: bool = False,
        batch_sharpness: Any = None,
        start: int = 0,
    ) -> None:
        refuse_wrong(loss, sinks, mode)
        super().__init__(innermost(optimizer), as_schedule(every), sinks, start)
        self._model, self._loss, self._mode = model, loss, mode
        self._parameters = chosen_and_stepped(model, self._optimizer, parameters, loss)
        edges_of(self._optimizer, self._parameters.values())  # refuses an optimizer that has none
        self._tracker = SharpnessTracker(
            model,
            loss,
            data,
            k,
            tol,
            optimizer=self._optimizer,
            parameters=self._parameters,
            micro_batch=micro_batch,
            denominator=denominator,
        )
        self._line = StepLine(model, loss, data, self._optimizer, mode=mode) if critical else None
        self._batches = None if batch_sharpness is None else self._over_batches(data, batch_sharpness)
        self._monitored: Tensor | None = None  # gradient before that step, where it is to be compared
        self._comparisons, self._changed = Comparisons(), False

    def _over_batches(self, data: Any, batches: Any) -> BatchSharpness:
        drawn, size = (data, batches) if isinstance(batches, int) else (batches, None)
        options: dict[str, Any] = {"optimizer": self._optimizer, "parameters": self._parameters}
        return BatchSharpness(self._model, self._loss, drawn, batch_size=size, **options)

    def __repr__(self) -> str:
        parts = [f"step {self.step:,}", "1 row" if len(self._rows) == 1 else f"{len(self._rows):,} rows"]
        parts += [f"normalised {row.normalised:.4g} at step {row.step:,}" for row in self._rows[-1:]]
        return f"<SharpnessMonitor: {', '.join(parts)}, {'watching' if self._hooks else 'not watching'}>"

    def __enter__(self) -> Self:
        """Check that the loss can be measured, and watch the optimizer from here on.

        Raises:
            LastbitError: the weights hold NaN, the data are empty, or the loss is random, depends on no weight or
                cannot be differentiated twice.
            RuntimeError: the optimizer is being watched already.
        """
        self._refuse_open()
        refuse_nan(self._parameters)
        objective = self._tracker.objective
        try:
            with self._measuring():
                objective.check()
                hessian = HessianOperator.at(objective.point())
                # Raises where there is no second derivative.
                hessian.matvec(torch.zeros(hessian.size, device=hessian.device))
                if self._batches is not None:
                    self._batches.prepare()
        except CallError as error:
            if self._mode != "eval" or not self._model.training or isinstance(error, SwappedError):
                raise
            modes = "if the model returns something else in training, give mode='as is' for mode='eval'; if not,"
            raise CallError(f"{modes} {error}") from error.__cause__
        return super().__enter__()

    def measure(self) -> SharpnessRow:
        """Measure now, whatever the schedule.

        Raises:
            LastbitError: an adaptive optimizer has taken no step yet, so that it has no preconditioner.
        """
        return self._measured(None, None)

    def _measured(self, compared: SteppedGradient | None, line: LineSearch | None) -> SharpnessRow:
        started = time.perf_counter()
        with self._measuring():
            row = self._tracker.measure()
            row = replace(row, step=self.step, loss=self._tracker.objective.mean_loss(), mode=self._mode)
            if self._batches is not None and not row.diverged:
                batch = replace(self._batches.measure(), step=self.step)
                row = replace(row, batch=batch.as_dict())
        notes = [self._comparisons.note(row), str((row.batch or {}).get("note", ""))]
        row = replace(row, seconds=time.perf_counter() - started, note="; ".join(filter(None, notes)))
        if compared is not None:
            row = replace(row, stepped_ratio=compared.ratio, stepped_cosine=compared.cosine)
        if line is not None:
            row = replace(row, critical=critical_row(line, step=self.step).as_dict())
        self._keep(row)
        return row

    def _before_step(self) -> None:
        self._monitored = None  # a step that raised may have left one
        if len(self._rows) < _COMPARED or len(self._rows) % _COMPARED_AGAIN == 0:
            self._changed = self._mode == "eval" and training_differs(self._model, self._loss)
            with self._measuring():
                self._monitored = self._tracker.objective.point().gradient()
        if self._line is not None:
            self._line.begin()

    def _after_step(self) -> None:
        compared = None
        if self._monitored is not None:
            compared = stepped_gradient(self._monitored, self._parameters.values())
            self._comparisons.add(self.step, compared, self._changed)
        self._monitored = None
        self._measured(compared, None if self._line is None else self._line.search())

    @contextmanager
    def _measuring(self) -> Iterator[None]:
        device = next(iter(self._parameters.values())).device
        with ExitStack() as stack:
            stack.enter_context(without_autocast(device))
            if self._mode == "eval":
                stack.enter_context(evaluation_mode(self._model, self._loss))
            stack.enter_context(undisturbed(self._model, self._loss))
            yield
