"""The sharpness monitor as a callback of Hugging Face's trainer."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from lastbit.curvature import SharpnessMonitor, SharpnessRow
from lastbit.curvature.monitor import Sink
from lastbit.errors import LastbitError, LastbitTypeError
from lastbit.extras import missing
from lastbit.schedules import Schedule, log_spaced, refuse_no_schedule

try:
    from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
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


class SharpnessCallback(TrainerCallback):
    """Runs a `SharpnessMonitor` while the trainer trains.

        batch = collator([dataset[index] for index in range(32)])
        Trainer(..., callbacks=[SharpnessCallback(batch, lb.every(100), sinks=[JsonLines("sharpness.jsonl")])])

    On several processes the first alone measures, with its copy of the weights.

    Args:
        data: one batch as the collator makes it, a mapping of tensors with labels, or a list of such batches.
        every: when to measure, by the number of updates.
        loss: `loss(model(**batch), batch)`, a mean over samples; by default the model's own.
        sinks: callables that are given each row.
        options: further options of `SharpnessMonitor`.

    Raises:
        LastbitTypeError: the data are no batches, or `every` is no schedule.
    """

    def __init__(
        self,
        data: Mapping[str, Tensor] | Sequence[Mapping[str, Tensor]],
        every: Schedule = _LOG_SPACED,
        *,
        loss: Any = model_loss,
        sinks: Sequence[Sink] = (),
        **options: Any,
    ) -> None:
        refuse_no_schedule(every)
        batches = [data] if isinstance(data, Mapping) else list(data)
        for batch in batches:
            if not isinstance(batch, Mapping):
                raise LastbitTypeError(
                    f"a batch is a {type(batch).__name__}; give mappings of tensors, as a collator makes"
                )
        self._data = [(dict(batch), dict(batch)) for batch in batches]
        self._every, self._loss, self._sinks, self._options = every, loss, tuple(sinks), options
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
        self._monitor = SharpnessMonitor(
            _Unpacking(kwargs["model"]),
            self._loss,
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
        """Watch no longer."""
        self._stop()

    def _stop(self) -> None:
        if self._monitor is not None:
            self._monitor.__exit__(None, None, None)


class _Unpacking(nn.Module):
    """A model that takes its batch as one argument."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: Mapping[str, Tensor]) -> Any:
        """Return the model's outputs for a batch, without autocast."""
        # Accelerate puts autocast into the model's forward where training is in mixed precision, and keeps the plain
        # one beside it; a product through autocast would drown in its rounding.
        plain = getattr(self.model, "_original_forward", None)
        return self.model(**batch) if plain is None else plain(**batch)
