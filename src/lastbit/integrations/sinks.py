"""Sinks for measurements: a file of JSON lines, TensorBoard, Weights & Biases."""

import os
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from lastbit.curvature import SharpnessRow
from lastbit.errors import LastbitError
from lastbit.machine import missing
from lastbit.storage.files import sync_directory, to_json
from lastbit.storage.outputs import is_written_through, open_through


class JsonLines:
    """A sink that appends each row to a file. The row is on disk before training continues; NaN and infinity are null.

    An existing file is continued, and a last line that a crash cut short is dropped. Anything that is not a regular
    file, such as `/dev/stdout` or a FIFO, is opened once and written through.

    Args:
        path: the file; its folder is made if need be.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)
        self._through = open_through(self._path) if is_written_through(self._path) else None
        if self._through is None:
            self._continue()

    def _continue(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.touch()
        sync_directory(self._path.parent)
        with self._path.open("rb+") as file:
            file.truncate(file.read().rfind(b"\n") + 1)

    def __call__(self, row: SharpnessRow) -> None:
        """Append a row."""
        line = to_json(row.as_dict()).encode() + b"\n"
        if self._through is not None:
            self._through.write(line)
            self._through.flush()
            return
        with self._path.open("ab") as file:
            file.write(line)
            file.flush()
            os.fsync(file.fileno())


class TensorBoard:
    """A sink that adds each row's scalars, and its note, as `sharpness/...`, flushed at once.

    Args:
        writer: a `torch.utils.tensorboard.SummaryWriter`, which stays open, or a log directory to make one for, which
            the end of a `with` block or `close()` closes.

    Raises:
        ModuleNotFoundError: a directory is given and TensorBoard is not installed.
    """

    def __init__(self, writer: Any) -> None:
        self._own = isinstance(writer, str | PathLike)
        self._writer: Any = _summary_writer(writer) if self._own else writer

    def __call__(self, row: SharpnessRow) -> None:
        """Add a row; a diverged one shows as NaN."""
        for name, value in row.scalars().items():
            self._writer.add_scalar(f"sharpness/{name}", value, global_step=row.step)
        if row.note:
            self._writer.add_text("sharpness/note", row.note, global_step=row.step)
        self._writer.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the writer, unless it was given."""
        if self._own:
            self._writer.close()


def _summary_writer(directory: str | PathLike[str]) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ModuleNotFoundError as error:
        raise missing(error, "tensorboard") from None
    return SummaryWriter(str(directory))


class WandB:
    """A sink that logs each row's scalars, and its note, as `sharpness/...`, drawn against `sharpness/step`.

    The rows have their own axis, and so do not interfere with the `step=` of the run's other metrics.

    Args:
        run: what `wandb.init()` returned; by default the run that is active.

    Raises:
        ModuleNotFoundError: wandb is not installed.
        LastbitError: no run is given and none is active.
    """

    def __init__(self, run: Any = None) -> None:
        self._run: Any = _active() if run is None else run
        self._run.define_metric("sharpness/*", step_metric="sharpness/step")

    def __call__(self, row: SharpnessRow) -> None:
        """Log a row; a diverged one shows as NaN."""
        scalars = {"step": row.step} | row.scalars() | ({"note": row.note} if row.note else {})
        self._run.log({f"sharpness/{name}": value for name, value in scalars.items()})


def _active() -> Any:
    try:
        import wandb
    except ModuleNotFoundError as error:
        raise missing(error, "wandb") from None
    if wandb.run is None:
        raise LastbitError("no W&B run is active; call wandb.init() first, or give WandB(run) what it returned")
    return wandb.run
