"""The sharpness monitor as a callback of Hugging Face's trainer."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, cast

from torch import Tensor, nn

from lastbit.curvature import SharpnessMonitor, SharpnessRow
from lastbit.curvature.monitor import Sink
from lastbit.errors import LastbitError, LastbitTypeError
from lastbit.machine import missing
from lastbit.schedules import Schedule, as_schedule, log_spaced

try:
    from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
except ModuleNotFoundError as error:
    raise missing(error, "transformers") from None

_LOG_SPACED = log_spaced()


def model_loss(outputs: Any, batch: Mapping[str, Tensor]) -> Tensor:
    """The loss that the model itself returns for a batch with labels.

    Raises:
        LastbitError: the model returns no loss for this batch.
    """
    loss: Tensor | None = getattr(outputs, "loss", None)
    if loss is None:
        raise LastbitError(f"the model returns no loss for a batch of {', '.join(batch)}; give labels, or loss=...")
    return loss


class TransformersSharpnessCallback(TrainerCallback):
    """Runs a `SharpnessMonitor` while the trainer trains.

        batch = collator([dataset[index] for index in range(32)])
        Trainer(..., callbacks=[TransformersSharpnessCallback(batch, 100, sinks=[JsonLines("sharpness.jsonl")])])

    On several processes the first alone measures, with its copy of the weights.

    It measures the loss that is trained. Where the trainer smooths labels, has a `compute_loss_func` or overrides
    `compute_loss`, that is the trainer's loss of a batch by itself; otherwise it is the model's own.

    Args:
        data: one batch as the collator makes it, a mapping of tensors with labels, or a list of such batches.
        every: updates from one measurement to the next, or a schedule.
        loss: `loss(model(**batch), batch)`, to be measured instead of the loss that is trained.
        sinks: callables that are given each row.
        options: further options of `SharpnessMonitor`.

    Raises:
        LastbitTypeError: the data are no batches, or `every` is no schedule.
    """

    def __init__(
        self,
        data: Mapping[str, Tensor] | Sequence[Mapping[str, Tensor]],
        every: Schedule | int = _LOG_SPACED,
        *,
        loss: Any = None,
        sinks: Sequence[Sink] = (),
        **options: Any,
    ) -> None:
        batches = [data] if isinstance(data, Mapping) else list(data)
        for batch in batches:
            if not isinstance(batch, Mapping):
                raise LastbitTypeError(
                    f"a batch is a {type(batch).__name__}; give mappings of tensors, as a collator makes"
                )
        self._data = [(dict(batch), dict(batch)) for batch in batches]
        self._every, self._loss, self._sinks, self._options = as_schedule(every), loss, tuple(sinks), options
        self._monitor: SharpnessMonitor | None = None

    @property
    def rows(self) -> tuple[SharpnessRow, ...]:
        """What was measured in the last training."""
        return () if self._monitor is None else self._monitor.rows

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Watch the optimizer."""
        self._stop()
        if not state.is_world_process_zero:
            return
        trainer = _calling(self) if self._loss is None else None
        own = trainer if trainer is not None and _has_loss_of_its_own(trainer) else None
        self._monitor = SharpnessMonitor(
            _Unpacking(kwargs["model"], own),
            _as_it_is if own is not None else self._loss or model_loss,
            self._data,
            kwargs["optimizer"],
            self._every,
            sinks=self._sinks,
            start=state.global_step,
            **self._options,
        ).__enter__()

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Stop watching."""
        self._stop()

    def _stop(self) -> None:
        if self._monitor is not None:
            self._monitor.__exit__(None, None, None)


def _as_it_is(loss: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
    """Return what the trainer's `compute_loss` returned."""
    return loss


def _calling(callback: TrainerCallback) -> Trainer | None:
    """The trainer that calls a callback, from the call stack: it passes its parts to callbacks, but not itself."""
    frame = sys._getframe()
    while frame is not None:
        trainer = frame.f_locals.get("self")
        if isinstance(trainer, Trainer) and callback in trainer.callback_handler.callbacks:
            return trainer
        frame = frame.f_back  # type: ignore[assignment]
    return None


def _has_loss_of_its_own(trainer: Trainer) -> bool:
    """Whether a trainer's loss is another than the model's."""
    overrides = getattr(trainer.compute_loss, "__func__", None) is not Trainer.compute_loss
    return overrides or trainer.compute_loss_func is not None or trainer.label_smoother is not None


class _Unpacking(nn.Module):
    """A model that takes its batch as one argument; with a trainer, the loss that it computes of the model's outputs.

    Args:
        model: the network.
        trainer: whose loss is returned instead of the outputs.
    """

    def __init__(self, model: nn.Module, trainer: Trainer | None) -> None:
        super().__init__()
        self.model = model
        self.loss_of = None if trainer is None else partial(_trained_loss, trainer)

    def forward(self, batch: Mapping[str, Tensor]) -> Any:
        """Return the model's outputs for a batch, or its loss, without autocast."""
        with _own_forward(self.model):
            return self.model(**batch) if self.loss_of is None else self.loss_of(self.model, batch)


def _trained_loss(trainer: Trainer, model: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
    """What the trainer computes of a batch that is trained by itself."""
    count = trainer._get_num_items_in_batch([batch], trainer.args.device)
    loss: Any = trainer.compute_loss(model, dict(batch), num_items_in_batch=count)
    return cast(Tensor, loss)


@contextmanager
def _own_forward(model: nn.Module) -> Iterator[None]:
    """Call the model's own forward.

    Accelerate puts autocast into it where training is in mixed precision, and keeps the plain one beside it; a product
    through autocast would drown in its rounding.
    """
    plain, wrapped = getattr(model, "_original_forward", None), vars(model).get("forward")
    if plain is None or wrapped is None:
        yield
        return
    vars(model)["forward"] = plain
    try:
        yield
    finally:
        vars(model)["forward"] = wrapped
