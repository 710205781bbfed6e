"""The sharpness monitor as a callback of Lightning's trainer."""

from collections.abc import Sequence
from typing import Any

from lastbit.curvature import SharpnessMonitor, SharpnessRow
from lastbit.curvature.monitor import Sink
from lastbit.machine import missing
from lastbit.schedules import Schedule, as_schedule, log_spaced

try:
    from lightning.pytorch import Callback, LightningModule, Trainer
except ModuleNotFoundError as error:
    raise missing(error, "lightning") from None

_LOG_SPACED = log_spaced()


class LightningSharpnessCallback(Callback):
    """Runs a `SharpnessMonitor` while the trainer fits, and logs each row to the trainer's loggers as `sharpness/...`.

        trainer = lightning.Trainer(callbacks=[LightningSharpnessCallback(cross_entropy, (inputs, targets), 100)])

    On several processes the first alone measures, with its copy of the weights.

    Args:
        loss: `loss(module(inputs), targets)`, a mean over samples.
        data: one (inputs, targets) batch, or an iterable of them.
        every: updates from one measurement to the next, or a schedule.
        sinks: callables that are given each row beside the loggers.
        optimizer: which of the module's optimizers, where it has several.
        options: further options of `SharpnessMonitor`.
    """

    def __init__(
        self,
        loss: Any,
        data: Any,
        every: Schedule | int = _LOG_SPACED,
        *,
        sinks: Sequence[Sink] = (),
        optimizer: int = 0,
        **options: Any,
    ) -> None:
        super().__init__()
        self._loss, self._data, self._every, self._sinks = loss, data, as_schedule(every), tuple(sinks)
        self._index, self._options = optimizer, options
        self._monitor: SharpnessMonitor | None = None

    @property
    def rows(self) -> tuple[SharpnessRow, ...]:
        """What was measured in the last fit."""
        return () if self._monitor is None else self._monitor.rows

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Watch the optimizer."""
        if not trainer.is_global_zero:
            return

        def log(row: SharpnessRow) -> None:
            """Hand a row to each of the trainer's loggers."""
            for logger in trainer.loggers:
                logger.log_metrics({f"sharpness/{name}": value for name, value in row.scalars().items()}, row.step)

        self._monitor = SharpnessMonitor(
            pl_module,
            self._loss,
            self._data,
            trainer.optimizers[self._index],
            self._every,
            sinks=(log, *self._sinks),
            start=trainer.global_step,
            **self._options,
        ).__enter__()

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop watching."""
        self._stop()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Stop watching."""
        self._stop()

    def _stop(self) -> None:
        if self._monitor is not None:
            self._monitor.__exit__(None, None, None)
